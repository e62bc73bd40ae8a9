"""Simulated processes, threads, locks and clocks do what those of a real machine may, decided by the seed."""

import random

import pytest

import walnut.testing
from tests.unit.simulated import SECTOR, made, stored
from walnut.system import System
from walnut.testing.sim import Deadlock, Fate, Killed, SimMachine, SimSystem


def test_a_process_that_dies_lets_go_of_its_locks_and_its_writes_stay() -> None:
    machine = SimMachine(1)

    def work(system: SimSystem) -> None:
        fd = made(system, size=4)
        assert system.try_lock_file(fd)
        system.write_at(fd, b"kept", 0)
        machine.die_at(1)
        system.datasync(fd)

    with pytest.raises(Killed):
        machine.call(work)

    def follower(system: SimSystem) -> bool:
        return system.try_lock_file(system.open_file("/f"))

    assert machine.call(follower)
    assert stored(machine, "/f") == b"kept"


def test_a_dead_process_has_no_effect_in_its_finally_blocks() -> None:
    machine = SimMachine(1)

    def work(system: SimSystem) -> None:
        fd = made(system, size=4)
        machine.die_at(1)
        try:
            system.datasync(fd)
        finally:
            system.write_at(fd, b"late", 0)

    with pytest.raises(Killed):
        machine.call(work)
    assert stored(machine, "/f") == bytes(4)


def test_locks_keep_other_processes_out() -> None:
    machine = SimMachine(3, switch=0.5)
    inside: list[str] = []

    def work(system: SimSystem) -> None:
        fd = system.open_file("/f", create=True)
        for _ in range(20):
            while not system.try_lock_file(fd):
                system.sleep(0.001)
            inside.append("in")
            system.write_at(fd, b"x", 0)
            assert inside == ["in"]
            inside.clear()
            system.unlock_file(fd)

    processes = [machine.start(work, name=f"p{n}") for n in range(3)]
    machine.run()
    assert [each.error for each in processes] == [None] * 3


def test_threads_wait_for_each_other_and_time_jumps() -> None:
    machine = SimMachine(5, switch=0.3)

    def work(system: SimSystem) -> tuple[list[int], float]:
        queue, told, seen = system.queue(), system.condition(), list[int]()

        def consume() -> None:
            for _ in range(3):
                seen.append(int(str(queue.get())))
            with told:
                told.notify_all()

        begun = system.monotonic()
        thread = system.start_thread(consume, name="consumer")
        with told:
            for each in range(3):
                queue.put(each)
            assert told.wait(60)
        system.sleep(3600)
        thread.join()
        return seen, system.monotonic() - begun

    seen, took = machine.call(work)
    assert seen == [0, 1, 2]
    assert took == pytest.approx(3600, abs=1)


def test_who_sleeps_may_be_due_before_another_has_done_its_calls() -> None:
    """Any call may take long."""
    order: list[str] = []

    def sleeper(system: SimSystem) -> None:
        system.sleep(0.001)
        order.append("woken")

    def busy(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        for _ in range(100):
            system.write_at(fd, b"x", 0)
        order.append("done")

    machine = SimMachine(1, switch=0.5)
    machine.start(sleeper)
    machine.start(busy)
    machine.run()
    assert order == ["woken", "done"]


def test_who_waits_for_ever_is_named() -> None:
    machine = SimMachine(1)
    machine.start(lambda system: system.queue().get(), name="stuck")
    with pytest.raises(Deadlock, match=r"stuck\.main waits for queue"):
        machine.run()


def test_short_writes_go_through_the_loop_of_the_real_system() -> None:
    machine = SimMachine(1)
    data = random.Random(1).randbytes(5 * SECTOR)

    def work(system: SimSystem) -> None:
        fd = system.open_file("/f", create=True)
        machine.fail_at(1, "short")
        system.write_at(fd, data, 0)

    machine.call(work)
    assert SimSystem.write_at is System.write_at
    assert machine.disarm() == {"short": 1}
    assert stored(machine, "/f") == data


def test_a_stopped_process_keeps_its_locks() -> None:
    machine = SimMachine(1)

    def holder(system: SimSystem) -> None:
        fd = system.open_file("/f", create=True)
        assert system.try_lock_file(fd)
        machine.stop(process)
        system.sleep(1)

    def other(system: SimSystem) -> bool:
        system.sleep(10)
        refused = not system.try_lock_file(system.open_file("/f", create=True))
        machine.cont(process)
        return refused

    process = machine.start(holder, name="holder")
    second = machine.start(other, name="other")
    machine.run()
    assert second.result
    assert process.error is None


def test_a_seed_is_one_history() -> None:
    def history(seed: int) -> list[str]:
        machine = SimMachine(seed, switch=0.4)

        def work(system: SimSystem) -> None:
            fd = system.open_file("/f", create=True)
            for _ in range(10):
                system.write_at(fd, system.random(8), int.from_bytes(system.random(1), "big"))

        for number in range(3):
            machine.start(work, name=f"p{number}")
        machine.cut_at(25)
        machine.run()
        return [*machine.trace, repr(stored(machine, "/f"))]

    assert history(7) == history(7)
    assert history(7) != history(8)


def test_a_sync_covers_what_was_written_before_it_began_and_no_more() -> None:
    def one(seed: int) -> bytes | None:
        machine = SimMachine(seed, switch=0.5)
        machine.call(lambda system: made(system, size=2 * SECTOR))

        def first(system: SimSystem) -> None:
            system.datasync(system.open_file("/f"))

        def second(system: SimSystem) -> None:
            fd = system.open_file("/f")
            system.write_at(fd, b"b" * SECTOR, 0)
            system.datasync(fd)
            system.write_at(fd, b"c" * SECTOR, SECTOR)

        for work in (first, second):
            machine.start(work)
        machine.run()
        machine.power_cut(Fate.OLD)
        return stored(machine, "/f")

    synced = b"b" * SECTOR
    assert {one(seed) for seed in range(200)} == {synced + bytes(SECTOR), synced + b"c" * SECTOR}


def test_others_see_half_of_a_write_that_is_under_way() -> None:
    seen: set[bytes] = set()
    for seed in range(100):
        machine = SimMachine(seed, switch=0.5)
        machine.call(lambda system: made(system, size=2 * SECTOR))

        def write(system: SimSystem) -> None:
            system.write_at(system.open_file("/f"), b"w" * 2 * SECTOR, 0)

        def read(system: SimSystem) -> None:
            seen.add(system.read_at(system.open_file("/f"), 2 * SECTOR, 0))

        for work in (write, read):
            machine.start(work)
        machine.run()
    assert seen == {bytes(2 * SECTOR), b"w" * SECTOR + bytes(SECTOR), b"w" * 2 * SECTOR}


def test_a_process_stopped_at_a_call_goes_on_later_and_hears_what_it_has_missed() -> None:
    machine = SimMachine(1)

    def work(system: SimSystem) -> float:
        told, begun = system.condition(), system.monotonic()

        def tell() -> None:
            with told:
                told.notify()

        with told:
            system.start_thread(tell, name="teller")
            machine.stop_at(1, 30)
            assert told.wait(60)
            system.make_folder("/d")
        return system.monotonic() - begun

    assert machine.call(work) == pytest.approx(30, abs=0.1)


def test_a_lock_whose_conversion_fails_is_lost() -> None:
    def work(system: SimSystem) -> None:
        fds = [system.open_file("/f", create=True) for _ in range(3)]
        assert all(system.try_lock_file(fd, shared=True) for fd in fds[:2])
        assert not system.try_lock_file(fds[0])
        system.unlock_file(fds[1])
        assert system.try_lock_file(fds[2])

    SimMachine(1).call(work)


def test_the_number_of_a_closed_file_is_used_again() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system)
        system.close_file(fd)
        assert system.open_file("/f") == fd

    SimMachine(1).call(work)


def test_the_simulator_is_published_with_the_contracts() -> None:
    assert walnut.testing.SimMachine is SimMachine
    assert walnut.testing.SimSystem is SimSystem
