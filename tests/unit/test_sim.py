"""The simulated machine keeps to its fault model: what may be lost sometimes is, what is sure never is."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from walnut.system import System
from walnut.testing.sim import Deadlock, Fate, Faults, Killed, SimMachine, SimSystem

SECTOR = 512
TRIALS = range(60)


def stored(machine: SimMachine, path: str) -> bytes | None:
    """What a process finds in a file."""

    def look(system: SimSystem) -> bytes | None:
        if not system.exists(path):
            return None
        fd = system.open_file(path, write=False)
        return system.read_at(fd, system.file_size(fd), 0)

    return machine.call(look)


def after_a_cut(
    work: Callable[[SimSystem], object], *, fate: Fate | None = None, names: str = "journalled"
) -> Counter[bytes | None]:
    """What is found in /f after a power cut, over many seeds."""
    found: Counter[bytes | None] = Counter()
    for seed in TRIALS:
        machine = SimMachine(seed, faults=Faults(names=names))  # type: ignore[arg-type]
        machine.call(work)
        machine.power_cut(fate)
        found[stored(machine, "/f")] += 1
    return found


def made(system: SimSystem, *, size: int = 2 * SECTOR) -> int:
    """An empty file of sure name and size."""
    fd = system.open_file("/f", create=True)
    system.truncate(fd, size)
    system.sync(fd)
    system.sync_directory("/")
    return fd


def test_what_was_synced_is_there() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system)
        system.write_at(fd, b"a" * SECTOR, 0)
        system.datasync(fd)

    assert set(after_a_cut(work)) == {b"a" * SECTOR + bytes(SECTOR)}


def test_what_was_not_synced_is_there_or_not_sector_by_sector() -> None:
    def work(system: SimSystem) -> None:
        system.write_at(made(system), b"a" * 2 * SECTOR, 0)

    a, none = b"a" * SECTOR, bytes(SECTOR)
    assert set(after_a_cut(work)) == {a + a, a + none, none + a, none + none}


def test_a_sector_is_in_any_of_its_versions_and_never_torn() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        for letter in b"abc":
            system.write_at(fd, bytes([letter]) * SECTOR, 0)

    assert set(after_a_cut(work)) == {bytes([each]) * SECTOR for each in b"\0abc"}


def test_a_failed_sync_is_not_made_good_by_a_later_one() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        system.write_at(fd, b"a" * SECTOR, 0)
        system.machine.fail_at(1, "EIO")
        with pytest.raises(OSError, match="Input/output"):
            system.datasync(fd)
        system.datasync(fd)

    assert set(after_a_cut(work)) == {b"a" * SECTOR, bytes(SECTOR)}


def test_what_is_written_again_after_a_failed_sync_is_synced() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        system.write_at(fd, b"a" * SECTOR, 0)
        system.machine.fail_at(1, "EIO")
        with pytest.raises(OSError, match="Input/output"):
            system.datasync(fd)
        system.write_at(fd, b"a" * SECTOR, 0)
        system.datasync(fd)

    assert set(after_a_cut(work)) == {b"a" * SECTOR}


def test_a_failed_sync_is_told_once_to_each_who_had_the_file_open() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        before = system.open_file("/f")
        system.machine.fail_at(1, "EIO")
        with pytest.raises(OSError, match="Input/output"):
            system.datasync(fd)
        system.datasync(system.open_file("/f"))
        with pytest.raises(OSError, match="Input/output"):
            system.datasync(before)
        system.datasync(before)
        system.datasync(fd)

    SimMachine(1).call(work)


@pytest.mark.parametrize("names", ["journalled", "unordered"])
def test_a_name_is_sure_once_its_folder_was_synced(names: str) -> None:
    def synced(system: SimSystem) -> None:
        made(system, size=1)

    def not_synced(system: SimSystem) -> None:
        system.sync(system.open_file("/f", create=True))

    assert set(after_a_cut(synced, names=names)) == {b"\0"}
    assert set(after_a_cut(not_synced, names=names)) == {None, b""}


def test_a_rename_is_whole_or_not_at_all() -> None:
    def work(system: SimSystem) -> None:
        made(system, size=1)
        fd = system.open_file("/g", create=True)
        system.write_at(fd, b"new", 0)
        system.sync(fd)
        system.sync_directory("/")
        system.rename("/g", "/f")

    assert set(after_a_cut(work)) == {b"\0", b"new"}
    assert set(after_a_cut(work, names="unordered")) == {b"\0", b"new"}


def test_journalled_names_come_in_order_and_unordered_ones_do_not() -> None:
    def work(system: SimSystem) -> None:
        system.open_file("/e", create=True)
        system.open_file("/f", create=True)

    def pairs(names: str) -> set[tuple[bool, bool]]:
        found = set()
        for seed in TRIALS:
            machine = SimMachine(seed, faults=Faults(names=names))  # type: ignore[arg-type]
            machine.call(work)
            machine.power_cut()
            found.add((stored(machine, "/e") is not None, stored(machine, "/f") is not None))
        return found

    assert pairs("journalled") == {(False, False), (True, False), (True, True)}
    assert pairs("unordered") == {(False, False), (True, False), (False, True), (True, True)}


def test_stores_to_a_map_are_seen_by_all_and_may_be_lost() -> None:
    def work(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        system.map_file(fd, SECTOR, write=True)[0:4] = b"abcd"
        assert system.read_at(fd, 4, 0) == b"abcd"

    assert {(each or b"")[:4] for each in after_a_cut(work)} == {b"abcd", bytes(4)}


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


def test_a_fork_goes_on_alike_and_apart() -> None:
    machine = SimMachine(1)
    machine.call(lambda system: system.write_at(made(system), b"x" * 2 * SECTOR, 0))
    alike = [machine.fork(), machine.fork()]
    others = [machine.fork(outcome) for outcome in range(1, 30)]
    for each in (*alike, *others):
        each.power_cut()
    assert stored(alike[0], "/f") == stored(alike[1], "/f")
    assert len({stored(each, "/f") for each in others}) > 2
    assert stored(machine, "/f") == b"x" * 2 * SECTOR
