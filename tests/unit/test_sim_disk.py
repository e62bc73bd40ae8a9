"""The simulated disk keeps to its fault model: what may be lost sometimes is, what is sure never is."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.unit.simulated import SECTOR, made, stored
from walnut.testing.sim import Fate, Faults, SimMachine, SimSystem

TRIALS = range(60)


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


def test_pages_that_a_failed_sync_gave_up_may_leave_the_cache() -> None:
    def read_back(seed: int, *, evicting: bool) -> bytes:
        machine = SimMachine(seed, faults=Faults(evicting=evicting))

        def work(system: SimSystem) -> bytes:
            fd = made(system, size=SECTOR)
            system.write_at(fd, b"a" * SECTOR, 0)
            machine.fail_at(1, "EIO")
            with pytest.raises(OSError, match="Input/output"):
                system.datasync(fd)
            return system.read_at(fd, SECTOR, 0)

        return machine.call(work)

    assert {read_back(seed, evicting=True) for seed in TRIALS} == {b"a" * SECTOR, bytes(SECTOR)}
    assert {read_back(seed, evicting=False) for seed in TRIALS} == {b"a" * SECTOR}


def test_a_name_moved_between_folders_is_sure_once_both_were_synced() -> None:
    def names(*synced: str) -> set[tuple[bool, bool]]:
        found = set()
        for seed in TRIALS:
            machine = SimMachine(seed, faults=Faults(names="unordered"))

            def work(system: SimSystem) -> None:
                system.make_folder("/d")
                made(system, size=1)
                system.rename("/f", "/d/f")
                for folder in synced:
                    system.sync_directory(folder)

            machine.call(work)
            machine.power_cut()
            found.add((stored(machine, "/f") is not None, stored(machine, "/d/f") is not None))
        return found

    assert names("/") == {(True, False), (False, True)}
    assert names("/d", "/") == {(False, True)}


def test_a_read_may_be_refused() -> None:
    machine = SimMachine(1)

    def work(system: SimSystem) -> None:
        fd = made(system)
        machine.fail_at(0, "EIO-read")
        with pytest.raises(OSError, match="Input/output"):
            system.read_at(fd, 1, 0)
        assert system.read_at(fd, 1, 0) == b"\0"

    machine.call(work)
    assert machine.disarm() == {"EIO-read": 1}


def test_a_full_disk_refuses_what_needs_room_and_nothing_else() -> None:
    machine = SimMachine(1)

    def work(system: SimSystem) -> None:
        fd = made(system, size=SECTOR)
        machine.full = True
        system.write_at(fd, b"a" * SECTOR, 0)
        for refused in (
            lambda: system.write_at(fd, b"a", SECTOR),
            lambda: system.truncate(fd, 2 * SECTOR),
            lambda: system.open_file("/g", create=True),
            lambda: system.make_folder("/d"),
        ):
            with pytest.raises(OSError, match="No space"):
                refused()
        system.remove("/f")
        machine.full = False
        system.make_folder("/d")

    machine.call(work)
