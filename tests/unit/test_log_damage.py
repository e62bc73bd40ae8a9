"""Damage that is met while a log is open, that only verify can see, or that lies in the small files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import msgspec
import pytest

from tests.crash.faults import Failing
from tests.crash.stores import Ack, acks, draft, fill, judge, reopened, single, small_segments, wait_until
from walnut.errors import DurabilityUnknown, FormatTooNew, LogBusy, LogCorruption, NotFound, UnsupportedFileSystem
from walnut.log import frame, keeper, keys, segment
from walnut.log.file_log import FileLog
from walnut.log.verify import verify_folder
from walnut.model.results import VerifyReport
from walnut.ports import Batch
from walnut.system import System

FIRST = "log/seg-000000000001.g0"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A store of five events and a longer frame of three."""
    place = tmp_path / "store"
    with small_segments():
        with FileLog.open(System(), str(place)) as log:
            fill(log, 5)
            log.append(Batch(transactions=tuple((draft(f"three.{n}.3", 200),) for n in range(3))))
        yield place


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def test_L5_damage_met_by_a_reader_names_file_offset_and_lsns(folder: Path) -> None:
    for within in (20, frame.HEADER_SIZE + 30):  # in the header, in the body
        with FileLog.open(System(), str(folder)) as log:
            at = log.locate(3)
            flip(folder / FIRST, at.offset + within)
            for read in (lambda: log.get(3), lambda: list(log.read()), lambda: log.locate(3), lambda: log.chain(3)):
                with pytest.raises(LogCorruption) as raised:
                    read()
                assert (raised.value.file, raised.value.offset, raised.value.first_lsn) == (FIRST, at.offset, 3)
            assert [event.lsn for event in log.read(after=3)] == [4, 5, 6, 7, 8]
            report = log.verify()
            (finding,) = report.findings
            assert (finding.offset, finding.first_lsn, finding.last_lsn) == (at.offset, 3, 3)
            assert (report.ok, report.events) == (False, 7)
            flip(folder / FIRST, at.offset + within)
            assert log.verify().ok


def rewritten(
    folder: Path, lsn: int, change: Callable[[frame.Header, bytes], tuple[frame.Header, bytes]]
) -> VerifyReport:
    """What verify says once a frame was replaced by another of the same length whose checksums hold."""
    with FileLog.open(System(), str(folder)) as log:
        at = log.locate(lsn)
    seed = frame.seed(keys.load(System(), str(folder)).log_id, 1)
    data = (folder / FIRST).read_bytes()
    header = frame.read_header(data, crc_seed=seed, offset=at.offset, at=at.offset)
    assert header is not None
    header, body = change(header, data[at.offset + frame.HEADER_SIZE : at.offset + header.length])
    raw, _ = frame.place(header, body, prev_hash=header.prev_hash, crc_seed=seed, offset=at.offset)
    assert len(raw) == at.length
    (folder / FIRST).write_bytes(data[: at.offset] + raw + data[at.offset + len(raw) :])
    report = verify_folder(System(), str(folder))
    assert not report.ok
    assert report.findings[0].offset >= at.offset
    return report


def test_L13_a_content_that_was_exchanged_with_good_checksums_is_found(folder: Path) -> None:
    report = rewritten(folder, 3, lambda header, body: (header, body.replace(b"fill.2", b"fill.9")))
    assert report.findings[0].message == "a content does not match its commitment"
    assert report.findings[0].first_lsn == 3


def test_L13_a_broken_chain_is_found(folder: Path) -> None:
    report = rewritten(folder, 3, lambda header, body: (msgspec.structs.replace(header, prev_hash=bytes(32)), body))
    assert report.findings[0].message == "the chain is broken"


def test_L13_lsns_that_are_not_dense_are_found(folder: Path) -> None:
    report = rewritten(folder, 3, lambda header, body: (msgspec.structs.replace(header, first_lsn=4), body))
    assert report.findings[0].message == "LSNs are not dense"


def test_L13_a_section_that_does_not_decode_is_found_and_a_newer_one_told(folder: Path) -> None:
    whole = (folder / FIRST).read_bytes()
    report = rewritten(folder, 4, lambda header, body: (header, body[:8] + b"\xc1" + body[9:]))
    assert "envelopes do not decode" in report.findings[0].message
    with FileLog.open(System(), str(folder)) as log:
        with pytest.raises(LogCorruption):
            log.get(4)
        with pytest.raises(LogCorruption):
            list(log.read())
    (folder / FIRST).write_bytes(whole)

    def newer(header: frame.Header, body: bytes) -> tuple[frame.Header, bytes]:
        at = frame.PREAMBLE_SIZE + len(frame.envelope_section(body)) + 5  # the codec of the first content
        return header, body[:at] + b"\1" + body[at + 1 :]

    report = rewritten(folder, 4, newer)
    assert "codec" in report.findings[0].message
    with FileLog.open(System(), str(folder)) as log, pytest.raises(FormatTooNew):
        log.get(4)


def test_L13_verify_runs_beside_writers_and_tells_its_progress(folder: Path) -> None:
    seen: list[int] = []
    with FileLog.open(System(), str(folder)) as log:
        known = fill(log, 30, prefix="more", size=9000)
        report = verify_folder(System(), str(folder), progress=lambda done, _: seen.append(done))
        assert (report.ok, report.events, report.last_lsn) == (True, 38, 38)
        assert seen == sorted(seen)
        assert len(seen) > 1
        assert report.verdict.startswith("intact: 38 events")
        (folder / "log" / "mark").rename(folder / "log" / "elsewhere")
        assert verify_folder(System(), str(folder)).ok
        (folder / "log" / "elsewhere").rename(folder / "log" / "mark")
        judge(log, known)
    shutil.copyfile(folder / FIRST, folder / "log" / "seg-000000000003.g0")
    report = verify_folder(System(), str(folder))
    assert "seg-000000000003.g0" in {finding.file.removeprefix("log/") for finding in report.findings}
    assert "DAMAGED" in report.verdict


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("FORMAT", {"walnut": 2}, FormatTooNew),
        ("FORMAT", {"incompatible": 1}, FormatTooNew),
        ("FORMAT", {"walnut": "x"}, LogCorruption),
        ("FORMAT", {"log": "00" * 16}, LogCorruption),
        ("FORMAT", {"log": "00"}, LogCorruption),
        ("keys", {"secret": "zz"}, LogCorruption),
        ("keys", {"secret": "00"}, LogCorruption),
        ("keys", {"secret": 1}, LogCorruption),
    ],
)
def test_small_files_that_say_something_strange_are_refused(
    folder: Path, name: str, change: dict[str, object], expected: type[Exception]
) -> None:
    body = (folder / name).read_bytes().rpartition(b" ")[0]
    changed = msgspec.json.encode({**msgspec.json.decode(body), **change})
    (folder / name).write_bytes(changed + f" {google_crc32c.value(changed):08x}\n".encode())
    with pytest.raises(expected):
        FileLog.open(System(), str(folder))


@pytest.mark.parametrize("name", ["FORMAT", "keys"])
def test_L5_any_changed_byte_of_format_or_keys_is_refused(folder: Path, name: str) -> None:
    """A secret that is another one would make every key unknown, and nothing else would tell."""
    whole = (folder / name).read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        (folder / name).write_bytes(changed)
        with pytest.raises((LogCorruption, FormatTooNew)):
            keys.load(System(), str(folder))


def test_folder_and_files_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with FileLog.open(System(), str(tmp_path / "a" / "store")) as log:
            fill(log, 1)
    finally:
        os.umask(before)
    store = tmp_path / "a" / "store"
    assert store.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file()} == {0o600}
    assert (store / "log").stat().st_mode & 0o777 == 0o700


def test_L5_shared_files_damaged_while_open_are_a_clear_error(folder: Path) -> None:
    log = FileLog.open(System(), str(folder))
    shared, mark = folder / "log" / "shared", folder / "log" / "mark"
    good = shared.read_bytes()
    with shared.open("r+b") as file:
        file.write(b"\1" * 4)  # the head
    with pytest.raises(LogCorruption):
        FileLog.open(System(), str(folder))
    with shared.open("r+b") as file:
        file.write(good[:4])
        file.seek(1024)
        file.write(b"\1" * 3000)
    with pytest.raises(LogCorruption):
        log.append(single("x.0.1"))
    with pytest.raises(LogCorruption):
        log.sync()
    with mark.open("r+b") as file:
        file.write(b"\1" * 4096)
    with pytest.raises(DurabilityUnknown, match="the mark is damaged"):
        log.durable_lsn()
    with pytest.raises(DurabilityUnknown):
        log.close()
    mark.unlink()
    assert len(reopened(str(folder), [])) == 9


def test_a_store_under_repair_is_busy(folder: Path) -> None:
    system = System()
    fd = system.open_file(str(folder / "log" / "presence"))
    assert system.try_lock_file(fd)
    with pytest.raises(LogBusy):
        FileLog.open(System(), str(folder), busy_timeout=0.02)
    system.close_file(fd)
    FileLog.open(System(), str(folder), busy_timeout=0.02).close()


def test_network_file_systems_are_refused_unless_asked_for(tmp_path: Path) -> None:
    class Remote(System):
        def network_file_system(self, path: str) -> str | None:
            return "nfs4"

    with pytest.raises(UnsupportedFileSystem):
        FileLog.open(Remote(), str(tmp_path / "store"))
    FileLog.open(Remote(), str(tmp_path / "store"), network_file_system=True).close()


def test_L4_the_next_segment_is_prepared_ahead_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "INTERVAL", 0.005)
    system, spare = Failing(), tmp_path / "log" / segment.SPARE
    with small_segments(), FileLog.open(system, str(tmp_path)) as log:
        known = fill(log, 1, prefix="half", size=36_000)
        wait_until(spare.exists)
        assert spare.stat().st_size == segment.capacity(2)
        assert not spare.read_bytes().strip(b"\0")
        inode = spare.stat().st_ino
        known += fill(log, 1, prefix="roll", size=40_000)
        assert (tmp_path / "log" / segment.name(2)).stat().st_ino == inode
        system.refuse = {"rename spare": errno.ENOSPC}
        system.touched.clear()
        known += fill(log, 1, prefix="more", size=50_000)
        wait_until(lambda: "rename spare" in system.touched)
        known += fill(log, 1, prefix="again", size=90_000)  # without a spare
        wait_until(lambda: not list(tmp_path.glob("log/spare.*.tmp")))
        system.refuse = {}
        judge(log, known)


def test_L4_a_segment_that_a_power_cut_left_under_the_name_of_the_spare_too_is_not_written_over(tmp_path: Path) -> None:
    spare = tmp_path / "log" / segment.SPARE
    with small_segments(smallest=64 * 1024, largest=64 * 1024):
        with FileLog.open(System(), str(tmp_path)) as log:
            known = fill(log, 1, prefix="before", size=1000)
        os.link(tmp_path / "log" / segment.name(1), spare)  # a rename was kept, and the one before it was not
        with FileLog.open(System(), str(tmp_path)) as log:
            known += fill(log, 3, prefix="roll", size=50_000)
            judge(log, known)
        reopened(str(tmp_path), known)


def test_L1_what_was_written_at_process_is_synced_when_idle_also_after_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "INTERVAL", 0.005)
    system = Failing()
    log = FileLog.open(system, str(tmp_path))
    known: list[Ack] = []
    for number in range(3):
        batch = single(f"process-{number}.0.1", durability="process")
        system.refuse = {"flush": errno.EIO}
        known += acks(batch, log.append(batch))
        wait_until(lambda number=number: log.durable_lsn() == number + 1)  # type: ignore[misc]
        wait_until(lambda: "flush" in system.touched)
        system.refuse = {}
        wait_until(lambda: log._keeper._asleep)
    system.refuse = {"datasync": errno.EIO}
    log.append(single("lost.0.1", durability="process"))
    wait_until(lambda: bool(log._opened.shared.poisoned()))
    system.refuse = {}
    with pytest.raises(DurabilityUnknown):
        log.append(single("late.0.1"))
    with pytest.raises(DurabilityUnknown):
        log.wait(9, timeout=1)
    with pytest.raises(DurabilityUnknown):
        log.close()
    reopened(str(tmp_path), known)


def test_an_index_that_cannot_be_saved_or_read_is_made_anew(folder: Path) -> None:
    for path in folder.glob("log/*.idx"):
        path.unlink()
        path.mkdir()  # neither to be read nor to be replaced
    with FileLog.open(System(), str(folder)) as log:
        assert log.last_touch(log.get(4).touch_keys()[0]) == 4
        fill(log, 30, prefix="roll", size=9000)
        judge(log, [])
    assert not list(folder.glob("log/*.tmp"))


def test_only_an_empty_log_adopts_a_secret(tmp_path: Path, folder: Path) -> None:
    secret = bytes(range(32))
    with FileLog.open(System(), str(folder)) as log:
        assert not log.adopt_secret(secret)
    with FileLog.open(System(), str(tmp_path / "empty")) as log, FileLog.open(System(), log.folder) as other:
        assert not other.adopt_secret(secret)
        other.close()
        assert log.adopt_secret(secret)
    with FileLog.open(System(), str(tmp_path / "empty")) as log:
        assert log.secret == secret
        with pytest.raises(NotFound):
            log.get(1)
        with pytest.raises(NotFound):
            log.locate(0)
        assert log.chain(0) == bytes(32)
