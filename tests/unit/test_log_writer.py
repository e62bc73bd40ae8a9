"""The writer: what it leaves in the shared file and in the segments when several frames, or large ones, are written."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from tests.crash.stores import small_segments
from walnut.log.file_log import FileLog
from walnut.ports import Batch
from walnut.system import System
from walnut.testing.log_drafts import note


def numbers(folder: Path) -> set[int]:
    """The numbers of both stores of the written end."""
    data = (folder / "log" / "shared").read_bytes()
    return {struct.unpack_from("<Q", data, at + 8)[0] for at in (1024, 2048)}


def test_L9_the_end_before_stays_readable_however_many_frames_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with FileLog.open(System(), str(folder)) as log:
        log.append(Batch(transactions=((note("first"),),)))
        for count in (1, 2, 3, 4):
            before = max(numbers(folder))
            start = log.written_lsn()
            adopted = [msgspec.structs.replace(note(str(n)), recorded_at=2**62 + start + n) for n in range(count)]
            log.append(Batch(transactions=tuple((draft,) for draft in adopted)))
            assert numbers(folder) == {before, before + 1}
            assert [event.recorded_at - 2**62 for event in log.read(after=start)] == [start + n for n in range(count)]
        assert log.verify().ok


def test_L4_frames_that_do_not_fit_are_made_again_for_the_next_segment(tmp_path: Path) -> None:
    with small_segments(smallest=64 * 1024, largest=64 * 1024), FileLog.open(System(), str(tmp_path / "store")) as log:
        text = "x" * 20_000
        for count in (1, 2, 3, 5, 1, 4):
            log.append(Batch(transactions=tuple((note(text),) for _ in range(count))))
        report = log.verify()
        assert (report.ok, report.events) == (True, 16)
        assert report.segments > 3
        assert [event.lsn for event in log.read()] == list(range(1, 17))
