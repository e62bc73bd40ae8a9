"""A whole store on a simulated machine: written, checkpointed, crashed at each call, and opened again."""

import gc
import sqlite3

import pytest

import walnut
from walnut.system import System
from walnut.testing.sim import Faults, Killed, SimMachine
from walnut.views.store import Stamp, ViewFile, create

TEXTS = [f"the invoice number {number} goes out as CSV" for number in range(4)]


def test_V4_a_store_crashed_at_any_call_answers_with_all_it_acknowledged() -> None:
    """By death, then by a power cut, at every third call of making, writing, checkpointing and closing it."""
    ended = False
    at = 1
    while not ended:
        machine = SimMachine(at, faults=Faults(names="unordered" if at % 2 else "journalled"))
        acknowledged: list[str] = []

        def work(system: System, acknowledged: list[str] = acknowledged) -> None:
            with walnut.open("/store", system=system) as memory:
                for text in TEXTS:
                    memory.remember(text)
                    acknowledged.append(text)
                    memory.recall("invoice")
                    memory.upkeep.checkpoint()

        machine.die_at(at)
        try:
            machine.call(work)
            ended = True
        except Killed:
            pass
        for dark in (False, True):
            again = machine.fork()
            if dark:
                again.power_cut()
            found = again.call(_found)
            assert found[: len(acknowledged)] == acknowledged, f"call {at}"
            assert found == TEXTS[: len(found)], f"call {at}"
        at += 3
    assert at > 100


def _found(system: System) -> list[str]:
    with walnut.open("/store", system=system) as memory:
        listed = [item.text for item in memory.list().items]
        assert sorted(hit.text for hit in memory.recall("invoice CSV", k=10)) == sorted(listed)
        return listed[::-1]


def test_V4_checkpoints_that_a_power_cut_left_half_are_passed_over() -> None:
    def work(system: System) -> None:
        memory = walnut.open("/store", system=system)
        memory.remember(TEXTS[0])
        memory.upkeep.checkpoint()

    calls = SimMachine(1)
    calls.call(work)
    whole = 0
    for seed in range(20):
        machine = SimMachine(seed)
        machine.cut_at(calls.calls - seed // 4)
        with pytest.raises(Killed):
            machine.call(work)
        assert machine.call(_found) == [TEXTS[0]]
        whole += any(path.endswith(".db") for path in machine.names.paths)
    assert whole


def test_views_in_memory_never_find_the_tables_of_a_machine_that_is_gone() -> None:
    """Machines of one seed draw the same random names, and the dead leave connections behind for a while."""
    left: list[sqlite3.Connection] = []

    def work(system: System) -> None:
        file = ViewFile(system, None)
        db, _ = file.beside("new")
        left.append(db)
        create(db, (), Stamp(b"", "", 0, b"", b"", 0))

    for _ in range(50):
        SimMachine(1).call(work)
        gc.collect()
    for db in left:
        db.close()
