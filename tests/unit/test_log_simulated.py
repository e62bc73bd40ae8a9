"""Rare meetings of processes with the log, on a simulated machine: each was found there by a seed."""

import pytest

from walnut.errors import DurabilityUnknown, LogBusy
from walnut.log.file_log import FileLog
from walnut.ports import Batch
from walnut.system import System
from walnut.testing.log_drafts import append, append_one, note, write
from walnut.testing.sim import Faults, SimMachine, SimProcess

STORE = "/store"


def make(system: System) -> None:
    FileLog.open(system, STORE).close()


def test_L9_who_goes_after_a_failed_opening_is_not_taken_for_damage() -> None:
    """It lets go of the write lock, and only then of its presence: no epoch has begun, and the store is not open."""
    machine = SimMachine(1, switch=0)
    machine.call(make)
    machine.power_cut()

    def leaving(system: System) -> None:
        assert system.try_lock_file(system.open_file(f"{STORE}/log/presence"), shared=True)
        system.sleep(0.5)

    def opening(system: System) -> int:
        system.sleep(0.1)
        with FileLog.open(system, STORE) as log:
            return append_one(log, note()).lsn

    machine.start(leaving)
    assert machine.call(opening) == 1


@pytest.mark.parametrize("lock", ["write", "sync"])
def test_L9_log_busy_means_that_nothing_was_written(lock: str) -> None:
    """Who can't have the lock to say that its write is durable does not say so: the outcome is unknown."""
    machine = SimMachine(1, switch=0)
    machine.call(make)

    def stopped(system: System) -> None:
        assert system.try_lock_file(system.open_file(f"{STORE}/log/lock.{lock}"))
        system.sleep(20)

    def writing(system: System) -> int:
        with FileLog.open(system, STORE, busy_timeout=1) as log:
            machine.start(stopped, name="stopped")
            system.sleep(1)
            with pytest.raises(LogBusy if lock == "write" else DurabilityUnknown, match=f"{lock} lock"):
                append(log, note("one"))
            system.sleep(60)
            append(log, note("two"))
            return len([event for event in log.read() if event.content and event.content.payload["text"] == "one"])

    assert machine.call(writing) == (0 if lock == "write" else 1)


def test_L6_pages_that_a_failed_sync_gave_up_are_not_written_again_as_frames() -> None:
    """The process that was told of the failed sync dies before it can tell; another syncs what it finds."""
    outcomes = set()
    for seed in range(60):
        machine = SimMachine(seed, faults=Faults(evicting=True), switch=0)
        machine.call(make)
        acknowledged: list[int] = []

        def failing(system: System, machine: SimMachine = machine) -> None:
            log = FileLog.open(system, STORE)
            append(log, note())
            system.sleep(0.4)  # the keeper looks after a second
            log.append(Batch(transactions=((note("x" * 3000),),), durability="process"))
            machine.fail_at(1, "EIO")
            machine.die_at(2)
            log.sync()

        first = machine.start(failing, name="failing")

        def following(system: System, first: SimProcess[None] = first, acknowledged: list[int] = acknowledged) -> None:
            system.sleep(0.2)
            log = FileLog.open(system, STORE)
            while first.alive:
                system.sleep(0.1)
            try:
                acknowledged.append(append_one(log, note("after")).lsn)
            except DurabilityUnknown:
                outcomes.add("refused")

        machine.call(following)
        machine.power_cut()

        def found(system: System) -> list[int]:
            with FileLog.open(system, STORE) as log:
                assert log.verify().ok
                return [event.lsn for event in log.read()]

        assert set(acknowledged) <= set(machine.call(found)), f"seed {seed}"
        outcomes.update("acknowledged" for _ in acknowledged)
    assert outcomes == {"refused", "acknowledged"}


def test_L7_frames_that_a_failed_sync_gave_up_are_an_unknown_outcome_and_no_damage() -> None:
    """Another process that must read behind the durable end, to admit its own write, finds half of a frame there."""
    outcomes = set()
    for seed in range(40):
        machine = SimMachine(seed, faults=Faults(evicting=True), switch=0)
        machine.call(make)

        def failing(system: System, machine: SimMachine = machine) -> None:
            log = FileLog.open(system, STORE)
            append(log, write(1))
            system.sleep(0.4)
            log.append(Batch(transactions=((write(1, "x" * 3000),),), durability="process"))
            machine.fail_at(1, "EIO")
            machine.die_at(2)
            log.sync()

        first = machine.start(failing, name="failing")

        def following(system: System, first: SimProcess[None] = first) -> None:
            system.sleep(0.2)
            log = FileLog.open(system, STORE)
            while first.alive:
                system.sleep(0.1)
            try:
                append(log, write(1))
                outcomes.add("acknowledged")
            except DurabilityUnknown:
                outcomes.add("refused")
                log = FileLog.open(system, STORE)
                append(log, write(1))
            assert log.verify().ok

        machine.call(following)
    assert outcomes == {"refused", "acknowledged"}


def test_L7_a_mark_that_is_gone_is_an_unknown_outcome_and_mended_by_opening_again() -> None:
    def work(system: System) -> list[int]:
        log = FileLog.open(system, STORE)
        append(log, note())
        fd = system.open_file(f"{STORE}/log/mark")
        system.write_at(fd, bytes(4096), 0)
        with pytest.raises(DurabilityUnknown, match="mark"):
            append(log, note())
        with FileLog.open(system, STORE) as again:
            append(again, note())
            return [event.lsn for event in again.read()]

    assert SimMachine(1, switch=0).call(work) == [1, 2, 3]


def test_L7_nobody_vouches_for_an_lsn_that_is_another_events_since_a_recovery() -> None:
    """What a failed sync gave up is lost, its LSN used again and durable: the handle that wrote it must not say so."""
    taken = set()
    for seed in range(20):
        machine = SimMachine(seed, faults=Faults(evicting=True), switch=0)
        machine.call(make)

        def work(system: System, machine: SimMachine = machine) -> bool:
            log = FileLog.open(system, STORE)
            append(log, note())
            (mine,) = log.append(Batch(transactions=((write(1),),), durability="process"))
            machine.fail_at(1, "EIO")
            with pytest.raises(DurabilityUnknown):
                log.sync()
            recovered = FileLog.open(system, STORE)
            other = append_one(recovered, write(2))
            assert other.lsn >= mine.lsn
            with pytest.raises(DurabilityUnknown):
                log.sync(mine.lsn)
            with pytest.raises(DurabilityUnknown):
                log.last_touch(mine.touches[0])
            return other.lsn == mine.lsn

        taken.add(machine.call(work))
    assert taken == {True, False}
