"""Bugs that were there once, and that real machines found: seeded again, so that they stay away."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FILES = "tests/contract/test_views_files.py"
_HOSTS = (
    "tests/crash/test_hosts.py::"
    "test_L1_whatever_its_program_does_to_its_descriptors_a_store_acknowledges_only_what_it_keeps"
)
_ANSWERS = "tests/crash/test_answers.py::"
_SHARED_COMMIT = "test_L8_L11_a_write_that_fails_is_not_the_error_of_who_shares_its_commit_and_writes_nothing"

BUGS = (
    Mutant(
        "a-moved-store-makes-segments-at-its-old-path",
        "log/writer.py",
        "        if not self.lock.in_place():\n",
        "        if False:\n",
        "tests/crash/test_strays.py::"
        "test_L1_a_store_moved_while_it_is_open_keeps_what_was_acknowledged_and_spoils_no_other",
        "L1",
        "new segments of a store that was moved are made where it was, and nobody finds them",
    ),
    Mutant(
        "a-map-of-a-hole",
        "log/shared.py",
        "            system.write_at(fd, bytes(SIZE - size), size)\n",
        "            system.truncate(fd, SIZE)\n",
        "tests/crash/test_faults.py::test_L8_a_file_that_is_mapped_has_its_room_before",
        "L8",
        "who stores to the map of a hole is killed when the disk is full",
    ),
    Mutant(
        "another-process-s-segment-that-can-t-be-read-is-a-bare-error",
        "log/segments.py",
        "            if isinstance(error, OSError):\n                raise failures.storage_error",
        "            if False:\n                raise failures.storage_error",
        "tests/crash/test_faults.py::"
        "test_L8_a_disk_that_refuses_to_show_a_segment_that_another_process_began_is_a_clear_refusal",
        "L8",
        "a disk that can't be read is an error that says neither where nor what to do",
    ),
    Mutant(
        "a-view-is-noted-as-written-in-its-log-only",
        "views/applier.py",
        "        if self.note_opened(db):\n            raise",
        "        if False:\n            raise",
        f"{_FILES}::test_V4_before_a_closed_file_is_written_to_the_file_itself_says_so_on_disk",
        "V4",
        "after a power cut the old pages of the file say that it was closed",
    ),
    Mutant(
        "a-view-is-called-closed-before-it-is-on-disk",
        "views/applier.py",
        "        numbers = (OPENED, OPENED + 1, OPENED)\n",
        "        numbers = (OPENED, OPENED, OPENED)\n",
        f"{_FILES}::test_V4_whenever_a_file_is_noted_as_open_it_changes_so_that_it_is_synced",
        "V4",
        "SQLite syncs nothing where nothing changes, and the file is called closed",
    ),
    Mutant(
        "damage-that-is-no-text-is-a-bare-error",
        "views/damage.py",
        "UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)",
        "UNREADABLE = (sqlite3.DatabaseError,)",
        f"{_FILES}::test_V4_a_schema_whose_damage_is_no_text_is_damage",
        "V4",
        "damage in a schema ends the read with an error of Python's",
    ),
    Mutant(
        "what-a-failed-sync-gave-up-is-called-damage",
        "log/durable.py",
        "        if isinstance(error, LogCorruption) and (error.first_lsn or 0) > self.state().lsn:\n",
        "        if False:\n",
        "tests/unit/test_log_simulated.py::"
        "test_L7_frames_that_a_failed_sync_gave_up_are_an_unknown_outcome_and_no_damage",
        "L7",
        "a sync that failed in another process is told as damage of the log",
    ),
    Mutant(
        "an-old-epoch-vouches-for-new-events",
        "log/durable.py",
        "        if mark.epoch != self._epoch:",
        "        if False:",
        "tests/unit/test_log_simulated.py::test_L7_nobody_vouches_for_an_lsn_that_is_another_events_since_a_recovery",
        "L7 L1",
        "a handle that slept through a failed sync takes another event's LSN for its own",
    ),
    Mutant(
        "a-lock-that-is-stuck-denies-the-write",
        "log/durable.py",
        "        except LogBusy as error:\n            raise failures.unconfirmed(error) from None\n",
        "        except LogBusy:\n            raise\n",
        "tests/unit/test_log_simulated.py::test_L9_log_busy_means_that_nothing_was_written",
        "L1 L9",
        "who is told that the log is busy writes again what is there already",
    ),
    Mutant(
        "a-replay-hides-what-was-written-with-it",
        "engine/write.py",
        "        self.handle.wrote(max([each.lsn for each in appended]))",
        "        self.handle.wrote(appended[-1].lsn)",
        "tests/unit/test_engine_write.py::"
        "test_V5_a_handle_sees_what_it_wrote_at_process_before_a_replay_of_the_same_batch",
        "V5",
        "a handle does not see what it wrote in one batch with something known",
    ),
    Mutant(
        "two-clocks-in-one-transaction-refuse-the-group",
        "log/admission.py",
        "            if time != first:\n",
        "            if number and recorded_at != first[0]:\n",
        "tests/unit/test_admission.py::"
        "test_L2_a_transaction_of_two_times_is_refused_alone_and_its_neighbours_are_not_concerned",
        "L2 L10",
        "a transaction that fits no frame refuses those that share its sync",
    ),
    Mutant(
        "spare-that-is-a-segment-is-taken",
        "log/segment.py",
        "ready = system.path_size(taken) == header.capacity and _unused(system, taken)",
        "ready = system.path_size(taken) == header.capacity",
        "tests/unit/test_log_damage.py::"
        "test_L4_a_segment_that_a_power_cut_left_under_the_name_of_the_spare_too_is_not_written_over",
        "L4",
        "a new segment is written over the live one, which a power cut left under the spare's name as well",
    ),
    Mutant(
        "who-waits-beside-close-hears-a-bare-error",
        "log/shared.py",
        "                return False\n        except ValueError:\n",
        "                return False\n        except ZeroDivisionError:\n",
        "tests/crash/test_closing.py::test_whatever_call_of_the_log_finds_it_closed_says_so",
        "L9",
        "a thread that waits while another closes the store ends with an error of Python's",
    ),
    Mutant(
        "a-conflict-names-what-a-crash-may-take-back",
        "log/file_log.py",
        "pending.refusal, pending.wait_for, overlay.named = error, overlay.named, 0",
        "pending.refusal, pending.wait_for, overlay.named = error, 0, 0",
        f"{_ANSWERS}test_L12_a_conflict_names_what_is_on_disk",
        "L12 L3",
        "a version that a conflict named is lost in a crash, and another event gets its number",
    ),
    Mutant(
        "another-request-s-event-may-be-taken-back",
        "log/admission.py",
        "            overlay.named = error.lsn or 0\n",
        "",
        f"{_ANSWERS}test_L11_another_request_under_a_key_is_told_the_lsn_of_what_is_on_disk",
        "L11 L3",
        "the first event of a key, which a refusal names, is lost in a crash",
    ),
    Mutant(
        "a-refused-batch-names-its-own-events",
        "log/admission.py",
        "        if (error.lsn or 0) > overlay.last_lsn:",
        "        if False:",
        f"{_ANSWERS}test_L11_a_batch_with_one_key_for_two_requests_names_no_lsn_that_will_be_another_s",
        "L11",
        "a refusal names an event that was never written, and its number goes to another",
    ),
    Mutant(
        "a-failed-write-is-everybody-s-error",
        "log/file_log.py",
        "                        if pending.writes or pending.wait_for > state.lsn:\n",
        "                        if True:\n",
        f"{_ANSWERS}{_SHARED_COMMIT}",
        "L8 L11",
        "who repeats what is on disk is told that there was no room for it",
    ),
    Mutant(
        "a-replay-of-what-was-not-written",
        "log/file_log.py",
        "                        if pending.writes or pending.wait_for > state.lsn:\n",
        "                        if pending.writes:\n",
        f"{_ANSWERS}{_SHARED_COMMIT}",
        "L1 L11",
        "a repetition is acknowledged by a write that failed",
    ),
    Mutant(
        "the-first-of-several-frames-is-written-first",
        "log/writer.py",
        "            if len(data) > first:  #",
        "            if False:  #",
        f"{_ANSWERS}test_L8_of_a_batch_of_several_frames_that_the_disk_refuses_nothing_is_written",
        "L8",
        "of an import that was refused for want of space a part is there",
    ),
    Mutant(
        "frames-into-another-file",
        "log/writer.py",
        "            self._segments.refuse_other(place, self._system.file_identity(place.fd))\n",
        "",
        f"{_HOSTS} -k closes_descriptors",
        "L1",
        "where a program closes descriptors it did not open, frames go into another file of its",
    ),
    Mutant(
        "another-file-s-sync-is-an-ack",
        "log/durable.py",
        "            segments.refuse_other(place, found)\n",
        "",
        f"{_HOSTS} -k closes_the_last_segment",
        "L1",
        "an event is acknowledged by the sync of another file",
    ),
    Mutant(
        "locks-in-place-of-standard-streams",
        "system.py",
        "        return fd if fd > _STANDARD else _above_standard(fd)\n",
        "        return fd\n",
        f"{_HOSTS} -k has_no_standard_streams",
        "L9",
        "a daemon that opens its standard streams later lets go of the locks",
    ),
    Mutant(
        "views-go-where-the-program-goes",
        "opening.py",
        "        address = machine.absolute(address)\n",
        "        pass\n",
        "tests/crash/test_hosts.py::test_a_store_stays_where_it_was_opened_wherever_the_program_goes",
        "V4",
        "after a change of folder the views are made in another place",
    ),
)
