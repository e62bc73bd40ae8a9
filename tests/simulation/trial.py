"""A trial: one schedule run on a simulated machine from its seed, and the store judged after each of its lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from tests.simulation.oracle import Book, Found, Witness, answers
from tests.simulation.plans import Life, Plan
from tests.simulation.tally import Tally
from tests.simulation.work import PATIENCE, STORE, Process, Script
from walnut.errors import LogCorruption
from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.ports import Log
from walnut.system import System
from walnut.testing.sim import Deadlock, Fate, Faults, SimMachine
from walnut.views.runner import Views

SMALLEST, LARGEST = 4 * 1024, 16 * 1024


@contextmanager
def tiny_segments() -> Iterator[None]:
    """Segments so small that a schedule begins several."""
    before = segment.SMALLEST, segment.LARGEST
    segment.SMALLEST, segment.LARGEST = SMALLEST, LARGEST
    try:
        yield
    finally:
        segment.SMALLEST, segment.LARGEST = before


class Outcome(msgspec.Struct, frozen=True):
    """What a trial has shown: witnesses of anomalies (none is good), and the last calls before the first of them."""

    witnesses: tuple[Witness, ...]
    trace: tuple[str, ...] = ()


def run(plan: Plan, tally: Tally) -> Outcome:
    """Run a schedule; the same plan always ends the same way."""
    machine = SimMachine(plan.seed, faults=Faults(names=plan.names, evicting=plan.evicting), switch=plan.switch)
    book = Book(evicting=plan.evicting)
    tally.schedules += 1
    for number, life in enumerate(plan.lives):
        last = number == len(plan.lives) - 1
        live(machine, book, life, tally)
        trace = tuple(machine.trace)
        if life.judged or last:
            found = judge(machine, book, tally, views=plan.views and last)
        else:
            found = judge(machine.fork(), book.copy(), tally)
        if found:
            return Outcome(tuple(found), trace)
    return Outcome(())


def live(machine: SimMachine, book: Book, life: Life, tally: Tally) -> None:
    """Run the processes of one life to their ends, whatever these are."""
    tally.lives += 1
    before, boot = machine.calls, machine.boots
    _arm(machine, life, tally)
    processes = [
        machine.start(_doing(script, book, tally), name=f"p{number}") for number, script in enumerate(life.scripts, 1)
    ]
    try:
        machine.run()
    except Deadlock as error:
        book.witnesses.append(Witness("deadlock", 0, str(error)))
    except Exception as error:  # noqa: BLE001 - of a thread that the log has started: a leak, and a witness
        book.witnesses.append(Witness("leaked-error", 0, repr(error)))
    for process in processes:
        if process.error is not None:
            book.witnesses.append(Witness("leaked-error", 0, repr(process.error)))
    died = any(process.killed for process in processes)
    machine.full = False
    tally.calls += machine.calls - before
    for kind, count in machine.disarm().items():
        tally.faults[kind] = tally.faults.get(kind, 0) + count
    if machine.boots != boot:
        tally.power_cuts += 1
        book.power_lost()
    elif died:
        tally.process_deaths += 1
    if life.then == "power":
        cut(machine, book, tally)


def _arm(machine: SimMachine, life: Life, tally: Tally) -> None:
    if life.clock:
        machine.step_clock(life.clock)
        tally.faults["clock step"] = tally.faults.get("clock step", 0) + 1
    if life.full:
        machine.full = True
        tally.faults["disk full"] = tally.faults.get("disk full", 0) + 1
    for at, kind in life.faults:
        machine.fail_at(at, kind)
    if life.stop:
        machine.stop_at(*life.stop)
    if life.crash == "process":
        machine.die_at(life.at)
    elif life.crash == "power":
        machine.cut_at(life.at)


def _doing(script: Script, book: Book, tally: Tally) -> Callable[[System], None]:
    return lambda system: Process(system, book, tally).run(script)


def cut(machine: SimMachine, book: Book, tally: Tally, *, fate: Fate | None = None) -> None:
    """The power goes; `fate` None leaves it to chance what that means."""
    machine.power_cut(fate)
    tally.power_cuts += 1
    book.power_lost()


def judge(
    machine: SimMachine, book: Book, tally: Tally, *, views: bool = False, gone: frozenset[int] = frozenset()
) -> list[Witness]:
    """Open the store in a process of its own, compare it with the book, ask it for answers; the process just ends.

    What it has shown is durable from then on. `gone`: LSNs that a repair has reported lost.
    """
    tally.recoveries += 1
    return machine.call(lambda system: _look(system, book, tally, views=views, gone=gone))


def _look(system: System, book: Book, tally: Tally, *, views: bool, gone: frozenset[int]) -> list[Witness]:
    try:
        log = FileLog.open(system, STORE, busy_timeout=PATIENCE)
        events = list(log.read())
        report = log.verify()
        found = Found(events, [f"{each.file} {each.offset}: {each.message}" for each in report.findings], gone)
        witnesses = book.judge(found)
        witnesses += answers(book, found, log)
        if views:
            tally.views += 1
            witnesses += _compare(system, log)
    except LogCorruption as error:
        return [*book.witnesses, Witness("false-alarm", error.first_lsn or 0, str(error))]
    except Exception as error:  # noqa: BLE001 - whatever else comes out of the log is a leak, and a witness
        return [*book.witnesses, Witness("leaked-error", 0, repr(error))]
    book.shown(events)
    return witnesses


def _compare(system: System, log: Log) -> Iterator[Witness]:
    """Views that are not what a replay gives."""
    views = Views.open(log, system, folder=STORE, checkpoint_every=0)
    try:
        views.catch_up()
        for check in views.verify():
            if not check.ok:
                yield Witness("view-differs", check.lsn, f"{check.name}: {', '.join(check.differences)}")
    finally:
        views.close()
