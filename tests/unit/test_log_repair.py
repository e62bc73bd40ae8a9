"""What a repair keeps, what it names as lost, and what it refuses: small files, segments, the mark, all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import msgspec
import pytest

from tests.crash.faults import Failing
from tests.crash.stores import Ack, draft, fill, small_segments
from walnut.errors import LogCorruption
from walnut.log import frame, keys, segment
from walnut.log.file_log import FileLog
from walnut.log.repair import LOST, repair_folder
from walnut.log.verify import verify_folder
from walnut.model.event import Event
from walnut.model.results import RepairReport
from walnut.ports import Batch
from walnut.system import System

EVENTS = 40


class Store:
    """A closed store of several small segments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with FileLog.open(System(), str(folder)) as log:
            self.known: list[Ack] = fill(log, EVENTS, size=5000)
        self.identity = keys.load(System(), str(folder))
        self.segments = sorted(folder.glob("log/seg-*.g0"))
        assert len(self.segments) > 2

    def repair(self, *, accept_loss: bool = True) -> RepairReport:
        return repair_folder(System(), str(self.folder), accept_loss=accept_loss)

    def first_lsn(self, number: int) -> int:
        """The LSN that a segment begins with."""
        path = self.segments[number - 1]
        return segment.decode_header(path.read_bytes()[: segment.HEADER_SIZE], file=path.name).first_lsn

    def state(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def lost(self) -> list[int]:
        """LSNs of the placeholders, once everything else was found to be as it was written."""
        events = self.events()
        assert [event.lsn for event in events] == list(range(1, len(events) + 1))
        lost = [event.lsn for event in events if event.kind == LOST]
        for ack in self.known:
            if ack.lsn not in lost:
                assert events[ack.lsn - 1].raw_id.hex() == ack.event_id
        assert verify_folder(System(), str(self.folder)).ok
        return lost

    def events(self) -> list[Event]:
        with FileLog.open(System(), str(self.folder)) as log:
            return list(log.read())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with small_segments():
        yield Store(tmp_path / "store")


def damage(path: Path, at: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_an_intact_store_is_left_alone(store: Store) -> None:
    before = store.state()
    report = store.repair()
    assert (report.repaired, report.kept_events, report.lost_ranges, report.set_aside) == (False, EVENTS, (), ())
    assert store.state() == before


def test_L5_without_leave_a_repair_only_tells_what_would_be_lost(store: Store) -> None:
    damage(store.segments[1], segment.HEADER_SIZE + 200)
    lsn = store.first_lsn(2)
    before = store.state()
    report = store.repair(accept_loss=False)
    assert (report.repaired, report.kept_events, report.lost_ranges) == (False, EVENTS - 1, ((lsn, lsn),))
    assert report.findings
    assert store.state() == before
    again = store.repair()
    assert (again.repaired, again.kept_events, again.lost_ranges) == (True, EVENTS - 1, ((lsn, lsn),))
    assert store.lost() == [lsn]


@pytest.mark.parametrize("gone", [True, False])
def test_a_lost_format_is_made_anew_from_a_segment_and_nothing_else_changes(store: Store, gone: bool) -> None:
    file = store.folder / "FORMAT"
    file.unlink() if gone else damage(file, 5)
    damage(store.segments[0])  # so that the first segment can't tell whose it is
    with pytest.raises(LogCorruption):
        store.events()
    report = store.repair()
    assert report.lost_ranges == ()
    assert store.lost() == []
    found = keys.load(System(), str(store.folder))
    assert (found.log_id, found.secret) == (store.identity.log_id, store.identity.secret)


def test_a_lost_secret_is_replaced_with_leave_only_and_what_is_left_of_it_kept(store: Store) -> None:
    file = store.folder / "keys"
    body = msgspec.json.encode({"log": bytes(16).hex(), "secret": bytes(32).hex()})  # another log's
    file.write_bytes(body + f" {google_crc32c.value(body):08x}\n".encode())
    before = store.state()
    assert not store.repair(accept_loss=False).repaired
    assert store.state() == before
    assert "keys.damaged" in store.repair().set_aside
    assert (store.folder / "keys.damaged").read_bytes() == before[str(file)]
    assert store.lost() == []
    found = keys.load(System(), str(store.folder))
    assert found.log_id == store.identity.log_id
    assert found.secret not in (store.identity.secret, bytes(32))
    file.unlink()
    assert "keys.damaged" not in store.repair().set_aside
    assert store.lost() == []


def test_L5_a_log_without_any_sound_header_and_without_its_format_is_refused(store: Store) -> None:
    (store.folder / "FORMAT").unlink()
    for path in store.segments:
        damage(path)
    with pytest.raises(LogCorruption):
        store.repair()


def test_L2_frames_of_a_segment_whose_header_is_damaged_are_all_kept(store: Store) -> None:
    for path in store.segments:
        damage(path)
    report = store.repair()
    assert (report.kept_events, report.lost_ranges) == (EVENTS, ())
    assert store.lost() == []
    aside = {name.rpartition("/")[2] for name in report.set_aside}
    assert {path.name for path in store.segments} <= aside


def test_L3_the_lsns_of_a_segment_that_is_gone_are_kept_by_placeholders(store: Store) -> None:
    first, last = store.first_lsn(2), store.first_lsn(3) - 1
    store.segments[1].unlink()
    report = store.repair()
    assert report.lost_ranges == ((first, last),)
    assert store.lost() == list(range(first, last + 1))
    with FileLog.open(System(), str(store.folder)) as log:
        assert fill(log, 1)[0].lsn == EVENTS + 1


def test_L3_a_log_whose_segments_are_all_gone_keeps_its_lsns(store: Store) -> None:
    with FileLog.open(System(), str(store.folder)) as log:
        log.append(Batch(transactions=tuple((draft(f"more.{n}.2500", 2),) for n in range(2500))))
    for path in store.folder.glob("log/seg-*"):
        path.unlink()
    last = EVENTS + 2500
    report = store.repair()
    assert (report.kept_events, report.lost_ranges) == (0, ((1, last),))
    assert store.lost() == list(range(1, last + 1))
    with FileLog.open(System(), str(store.folder)) as log:
        assert fill(log, 1)[0].lsn == last + 1


def test_a_store_that_lost_all_its_segments_and_its_mark_can_be_written_again(store: Store) -> None:
    for path in [*store.segments, store.folder / "log" / "mark"]:
        path.unlink()
    report = store.repair()
    assert (report.repaired, report.kept_events) == (True, 0)
    assert [event.kind for event in store.events()] == [LOST]
    with FileLog.open(System(), str(store.folder)) as log:
        assert fill(log, 1)[0].lsn == 2


def test_L3_a_frame_that_lies_there_twice_is_kept_once(store: Store) -> None:
    """Valid where it lies, too, behind the end of the log."""
    path = store.segments[-1]
    data = bytearray(path.read_bytes())
    seed = frame.seed(store.identity.log_id, len(store.segments))
    header = frame.read_header(bytes(data), crc_seed=seed, offset=segment.HEADER_SIZE, at=segment.HEADER_SIZE)
    assert header is not None
    body = bytes(data[segment.HEADER_SIZE + frame.HEADER_SIZE : segment.HEADER_SIZE + header.length])
    at = len(data) - header.length
    again, _ = frame.place(header, body, prev_hash=header.prev_hash, crc_seed=seed, offset=at)
    data[at:] = again
    path.write_bytes(data)
    damage(store.segments[0], segment.HEADER_SIZE + 200)
    assert store.repair().kept_events == EVENTS - 1
    assert store.lost() == [1]


def test_an_earlier_repair_is_not_overwritten_and_what_a_killed_one_began_is_not_used(store: Store) -> None:
    damage(store.segments[0], segment.HEADER_SIZE + 200)
    first = store.repair()
    assert {name.partition("/")[0] for name in first.set_aside} == {"damaged-1"}
    kept = {path: path.read_bytes() for path in store.folder.glob("damaged-1/*")}
    left = store.folder / "log.new" / segment.name(1, 2)
    left.write_bytes(b"half a segment")
    damage(store.folder / "log" / segment.name(2, 1), segment.HEADER_SIZE + 200)
    second = store.repair()
    assert {name.partition("/")[0] for name in second.set_aside} == {"damaged-2"}
    assert len(store.lost()) == 2
    assert {path: path.read_bytes() for path in store.folder.glob("damaged-1/*")} == kept


def test_L4_a_repair_is_ready_once_the_names_of_what_it_made_are_on_disk(store: Store) -> None:
    """Else a power cut may leave the list without its files, and what is put aside next has nothing in its place."""
    damage(store.segments[1], segment.HEADER_SIZE + 200)
    system = Failing()
    repair_folder(system, str(store.folder), accept_loss=True)
    ready = system.touched.index("rename READY")
    made = max(at for at, touch in enumerate(system.touched[:ready]) if touch.startswith("rename seg-"))
    assert "sync_directory" in system.touched[made:ready]


def test_L5_a_damaged_list_of_repaired_files_is_refused_and_touches_nothing(store: Store) -> None:
    ready = store.folder / segment.REPAIRING
    ready.parent.mkdir(exist_ok=True)
    ready.write_bytes(b"{}")
    before = store.state()
    with pytest.raises(LogCorruption) as raised:
        store.repair()
    assert raised.value.file == segment.REPAIRING
    assert store.state() == before
