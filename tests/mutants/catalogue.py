"""The seeded bugs: each breaks one promise in one place."""

from __future__ import annotations

from tests.mutants.found import FOUND
from tests.mutants.runner import Mutant

_FAULTS = "tests/crash/test_faults.py"
_PROCESSES = "tests/crash/test_processes.py"
_RECOVERY = "tests/unit/test_log_recovery.py"
_FRAME = "tests/unit/test_log_frame.py"

MUTANTS = (
    Mutant(
        "no-sync-before-the-ack",
        "log/durable.py",
        "                system.datasync(fd)\n",
        "",
        f"{_FAULTS} -k test_L1",
    ),
    Mutant(
        "ack-before-the-sync",
        "log/file_log.py",
        "            if need:\n                self._durable.confirm(need)\n            for pending in group:\n"
        "                pending.finish(pending.answer)\n",
        "            for pending in group:\n                pending.finish(pending.answer)\n"
        "            if need:\n                self._durable.confirm(need)\n",
        f"{_FAULTS} -k nobody_is_answered",
    ),
    Mutant(
        "checksum-not-bound-to-the-offset",
        "log/frame.py",
        '_PLACE = struct.Struct("<Q")',
        '_PLACE = type("Nowhere", (), {"pack": staticmethod(lambda _: b"")})',
        f"{_FRAME} -k valid_only_where",
    ),
    Mutant(
        "checksum-not-bound-to-the-segment",
        "log/frame.py",
        'google_crc32c.value(log_id + segment.to_bytes(8, "little"))',
        "google_crc32c.value(log_id)",
        f"{_FRAME} -k valid_only_where",
    ),
    Mutant(
        "body-checksum-ignored",
        "log/frame.py",
        "        and _extend(base, body) == header.body_crc\n",
        "",
        "tests/crash/test_flips.py -k damage_anywhere",
    ),
    Mutant(
        "zero-sector-rule-ignored",
        "log/recovery.py",
        "    if seen.header_readable and seen.every_sector_written:",
        "    if seen.header_readable:",
        f"{_RECOVERY} -k test_L4",
    ),
    Mutant(
        "whole-damaged-frame-taken-for-torn",
        "log/recovery.py",
        "    if seen.header_readable and seen.every_sector_written:",
        "    if False:",
        f"{_RECOVERY} -k whole_and_changed",
    ),
    Mutant(
        "mark-ignored",
        "log/recovery.py",
        "    segments.discover()\n    if mark is not None and mark.segment > segments.last:",
        "    segments.discover()\n    mark = None\n    if mark is not None and mark.segment > segments.last:",
        f"{_RECOVERY} -k before_the_mark",
    ),
    Mutant(
        "look-ahead-removed",
        "log/recovery.py",
        "later_frame_knew_it_durable=not only_zeros and _later_proof(place, rest, state)",
        "later_frame_knew_it_durable=False",
        f"{_RECOVERY} -k knew_it_durable",
    ),
    Mutant(
        "predecessor-not-synced-before-rolling",
        "log/writer.py",
        "            self._system.datasync(place.fd)\n",
        "            pass\n",
        f"{_FAULTS} -k test_L1",
    ),
    Mutant(
        "torn-end-not-sealed",
        "log/recovery.py",
        "    if ending.verdict is Verdict.TORN:\n        shared.intend(fresh.segment + 1, 0)\n    else:\n"
        "        shared.intend(fresh.segment, fresh.end)\n",
        "    shared.intend(fresh.segment, fresh.end)\n",
        f"{_RECOVERY} -k test_L4_L5",
    ),
    Mutant(
        "garbage-of-a-dead-writer-overwritten",
        "log/writer.py",
        "        if recovery.dirty(self._system, place, state.end, limit):",
        "        if False:",
        f"{_RECOVERY} -k finds_garbage",
    ),
    Mutant(
        "idempotency-forgotten-at-the-end-of-the-process",
        "log/catalog.py",
        "            if found is not None:\n                return found\n        return None\n\n    def last_touch",
        "            if found is not None and number == state.segment:\n                return found\n"
        "        return None\n\n    def last_touch",
        "tests/crash/test_kill_storm.py",
    ),
    Mutant(
        "tail-of-other-processes-not-read",
        "log/catalog.py",
        "                self._grow(live, state.end)\n",
        "",
        f"{_PROCESSES} -k test_L11",
    ),
    Mutant(
        "poison-not-shared",
        "log/durable.py",
        '                self._shared.poison(self._epoch)\n                raise failures.poisoned("the sync failed")',
        '                raise failures.poisoned("the sync failed")',
        f"{_FAULTS} -k every_process",
    ),
    Mutant(
        "unsynced-range-not-written-again",
        "log/recovery.py",
        "    _write_again(system, segments, place, start, state.end)\n    system.datasync",
        "    system.datasync",
        f"{_FAULTS} -k recovery_writes",
    ),
    Mutant(
        "joiner-does-not-write-again",
        "log/recovery.py",
        "    if start < state.end:\n        _write_again",
        "    if False:\n        _write_again",
        f"{_FAULTS} -k joins",
    ),
    Mutant(
        "reader-behind-a-roll-asks-the-live-index",
        "log/catalog.py",
        "                return self._sealed_index(state.segment)  # the writer has gone on, the durable end has not",
        "                return live",
        f"{_PROCESSES} -k not_confused",
    ),
    Mutant(
        "readers-see-what-is-only-written",
        "log/durable.py",
        "        mark = self._shared.mark.load()\n        if mark is None:",
        "        mark = self._shared.written.load()\n        if mark is None:",
        f"{_FAULTS} -k test_L1",
    ),
    Mutant(
        "child-keeps-the-store",
        "log/file_log.py",
        "        self.resume()\n        self._opened.close()",
        "        self.resume()",
        f"{_PROCESSES} -k outlives",
    ),
    Mutant(
        "fork-beside-a-commit",
        "log/file_log.py",
        "            if log is not None and log.quiesce():",
        "            if False and log is not None and log.quiesce():",
        f"{_PROCESSES} -k forked_children",
    ),
    Mutant(
        "times-step-back",
        "log/entry.py",
        "return (now, None) if now >= last else (last, now)",
        "return (now, None)",
        f"{_FAULTS} -k step_back",
    ),
    Mutant(
        "a-bad-name-of-a-segment-is-not-synced",
        "log/writer.py",
        "        segment.install(self._system, self._segments.folder, header)\n        self._sync_names()\n",
        "        segment.install(self._system, self._segments.folder, header)\n",
        f"{_FAULTS} -k test_L1",
    ),
    Mutant(
        "missing-last-segment-not-noticed",
        "log/recovery.py",
        "    if mark is not None and mark.segment > segments.last:",
        "    if mark is not None and False:",
        "tests/crash/test_flips.py -k each_segment",
    ),
    *FOUND,
)
