"""Files beside and between the frames that are not what they say, and a disk that refuses at odd moments."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import msgspec
import pytest

from tests.crash.faults import Failing
from tests.crash.stores import Ack, draft, fill, judge, reopened, single, small_segments
from walnut.errors import (
    DurabilityUnknown,
    FormatTooNew,
    InvalidArgument,
    LogCorruption,
    NotAStore,
    StorageFailed,
    StorageFull,
    StoreClosed,
)
from walnut.log import frame, index, keys, segment
from walnut.log.file_log import FileLog
from walnut.log.index import Covered, SegmentIndex
from walnut.log.memory_log import MemoryLog
from walnut.log.repair import repair_folder
from walnut.log.segment import SegmentHeader
from walnut.log.verify import verify_folder
from walnut.model.event import Draft
from walnut.ports import Batch
from walnut.system import System

EVENTS = 12


class Store:
    """A closed store of a few segments, and the means to put lies into it."""

    def __init__(self, folder: Path, *, prefix: str = "fill") -> None:
        self.folder = folder
        with FileLog.open(System(), str(folder)) as log:
            self.known: list[Ack] = fill(log, EVENTS, prefix=prefix, size=9000)
            self.keys = [log.get(lsn).touch_keys()[0] for lsn in range(1, EVENTS + 1)]

    def open(self, system: System | None = None) -> FileLog:
        return FileLog.open(system or System(), str(self.folder))

    def segment(self, number: int) -> Path:
        return self.folder / "log" / segment.name(number)

    def sidecar(self, number: int) -> Path:
        return Path(f"{self.segment(number)}.idx")

    def header(self, number: int) -> SegmentHeader:
        return segment.decode_header(self.segment(number).read_bytes()[: segment.HEADER_SIZE], file="x")

    def claim(self, number: int, **changes: int) -> None:
        """Let a segment's header say something else, under a good checksum."""
        path = self.segment(number)
        header = msgspec.structs.replace(self.header(number), **changes)
        path.write_bytes(segment.encode_header(header) + path.read_bytes()[segment.HEADER_SIZE :])

    def answers(self) -> None:
        """Everything is found, by every way that goes over an index."""
        with self.open() as log:
            judge(log, self.known)
            for lsn, key in enumerate(self.keys, 1):
                assert log.get(lsn).lsn == log.last_touch(key) == lsn
                assert log.stream(key) == [lsn]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with small_segments():
        yield Store(tmp_path / "store")


# -- sidecars ----------------------------------------------------------------------------------------------------


def test_L5_a_sidecar_of_another_segment_is_ignored(store: Store) -> None:
    one, two = store.sidecar(1).read_bytes(), store.sidecar(2).read_bytes()
    store.sidecar(1).write_bytes(two)
    store.sidecar(2).write_bytes(one)
    store.answers()


def test_L5_a_sidecar_of_another_history_is_ignored(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other", prefix="elks")
    for number in (1, 2):
        store.sidecar(number).write_bytes(other.sidecar(number).read_bytes())
    store.answers()


def test_a_sidecar_that_covers_nothing_and_one_with_a_wrong_count_are_made_anew(store: Store) -> None:
    index.save(System(), str(store.sidecar(1)), SegmentIndex(1, 0))
    whole = store.sidecar(2).read_bytes()
    assert index.decode(whole) is not None
    longer = whole + bytes(8)
    longer = longer[:8] + struct.pack("<I", google_crc32c.value(longer[12:])) + longer[12:]
    assert index.decode(longer) is None
    store.sidecar(2).write_bytes(longer)
    store.answers()
    assert index.decode(store.sidecar(1).read_bytes()) is not None
    assert store.sidecar(2).read_bytes() == whole


def lying(store: Store, leave_out: int) -> None:
    """A sidecar of the first segment whose checksum and end are right, without one of its frames."""
    data = store.segment(1).read_bytes()
    sidecar = index.decode(store.sidecar(1).read_bytes())
    assert sidecar is not None
    made = SegmentIndex(1, 0)
    seed, at = frame.seed(keys.load(System(), str(store.folder)).log_id, 1), segment.HEADER_SIZE
    while at < sidecar.covered.end:
        header = frame.read_header(data, crc_seed=seed, offset=at, at=at)
        assert header is not None
        if header.first_lsn != leave_out:
            body = data[at + frame.HEADER_SIZE : at + header.length]
            envelopes = frame.read_envelopes(header, body)
            made.add(first_lsn=header.first_lsn, offset=at, envelopes=envelopes)
        at += header.length
    made.covered = Covered(*msgspec.structs.astuple(sidecar.covered))
    index.save(System(), str(store.sidecar(1)), made)


@pytest.mark.parametrize("lsn", [1, 2])
def test_L5_an_index_that_lies_is_an_error_and_never_another_event(store: Store, lsn: int) -> None:
    lying(store, lsn)
    with store.open() as log:
        with pytest.raises(LogCorruption) as raised:
            log.get(lsn)
        assert raised.value.first_lsn == lsn
        for other in range(1, EVENTS + 1):
            if other != lsn:
                assert log.get(other).lsn == other
        assert len(list(log.read())) == EVENTS


def test_a_sidecar_that_cannot_be_put_in_place_leaves_nothing_behind(store: Store) -> None:
    system = Failing()
    system.refuse = {"rename seg-": errno.ENOSPC}
    for path in store.folder.glob("log/*.idx"):
        path.unlink()
    with store.open(system) as log:
        judge(log, store.known)
        assert log.last_touch(store.keys[0]) == 1
        store.known += fill(log, 1, prefix="more")
    assert "rename seg-000000000001.g0.idx" in system.touched
    assert not list(store.folder.glob("log/*.idx"))
    assert not list(store.folder.glob("log/*.tmp"))
    reopened(str(store.folder), store.known)


class Unreadable(System):
    """A disk that can't read the files whose names end so."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self._bad: set[int] = set()

    def open_file(self, path: str, *, create: bool = False, exclusive: bool = False, write: bool = True) -> int:
        fd = super().open_file(path, create=create, exclusive=exclusive, write=write)
        (self._bad.add if path.endswith(self.suffix) else self._bad.discard)(fd)
        return fd

    def read_at(self, fd: int, length: int, offset: int) -> bytes:
        if fd in self._bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read_at(fd, length, offset)


def test_a_sidecar_that_the_disk_cannot_read_is_made_anew(store: Store) -> None:
    with store.open(Unreadable(".idx")) as log:
        judge(log, store.known)
        assert [log.last_touch(key) for key in store.keys] == list(range(1, EVENTS + 1))


# -- segments ----------------------------------------------------------------------------------------------------


def test_L5_L13_a_successor_that_claims_less_of_its_predecessor_hides_no_event(store: Store) -> None:
    """By exactly one frame, so that everything else fits."""
    last = store.header(2).first_lsn - 1
    with store.open() as log:
        offset = log.locate(last).offset
    for claimed in (offset, 0):
        store.claim(2, prev_end=claimed)
        for sidecar in store.folder.glob("log/*.idx"):
            sidecar.unlink()
        with store.open() as log:
            for ask in (lambda: list(log.read()), lambda: log.get(last)):
                with pytest.raises(LogCorruption):
                    ask()
        assert not verify_folder(System(), str(store.folder)).ok


def test_L5_segments_that_do_not_follow_one_another_are_refused(store: Store) -> None:
    whole = store.segment(2).read_bytes()
    for changes in ({"prev_last_lsn": 1}, {"first_lsn": 99}, {"prev_end": 2**40}):
        store.claim(2, **changes)
        with pytest.raises(LogCorruption):
            store.open()
        store.segment(2).write_bytes(whole)
    newest = max(int(path.name[4:16]) for path in store.folder.glob("log/seg-*.g0"))
    store.claim(newest, prev_end=segment.HEADER_SIZE)
    assert not verify_folder(System(), str(store.folder)).ok
    store.segment(newest).unlink()
    with pytest.raises(LogCorruption):  # the mark knows more
        store.open()


def test_a_segment_with_another_chain_hash_is_of_a_newer_walnut(store: Store) -> None:
    path = store.segment(1)
    data = bytearray(path.read_bytes())
    header = segment._HEADER
    fields = list(header.unpack_from(data))
    fields[14] = 77
    data[: header.size] = header.pack(*fields)
    data[8:12] = struct.pack("<I", google_crc32c.value(bytes(data[12 : segment.HEADER_SIZE])))
    path.write_bytes(data)
    with pytest.raises(FormatTooNew):
        store.open()


def test_a_segment_that_cannot_be_opened_is_the_disks_fault(store: Store) -> None:
    system = Failing()
    with store.open(system) as log:
        system.refuse = {"open seg-000000000001": errno.EIO}
        log._opened.segments._open.clear()
        with pytest.raises(StorageFailed):
            log.get(1)
        system.refuse = {}
        assert log.get(1).lsn == 1


def test_L13_a_handle_that_joined_tells_what_is_wrong_with_a_segment_it_never_opened(store: Store) -> None:
    with store.open() as log:
        data = bytearray(store.segment(1).read_bytes())
        data[100] ^= 4
        store.segment(1).write_bytes(data)
        with store.open() as joined:
            report = joined.verify()
            assert {finding.file for finding in report.findings} >= {f"log/{segment.name(1)}"}
            with pytest.raises(LogCorruption):
                joined.get(1)
            assert joined.get(EVENTS).lsn == EVENTS
            assert fill(log, 1)[0].lsn == EVENTS + 1


# -- writing -----------------------------------------------------------------------------------------------------


def test_L7_a_failed_sync_of_a_new_segments_name_is_final(store: Store) -> None:
    system = Failing()
    log = store.open(system)
    system.refuse = {"sync_directory": errno.EIO}
    with pytest.raises(DurabilityUnknown):
        fill(log, 3, prefix="roll", size=60_000)
    system.refuse = {}
    for _ in range(2):
        with pytest.raises(DurabilityUnknown):
            log.append(single("late.0.1"))
    with pytest.raises(DurabilityUnknown):
        log.close()
    with store.open() as again:
        judge(again, store.known)


def begun(log: FileLog, **changes: bytes | int) -> None:
    """Begin the next segment as a writer that died before it said so."""
    writer, opened = log._writer, log._opened
    with writer.lock:
        state = writer.begin()
        header = SegmentHeader(
            log_id=opened.identity.log_id,
            number=state.segment + 1,
            epoch=writer.epoch,
            first_lsn=state.lsn + 1,
            prev_end=state.end,
            prev_last_lsn=state.lsn,
            chain=state.chain,
            capacity=segment.capacity(state.segment + 1),
            created_at=1,
        )
        opened.shared.intend(state.segment + 1, 0)
        segment.install(System(), f"{log.folder}/log", msgspec.structs.replace(header, **changes))


def test_L9_a_segment_that_a_dead_writer_began_is_adopted(store: Store) -> None:
    with store.open() as log:
        before = log.size()[0]
        begun(log)
        store.known += fill(log, 1, prefix="more")
        assert log.size()[0] == before + 1
        judge(log, store.known)
    reopened(str(store.folder), store.known)


def test_L1_L9_the_name_of_an_adopted_segment_is_on_disk_before_it_is_written_to(store: Store) -> None:
    """Who began it may have died before it could sync the folder."""
    system = Failing()
    with store.open(system) as log:
        begun(log)
        system.touched.clear()
        store.known += fill(log, 1, prefix="more")
        assert "sync_directory" in system.touched[: system.touched.index("write")]


def test_L6_who_recovers_a_segment_that_the_mark_does_not_know_syncs_its_name_first(
    store: Store, tmp_path: Path
) -> None:
    with store.open() as log:
        begun(log)
        shutil.copytree(store.folder, tmp_path / "killed")
    system = Failing()
    with FileLog.open(system, str(tmp_path / "killed")) as again:
        assert "sync_directory" in system.touched[: system.touched.index("flush")], "the mark names it already"
        judge(again, store.known)


def test_L11_a_key_is_known_however_many_segments_ago_it_was_used(store: Store) -> None:
    keyed = single("keyed.0.1", key="key")
    with store.open() as log:
        (first,) = log.append(keyed)
        before = log.size()[0]
        fill(log, 8, prefix="more", size=60_000)
        assert log.size()[0] > before + 1
        (again,) = log.append(keyed)
        assert (again.lsn, again.replayed) == (first.lsn, True)
    for number in range(1, before + 3):
        store.sidecar(number).unlink(missing_ok=True)  # as after a kill
    with store.open() as log:
        (again,) = log.append(keyed)
        assert (again.lsn, again.replayed) == (first.lsn, True)


def test_L5_a_segment_that_does_not_follow_its_predecessor_is_not_adopted(store: Store) -> None:
    with store.open() as log:
        begun(log, chain=bytes(32))
        for _ in range(2):
            with pytest.raises(LogCorruption):
                log.append(single("late.0.1"))
        for lsn in range(1, EVENTS + 1):
            assert log.get(lsn).lsn == lsn


def test_L8_a_disk_that_refuses_while_a_dead_writers_end_is_looked_at_is_a_clear_refusal(store: Store) -> None:
    system = Unreadable(".none")
    with store.open(system) as log:
        state = log._writer.begin()
        log._opened.shared.intend(state.segment, state.end + 4096)
        fd = log._opened.segments.get(state.segment).fd
        system._bad.add(fd)
        with pytest.raises(StorageFailed):
            log.append(single("refused.0.1"))
        system._bad.discard(fd)
        store.known += fill(log, 1, prefix="again")
        judge(log, store.known)


def test_a_batch_that_fits_no_frame_is_refused_before_anything_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.open() as log:
        monkeypatch.setattr(frame, "MAX_BODY", 4096)
        with pytest.raises(InvalidArgument) as raised:
            log.append(single("large.0.1", 5000))
        assert raised.value.where == "items"
        assert log.durable_lsn() == EVENTS
        assert log.append(single("small.0.1"))[0].lsn == EVENTS + 1


def test_L8_a_secret_that_cannot_be_written_is_not_adopted(tmp_path: Path) -> None:
    system = Failing()
    with FileLog.open(system, str(tmp_path)) as log:
        before = log.secret
        for name in ("rename keys", "sync", "write"):
            system.refuse = {name: errno.ENOSPC}
            with pytest.raises(StorageFull):
                log.adopt_secret(bytes(range(32)))
            assert log.secret == before
        system.refuse = {}
        assert log.adopt_secret(bytes(range(32)))
    with FileLog.open(System(), str(tmp_path)) as log:
        assert log.secret == bytes(range(32))


def test_only_an_empty_log_in_memory_adopts_a_secret() -> None:
    log, secret = MemoryLog(System()), bytes(range(32))
    assert log.adopt_secret(secret)
    assert log.secret == secret
    log.append(single("first.0.1"))
    assert not log.adopt_secret(bytes(32))
    assert log.secret == secret
    log.close()


def test_L2_events_of_one_transaction_with_different_times_are_refused_and_of_several_kept(tmp_path: Path) -> None:
    def at(time: int, tag: str) -> Draft:
        return msgspec.structs.replace(draft(tag), recorded_at=time)

    with FileLog.open(System(), str(tmp_path)) as log:
        with pytest.raises(InvalidArgument):
            log.append(Batch(transactions=((at(5, "a.0.2"), at(6, "a.1.2")),)))
        with pytest.raises(InvalidArgument):  # the same time, once adopted and once the clock's
            log.append(Batch(transactions=((at(2**62, "a.0.2"), draft("a.1.2")),)))
        log.append(Batch(transactions=((at(5, "b.0.1"),), (at(6, "c.0.1"),))))
        assert [event.recorded_at for event in log.read()] == [5, 6]


# -- reading -----------------------------------------------------------------------------------------------------


def test_more_frames_than_are_kept_in_memory_are_read_as_well(tmp_path: Path) -> None:
    with FileLog.open(System(), str(tmp_path)) as log:
        for number in range(600):
            log.append(single(f"many.{number}.0.1", 2, durability="process"))
        log.sync()
        for _ in range(2):
            for lsn in range(1, 601):
                event = log.get(lsn)
                assert event.content is not None
                assert event.content.payload["tag"] == f"many.{lsn - 1}.0.1"


def test_a_reader_whose_log_was_closed_is_told_so_and_not_of_damage(store: Store) -> None:
    log = store.open()
    reading = log.read()
    assert next(reading).lsn == 1
    log.close()
    with pytest.raises(StoreClosed):
        list(reading)


# -- frames that lie under good checksums ------------------------------------------------------------------------


def replaced(store: Store, lsn: int, change: Callable[[frame.Header, bytes], tuple[frame.Header, bytes]]) -> None:
    """Put another frame of the same length where one of the first segment lies; the sidecars are gone, too."""
    with store.open() as log:
        at = log.locate(lsn)
    seed = frame.seed(keys.load(System(), str(store.folder)).log_id, 1)
    data = store.segment(1).read_bytes()
    header = frame.read_header(data, crc_seed=seed, offset=at.offset, at=at.offset)
    assert header is not None
    header, body = change(header, data[at.offset + frame.HEADER_SIZE : at.offset + header.length])
    raw, _ = frame.place(header, body, prev_hash=header.prev_hash, crc_seed=seed, offset=at.offset)
    assert len(raw) == at.length
    store.segment(1).write_bytes(data[: at.offset] + raw + data[at.offset + len(raw) :])
    for sidecar in store.folder.glob("log/*.idx"):
        sidecar.unlink()


def test_L5_envelopes_that_do_not_decode_are_told_by_whoever_needs_an_index(store: Store) -> None:
    replaced(store, 2, lambda header, body: (header, body[:8] + b"\xc1" + body[9:]))
    with store.open() as log:
        for ask in (lambda: log.last_touch(store.keys[0]), lambda: log.get(3), lambda: list(log.read())):
            with pytest.raises(LogCorruption) as raised:
                ask()
            assert raised.value.file == f"log/{segment.name(1)}"


def test_L3_a_reader_refuses_lsns_that_are_not_dense(store: Store) -> None:
    replaced(store, 2, lambda header, body: (msgspec.structs.replace(header, first_lsn=5), body))
    with store.open() as log:
        reading = log.read()
        assert next(reading).lsn == 1
        with pytest.raises(LogCorruption):
            next(reading)


def test_L5_a_segment_that_says_less_was_acknowledged_than_the_mark_knows_is_refused(store: Store) -> None:
    with store.open() as log:
        begun(log, prev_end=segment.HEADER_SIZE)
    with pytest.raises(LogCorruption):
        store.open()


def test_what_is_no_store_is_neither_verified_nor_repaired(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(NotAStore):
        verify_folder(System(), str(tmp_path))
    with pytest.raises(NotAStore):
        repair_folder(System(), str(tmp_path))
