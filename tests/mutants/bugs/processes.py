"""Bugs that need several processes or threads: locks, dead writers, forks, what others have written."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_PROCESSES = "tests/crash/test_processes.py::"
_RECOVERY = "tests/unit/test_log_recovery.py::"
_DISTRUST = "tests/unit/test_log_distrust.py::"
_INTERRUPTS = f"{_PROCESSES}test_L10_interrupts_wherever_they_come_lose_no_ack_and_leave_nobody_waiting"
_FORKED = f"{_PROCESSES}test_L9_forked_children_are_refused_and_harm_nobody"

BUGS = (
    Mutant(
        "write-lock-dropped-too-soon",
        "log/file_log.py",
        "        with writer.lock:\n            state = writer.begin()\n            entry",
        "        with writer.lock:\n            state = writer.begin()\n        if True:\n            entry",
        "tests/simulation/test_simulation.py::test_L1_L4_L6_L9_a_crash_at_any_call_loses_nothing[joining]",
        "L3 L9",
        "the lock is given back before the frame is written: two writers take one LSN",
    ),
    Mutant(
        "write-lock-between-threads-only",
        "log/shared.py",
        "            if not self._system.try_lock_file(self._fd):\n"
        "                self._wait(lambda: self._system.try_lock_file(self._fd))\n",
        "            pass\n",
        "tests/simulation/test_simulation.py::test_L1_L4_L6_L9_a_crash_at_any_call_loses_nothing[joining]",
        "L3 L9",
        "processes do not keep each other out",
    ),
    Mutant(
        "lock-without-a-limit",
        "log/shared.py",
        "            if self._system.monotonic() > deadline:\n                raise self._busy()\n",
        "",
        f"{_PROCESSES}test_L9_a_stopped_writer_makes_others_fail_by_name_and_loses_nothing",
        "L9",
        "who waits for a stopped process waits for ever",
        hangs=True,
    ),
    Mutant(
        "presence-given-up-after-opening",
        "log/opening.py",
        "            _enter(system, opened)\n",
        "            _enter(system, opened)\n            system.unlock_file(opened.presence_fd)\n",
        f"{_DISTRUST}test_L13_a_handle_that_joined_tells_what_is_wrong_with_a_segment_it_never_opened "
        "tests/crash/test_strays.py::"
        "test_L9_a_process_of_another_machine_is_refused_while_a_store_is_open_and_harms_nobody",
        "L9 L6",
        "a second process believes that it is alone, and recovers a log that is written to",
    ),
    Mutant(
        "child-keeps-the-store",
        "log/file_log.py",
        "        self.resume()\n        self._opened.close()",
        "        self.resume()",
        f"{_PROCESSES}test_L9_a_child_that_outlives_its_parent_does_not_keep_the_store",
        "L9",
        "a forked child keeps its parent's locks",
    ),
    Mutant(
        "fork-beside-a-commit",
        "log/file_log.py",
        "            if log is not None and log.quiesce():",
        "            if False and log is not None and log.quiesce():",
        _FORKED,
        "L9",
        "a child is forked while a thread holds a lock that nobody will give back in it",
    ),
    Mutant(
        "a-forked-child-may-write",
        "log/file_log.py",
        '        self._closed = "the log belongs to the parent of this process"\n        self.resume()\n',
        "        self.resume()\n",
        _FORKED,
        "L9",
        "parent and child write under one writer's name",
    ),
    Mutant(
        "garbage-of-a-dead-writer-overwritten",
        "log/writer.py",
        "        if recovery.dirty(self._system, place, state.end, limit):",
        "        if False:",
        f"{_RECOVERY}test_L4_a_live_writer_finds_garbage_of_a_dead_one_and_rolls",
        "L4 L9",
        "frames are written over what a killed process left half written",
    ),
    Mutant(
        "dead-writer-not-noticed",
        "log/writer.py",
        "            if shared.intended() != (state.segment, state.end):\n",
        "            if False:\n",
        f"{_RECOVERY}test_L9_frames_of_a_dead_writer_are_adopted",
        "L9 L4",
        "a frame that a killed process had written whole is written over",
    ),
    Mutant(
        "intention-not-announced",
        "log/writer.py",
        "            self._shared.intend(after.segment, after.end)\n",
        "",
        "tests/crash/test_faults.py::test_L4_what_was_half_written_is_never_written_over",
        "L4 L9",
        "nobody can tell that a killed process was writing, and its rest makes the next torn frame look whole",
    ),
    Mutant(
        "adopted-segment-not-checked",
        "log/writer.py",
        "        if (header.prev_end, header.prev_last_lsn, header.chain) != (state.end, state.lsn, state.chain):\n",
        "        if False:\n",
        f"{_DISTRUST}test_L5_a_segment_that_does_not_follow_its_predecessor_is_not_adopted",
        "L5 L9",
        "a segment that goes on elsewhere is written to",
    ),
    Mutant(
        "tail-of-other-processes-not-read",
        "log/catalog.py",
        "                self._grow(live, state.end)\n",
        "",
        f"{_PROCESSES}test_L11_a_key_that_another_process_wrote_is_replayed",
        "L11 L9",
        "a key that another process has used is written again",
    ),
    Mutant(
        "segments-of-other-processes-not-looked-for",
        "log/durable.py",
        "        if mark.segment > self._segments.last:\n            self._segments.discover()\n",
        "",
        f"{_PROCESSES}test_L3_readers_follow_a_writer_over_its_rolls_and_never_run_ahead",
        "L3 L9",
        "a reader does not see what another process wrote into a new segment",
    ),
    Mutant(
        "reader-behind-a-roll-asks-the-live-index",
        "log/catalog.py",
        "                return self._sealed_index(state.segment)  # the writer has gone on, the durable end has not",
        "                return live",
        f"{_PROCESSES}test_L3_a_reader_of_the_writing_process_is_not_confused_by_a_roll_that_is_not_durable_yet",
        "L3",
        "events are looked for in a segment that is not durable yet",
    ),
    Mutant(
        "waiters-are-forgotten",
        "log/file_log.py",
        "            for pending in group:\n"
        "                pending.finish(pending.answer, pending.refusal)\n        except",
        "            group[0].finish(group[0].answer)\n        except",
        "tests/crash/test_faults.py::test_L10_where_no_thread_can_be_started_writers_commit_for_each_other",
        "L10",
        "of those who share a sync only the first is answered",
        hangs=True,
    ),
    Mutant(
        "all-waiting-hear-of-the-failed-sync-but-one",
        "log/committer.py",
        "            for pending in group:\n                pending.finish(error=error)\n\n    def _take",
        "            for pending in group[1:]:\n                pending.finish(error=error)\n\n    def _take",
        "tests/unit/test_log_committer.py::test_an_error_reaches_every_caller_and_callbacks_come_once",
        "L7 L10",
        "a caller waits for ever for the answer of a group that failed",
        hangs=True,
    ),
    Mutant(
        "who-comes-later-goes-first",
        "log/committer.py",
        "            inline = not self._queue and not self.at_work.locked()\n",
        "            inline = not self.at_work.locked()\n",
        "tests/unit/test_log_committer.py::test_L10_who_waits_goes_before_who_comes_later_and_finds_nobody_at_work",
        "L10",
        "a busy caller passes those who wait, again and again",
    ),
    Mutant(
        "queued-and-nobody-told",
        "log/committer.py",
        "        handed_over = (bool(self._queue) and self._thread is not None) or self._wake_thread()\n"
        "        self._queue.append(pending)\n",
        "        first = not self._queue\n        self._queue.append(pending)\n"
        "        handed_over = (not first and self._thread is not None) or self._wake_thread()\n",
        "tests/unit/test_log_committer.py::test_L10_who_is_interrupted_while_it_wakes_the_thread_leaves_nobody_asleep",
        "L10",
        "after an interrupt at the wrong moment all who append wait for ever",
        hangs=True,
    ),
    Mutant(
        "an-interrupt-leaves-the-log-at-work",
        "log/committer.py",
        "            with self.at_work:\n                self._refuse_closed()\n"
        "                self._commit([pending])\n",
        "            self.at_work.acquire()\n            self._commit([pending])\n            self.at_work.release()\n",
        _INTERRUPTS,
        "L10",
        "after an interrupt nobody commits any more",
        hangs=True,
    ),
    Mutant(
        "a-secret-adopted-beside-a-write",
        "log/file_log.py",
        "        with self._committer.at_work:\n            self._refuse_closed()\n"
        "            with self._writer.lock:\n",
        "        if True:\n            self._refuse_closed()\n            with self._writer.lock:\n",
        "tests/crash/test_closing.py::test_L9_a_secret_is_not_adopted_beside_a_write_of_another_thread",
        "L9 L11",
        "a log that holds events gets another secret, and knows its own keys no more",
    ),
    Mutant(
        "forked-while-it-closes",
        "log/file_log.py",
        "        if self._closed and not self._committer.at_work.locked():  #",
        "        if self._closed:  #",
        f"{_PROCESSES}test_L9_a_child_that_outlives_its_parent_does_not_keep_the_store",
        "L9",
        "a child forked while the store is closed keeps it",
    ),
)
