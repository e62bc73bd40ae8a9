"""Bugs of recovery: what counts as torn or damaged, what is made durable again, what an old mark means."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FAULTS = "tests/crash/test_faults.py::"
_RECOVERY = "tests/unit/test_log_recovery.py::"
_EXPLORED = "tests/simulation/test_simulation.py::test_L1_L4_L6_L9_a_crash_at_any_call_loses_nothing"
_SEALED = f"{_RECOVERY}test_L4_L5_frames_torn_at_sectors_are_sealed_by_rolling"
_EVIDENCE = f"{_RECOVERY}test_L5_every_combination_of_evidence_fits_one_verdict"
_CUT = f"{_RECOVERY}test_L5_a_frame_cut_at_any_byte_is_torn_or_damaged_and_never_served"

BUGS = (
    Mutant(
        "zero-sector-rule-ignored",
        "log/recovery.py",
        "    if seen.header_readable and seen.every_sector_written:",
        "    if seen.header_readable:",
        f"{_CUT} {_EVIDENCE}",
        "L5",
        "a frame that was torn by a power cut is called damage, and the store stays shut",
    ),
    Mutant(
        "whole-damaged-frame-taken-for-torn",
        "log/recovery.py",
        "    if seen.header_readable and seen.every_sector_written:",
        "    if False:",
        f"{_RECOVERY}test_L5_a_frame_that_was_whole_and_changed_is_refused_and_garbage_is_sealed",
        "L5",
        "a frame that was acknowledged and then rotted is dropped without a word",
    ),
    Mutant(
        "sectors-counted-from-the-frame",
        "log/recovery.py",
        "SECTOR - (offset + at) % SECTOR",
        "SECTOR - at % SECTOR",
        _CUT,
        "L5",
        "the zero-sector rule looks at pieces that are not the disk's sectors",
    ),
    Mutant(
        "mark-ignored",
        "log/recovery.py",
        "    segments.discover()\n    if mark is not None and mark.segment > segments.last:",
        "    segments.discover()\n    mark = None\n    if mark is not None and mark.segment > segments.last:",
        f"{_RECOVERY}test_L5_damage_before_the_mark_is_refused",
        "L5",
        "what was durable by the mark's word may vanish as a torn tail",
    ),
    Mutant(
        "look-ahead-removed",
        "log/recovery.py",
        "later_frame_knew_it_durable=not only_zeros and _later_proof(place, rest, state)",
        "later_frame_knew_it_durable=False",
        f"{_RECOVERY}test_L5_damage_before_a_frame_that_knew_it_durable_is_refused",
        "L5",
        "a gap before frames that were written when it was durable is called the end",
    ),
    Mutant(
        "frames-out-of-place-taken-for-torn",
        "log/recovery.py",
        "valid_but_out_of_place=bad is not None",
        "valid_but_out_of_place=False",
        f"{_RECOVERY}test_L5_a_valid_frame_out_of_place_is_refused_also_where_its_content_is_zeros",
        "L5",
        "a whole frame with another LSN or chain hash is called the end",
    ),
    Mutant(
        "recovery-drops-what-is-damaged",
        "log/recovery.py",
        "    if verdict is Verdict.DAMAGED:\n        raise segments.damage",
        "    if False:\n        raise segments.damage",
        f"{_RECOVERY}test_L5_damage_before_a_frame_that_knew_it_durable_is_refused",
        "L5",
        "damage ends the log where it is, and all behind it is lost",
    ),
    Mutant(
        "recovery-truncates",
        "log/recovery.py",
        "    return Ending(state, verdict)\n\n\ndef _check_links",
        "    system.truncate(place.fd, state.end)\n    system.truncate(place.fd, place.header.capacity)\n"
        "    return Ending(state, Verdict.CLEAN)\n\n\ndef _check_links",
        _SEALED,
        "L4 L5",
        "what lies behind the end is cut off, and with it what would have proved that it was there",
    ),
    Mutant(
        "torn-end-not-sealed",
        "log/recovery.py",
        "    if ending.verdict is Verdict.TORN:\n        shared.intend(fresh.segment + 1, 0)\n    else:\n"
        "        shared.intend(fresh.segment, fresh.end)\n",
        "    shared.intend(fresh.segment, fresh.end)\n",
        _SEALED,
        "L4 L5",
        "new frames are written over a torn one, and pieces of it may be read as theirs",
    ),
    Mutant(
        "missing-last-segment-not-noticed",
        "log/recovery.py",
        "    if mark is not None and mark.segment > segments.last:",
        "    if mark is not None and False:",
        "tests/crash/test_flips.py::test_L5_each_segment_that_is_missing_emptied_or_cut_is_named",
        "L5",
        "a store whose newest segment was deleted opens as if that had never been",
    ),
    Mutant(
        "segments-need-not-follow-one-another",
        "log/recovery.py",
        "        if header.first_lsn != header.prev_last_lsn + 1 or header.prev_end > before.header.capacity:\n",
        "        if False:\n",
        "tests/unit/test_log_distrust.py::test_L5_segments_that_do_not_follow_one_another_are_refused",
        "L5",
        "a segment that goes on elsewhere than its predecessor ended is served",
    ),
    Mutant(
        "a-successor-hides-what-the-mark-knows",
        "log/recovery.py",
        "        if mark is not None and mark.segment == number - 1 and mark.end > header.prev_end:\n",
        "        if False:\n",
        "tests/unit/test_log_distrust.py::"
        "test_L5_a_segment_that_says_less_was_acknowledged_than_the_mark_knows_is_refused",
        "L5",
        "events that were acknowledged lie behind the end that the next segment names",
    ),
    Mutant(
        "mark-trusted-as-the-end-after-a-reboot",
        "log/recovery.py",
        "    state, bad = _advance(segments, place, start)\n",
        "    state, bad = (start, None) if mark is not None else _advance(segments, place, start)\n",
        f"{_FAULTS}test_L5_a_stale_mark_is_only_a_lower_bound",
        "L5 L1",
        "the mark on disk lags behind: what was acknowledged after it is lost",
    ),
    Mutant(
        "shared-state-trusted-across-a-reboot",
        "log/opening.py",
        "        if head is not None and head[1] == system.boot_id():\n",
        "        if head is not None:\n",
        "tests/crash/test_strays.py::"
        "test_L9_a_process_of_another_machine_is_refused_while_a_store_is_open_and_harms_nobody",
        "L9 L5",
        "the ends in memory of another boot, or another machine, are believed",
    ),
    Mutant(
        "clean-mark-kept-by-who-joins",
        "log/recovery.py",
        "    if mark is not None and mark.clean:\n        shared.mark.store",
        "    if False:\n        shared.mark.store",
        "tests/crash/test_power_loss.py::test_L5_a_log_left_clean_is_called_so_no_more_once_somebody_may_write_also"
        "_when_that_one_dies_at_once tests/crash/test_power_loss.py::"
        "test_L1_L4_L5_L6_after_a_power_cut_all_that_was_acknowledged_is_there_and_nothing_is_torn --soak",
        "L5",
        "the disk's mark says that nothing follows while somebody writes behind it",
    ),
    Mutant(
        "clean-mark-not-taken-back-on-disk",
        "log/recovery.py",
        "    shared.flush_mark()  # lest",
        "    #  # lest",
        "tests/crash/test_power_loss.py::test_L5_a_log_left_clean_is_called_so_no_more_once_somebody_may_write_also"
        "_when_that_one_dies_at_once",
        "L5",
        "the disk's mark says that nothing follows while somebody writes behind it",
    ),
    Mutant(
        "unsynced-range-not-written-again",
        "log/recovery.py",
        "    _write_again(system, segments, place, start, state.end)\n    system.datasync",
        "    system.datasync",
        f"{_FAULTS}test_L6_recovery_writes_the_unsynced_range_again_before_it_syncs_it",
        "L6",
        "after a sync that was lost the pages look clean, and syncing them again does nothing",
    ),
    Mutant(
        "recovered-range-not-synced",
        "log/recovery.py",
        "    system.datasync(place.fd)\n    segments.taken_up.add(state.segment)\n",
        "    segments.taken_up.add(state.segment)\n",
        f"{_EXPLORED}[recovery]",
        "L6",
        "frames found in the page cache are served, and gone after the next power cut",
    ),
    Mutant(
        "joiner-does-not-write-again",
        "log/recovery.py",
        "    if start < state.end:\n        _write_again",
        "    if False:\n        _write_again",
        f"{_FAULTS}test_L6_a_process_that_joins_writes_what_others_left_unsynced_again_before_its_first_sync",
        "L6",
        "a process that was not told of a failed sync acknowledges what that one had lost",
    ),
    Mutant(
        "given-up-pages-are-taken-for-frames",
        "log/recovery.py",
        "    if not _whole(place, data, start):\n",
        "    if False:\n",
        "tests/unit/test_log_simulated.py::test_L6_pages_that_a_failed_sync_gave_up_are_not_written_again_as_frames",
        "L6",
        "what the page cache holds after a failed sync is written again unread",
    ),
)
