"""What is answered where a refusal, a replay and a failed write meet: it is true, now and after a crash."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import msgspec
import pytest

import walnut
from tests.crash.faults import Failing
from tests.crash.stores import acks, draft, fill, judge, reopened, single, small_segments
from walnut.errors import IdempotencyConflict, NotFound, StorageFailed, StorageFull, VersionConflict
from walnut.log.file_log import FileLog
from walnut.ports import Appended, Batch, Condition, Ticket
from walnut.system import System


class Held(Failing):
    """A disk that works on a sync until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def datasync(self, fd: int) -> None:
        self.begun.set()
        assert self.go.wait(60)
        super().datasync(fd)


def conflict(lsn: int) -> VersionConflict:
    return VersionConflict("too late", current=lsn)


def untouched_since(tag: str, after: int) -> Batch:
    """A batch that is refused if the memory of `tag` was touched after an LSN."""
    condition = Condition(after=after, touches=frozenset(draft(tag).touches), error=conflict)
    return Batch(transactions=((draft("conditional.0.1"),),), conditions=(condition,))


def test_L12_a_conflict_names_what_is_on_disk(tmp_path: Path) -> None:
    with FileLog.open(System(), str(tmp_path)) as log, FileLog.open(System(), str(tmp_path)) as other:
        for tag in ("a.0.1", "b.0.1"):
            log.append(single(tag, durability="process"))
            with pytest.raises(VersionConflict) as raised:
                other.append(untouched_since(tag, 0))
            assert raised.value.current is not None
            assert log.durable_lsn() >= raised.value.current


def test_L11_another_request_under_a_key_is_told_the_lsn_of_what_is_on_disk(tmp_path: Path) -> None:
    with FileLog.open(System(), str(tmp_path)) as log:
        log.append(single("a.0.1", key="key", durability="process"))
        with pytest.raises(IdempotencyConflict) as raised:
            log.append(single("b.0.1", key="key", durability="process"))
        assert raised.value.lsn == 1 == log.durable_lsn()


def test_L12_a_conflict_with_what_is_on_disk_costs_no_sync(tmp_path: Path) -> None:
    system = Failing()
    with FileLog.open(system, str(tmp_path)) as log:
        log.append(single("a.0.1"))
        system.touched.clear()
        log.append(single("later.0.1", durability="process"))
        with pytest.raises(VersionConflict):
            log.append(untouched_since("a.0.1", 0))
        assert "datasync" not in system.touched


@pytest.mark.parametrize("what", ["version", "forgotten"])
def test_L12_who_is_refused_by_another_handle_s_write_finds_it_after_a_crash(tmp_path: Path, what: str) -> None:
    with walnut.open(tmp_path) as m, walnut.open(tmp_path) as other:
        ack = m.remember("first", key="a")
        if what == "version":
            newer = m.remember("second", key="a", durability="process")
            with pytest.raises(VersionConflict) as raised:
                other.remember("third", key="a", expected_version=ack.version)
            assert raised.value.current == newer.version
        else:
            newer = m.forget(ack.memory_id or "", durability="process")
            with pytest.raises(NotFound):
                other.remember("third", memory_id=ack.memory_id)
        assert other.log.durable_lsn >= newer.lsn


def test_L11_a_batch_with_one_key_for_two_requests_names_no_lsn_that_will_be_another_s() -> None:
    with walnut.open("memory://") as m:
        items = [{"text": "one", "idempotency_key": "k"}, {"text": "two", "idempotency_key": "k"}]
        with pytest.raises(IdempotencyConflict) as raised:
            m.remember_many(items)
        assert raised.value.lsn is None
        assert "LSN" not in str(raised.value)
        m.remember("one", idempotency_key="k")
        with pytest.raises(IdempotencyConflict) as raised:
            m.remember_many(items)
        assert raised.value.lsn == 1


def outcome(ticket: Ticket) -> tuple[Appended, ...] | type[Exception]:
    try:
        return ticket.result(60)
    except (StorageFull, VersionConflict, IdempotencyConflict) as error:
        return type(error)


def grouped(log: FileLog, system: Held, batches: list[Batch]) -> list[tuple[Appended, ...] | type[Exception]]:
    """What becomes of batches that share a commit, when the disk refuses to be written to."""
    system.begun.clear()
    system.go.clear()
    first = log.submit(single("first.0.1"))
    assert system.begun.wait(60)
    tickets = [log.submit(each) for each in batches]
    system.refuse = {"write": errno.ENOSPC}
    system.go.set()
    assert first.result(60)
    outcomes = [outcome(each) for each in tickets]
    system.refuse = {}
    return outcomes


def test_L8_L11_a_write_that_fails_is_not_the_error_of_who_shares_its_commit_and_writes_nothing(tmp_path: Path) -> None:
    system = Held()
    new, twice = single("new.0.1", key="new"), single("new.0.1", key="new")
    with small_segments(), FileLog.open(system, str(tmp_path)) as log:
        known = fill(log, 3)
        (before,) = log.append(single("keyed.0.1", key="key"))
        unsynced = single("unsynced.0.1", key="unsynced", durability="process")
        log.append(unsynced)
        again, late, refused, other, failed, dependent, overtaken = grouped(
            log,
            system,
            [
                single("keyed.0.1", key="key"),
                unsynced,
                untouched_since("keyed.0.1", 0),
                single("another.0.1", key="key"),
                new,
                twice,
                untouched_since("new.0.1", 0),
            ],
        )
        assert isinstance(again, tuple)
        assert (again[0].lsn, again[0].replayed) == (before.lsn, True)
        assert isinstance(late, tuple)
        assert log.durable_lsn() >= late[0].lsn
        assert (refused, other) == (VersionConflict, IdempotencyConflict)
        assert (failed, dependent, overtaken) == (StorageFull,) * 3
        (written,) = log.append(new)
        assert not written.replayed
        judge(log, known)


def timed(count: int, *, keys: bool) -> Batch:
    """As an import writes it: each transaction has a time of its own, and so a frame."""
    tags = [f"timed-{number}.0.1" for number in range(count)]
    drafts = [draft(tag, 300, key=tag if keys else None) for tag in tags]
    return Batch(transactions=tuple((msgspec.structs.replace(d, recorded_at=n + 1),) for n, d in enumerate(drafts)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("again", ["the same log", "another process", "opened again"])
def test_L8_of_a_batch_of_several_frames_that_the_disk_refuses_nothing_is_written(
    tmp_path: Path, number: int, again: str
) -> None:
    """Though the disk took a half of it: what a caller repeats is there once."""
    system, folder = Failing(), str(tmp_path)
    refused = StorageFull if number == errno.ENOSPC else StorageFailed
    with small_segments():
        log = FileLog.open(system, folder)
        for keys in (True, False):
            system.half_written, system.refuse = True, {"write": number}
            with pytest.raises(refused):
                log.append(timed(20, keys=keys))
            system.refuse = {}
            if again == "opened again":
                log.close()
                log = FileLog.open(system, folder)
            assert log.durable_lsn() == 0
        if again == "another process":
            with FileLog.open(System(), folder) as other:
                known = acks(timed(20, keys=True), other.append(timed(20, keys=True)))
        else:
            known = acks(timed(20, keys=True), log.append(timed(20, keys=True)))
        assert [ack.lsn for ack in known] == [*range(1, 21)]
        repeated = log.append(timed(20, keys=True))
        assert all(each.replayed for each in repeated)
        log.close()
        assert len(reopened(folder, known)) == 21


@pytest.mark.parametrize("touch", [0, 1])
def test_L2_an_import_killed_between_its_frames_leaves_all_of_a_batch_or_nothing(tmp_path: Path, touch: int) -> None:
    class Stops(System):
        """Ends as a killed process does: no call has an effect from the n-th write on."""

        left = -1

        def write_at(self, fd: int, data: bytes, offset: int) -> None:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            super().write_at(fd, data, offset)

    system = Stops()
    with FileLog.open(system, str(tmp_path)) as log:
        system.left = touch
        with pytest.raises(KeyboardInterrupt):
            log.append(timed(20, keys=True))
        system.left = -1
        assert log.append(single("after.0.1"))[0].lsn == 1
