"""Rot: a byte of a store at rest changes; it is noticed, and the repair keeps the rest, wherever that is crashed.

Only bytes that something vouches for are changed: all of a store that was closed, since its mark knows the end; all
before the last frame of a machine that lost power, since that one's header knows the others to be durable. A damaged
last frame there can look like one that was never whole.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

from tests.simulation.oracle import Book, Witness
from tests.simulation.plans import Life, Plan, draw
from tests.simulation.tally import Tally
from tests.simulation.trial import cut, judge, live
from tests.simulation.work import PATIENCE, STORE, Append, Script
from walnut.errors import LogCorruption
from walnut.log import frame
from walnut.log.file_log import FileLog
from walnut.log.repair import repair_folder
from walnut.model.results import Position
from walnut.system import System
from walnut.testing.sim import Fate, Faults, Killed, SimMachine


class Rotten:
    """A store that was closed, or lost power and with it what the mark said last; one byte of it is then changed."""

    def __init__(self, seed: int, tally: Tally) -> None:
        self._rng = random.Random(seed)
        self._tally = tally
        self._machine = SimMachine(seed, faults=Faults(names="unordered" if seed % 2 else "journalled"))
        self._book = Book()
        self._closed = self._rng.random() < 0.5
        live(self._machine, self._book, Life(scripts=(_writer(draw(seed), closes=self._closed),)), tally)
        if not self._closed:
            cut(self._machine, self._book, tally, fate=self._rng.choice((None, Fate.OLD)))
        self._places = self._machine.fork().call(_places)
        self._path, self._offset = self._choose()

    @property
    def what(self) -> str:
        """Which byte."""
        return f"{self._path}, offset {self._offset}"

    def _choose(self) -> tuple[str, int]:
        rng, places = self._rng, self._places
        if places and not self._closed:
            last = places[-1]
            places = [place for place in places if (place.offset, place.file) != (last.offset, last.file)]
        if rng.random() < 0.1 or not places:
            name = rng.choice(("FORMAT", "keys"))
            return f"{STORE}/{name}", rng.randrange(100)
        place = rng.choice((*places, places[-1]))
        if rng.random() < 0.1:
            return f"{STORE}/{place.file}", rng.randrange(512)
        within = rng.randrange(rng.choice((frame.HEADER_SIZE, place.length)))
        return f"{STORE}/{place.file}", place.offset + within

    def _damaged(self) -> tuple[SimMachine, Book]:
        machine, book = self._machine.fork(), self._book.copy()
        file = machine.names.at(self._path)
        assert file is not None
        change = 1 + self._rng.randrange(255)
        file.data[self._offset] ^= change
        file.sure[self._offset] ^= change
        return machine, book

    def judge(self, *, stride: int) -> Iterator[Witness]:
        """Opening refuses or loses nothing; so does a repair, also one that is crashed and run again."""
        if not self._places:
            return
        self._tally.faults["byte changed"] = self._tally.faults.get("byte changed", 0) + 1
        machine, book = self._damaged()
        if not machine.fork().call(_refuses):
            yield from judge(machine, book, self._tally)
            return
        trial = machine.fork()
        before = trial.calls
        gone = trial.call(_repair)
        yield from self._repaired(trial, book.copy(), gone)
        for at in range(1, trial.calls - before, stride):
            for power in (False, True):
                second = machine.fork(at)
                self._tally.schedules += 1
                self._crashed(second, at, power=power)
                again = second.call(_repair)  # tells of nothing when only the report was missing
                if again - gone:
                    yield Witness("lost-more", min(again - gone), f"crashed at {at}, the repair lost {sorted(again)}")
                yield from self._repaired(second, book.copy(), gone)

    def _crashed(self, machine: SimMachine, at: int, *, power: bool) -> None:
        if power:
            machine.cut_at(at)
            self._tally.power_cuts += 1
        else:
            machine.die_at(at)
            self._tally.process_deaths += 1
        with suppress(Killed):
            machine.call(_repair)
        machine.disarm()

    def _repaired(self, machine: SimMachine, book: Book, gone: frozenset[int]) -> Iterator[Witness]:
        hit = {
            place.lsn
            for place in self._places
            if self._path.endswith(place.file) and place.offset <= self._offset < place.offset + place.length
        }
        if gone - hit:
            yield Witness("lost-more", min(gone - hit), f"{self._path} {self._offset}: the repair lost {sorted(gone)}")
        yield from judge(machine, book, self._tally, gone=gone)


def _writer(plan: Plan, *, closes: bool) -> Script:
    """The appends of a plan, in one thread, all at disk and none with a condition."""
    steps = [
        step
        for life in plan.lives
        for script in life.scripts
        for thread in script.threads
        for step in thread
        if isinstance(step, Append) and step.request.expects == "none" and step.request.durability == "disk"
    ]
    return Script(threads=(tuple(steps),), closes=closes)


def _places(system: System) -> list[Position]:
    """Where each event lies."""
    log = FileLog.open(system, STORE, busy_timeout=PATIENCE)
    return [log.locate(lsn) for lsn in range(1, log.durable_lsn() + 1)]


def _refuses(system: System) -> bool:
    try:
        list(FileLog.open(system, STORE, busy_timeout=PATIENCE).read())
    except LogCorruption:
        return True
    return False


def _repair(system: System) -> frozenset[int]:
    """Repair; the LSNs that are lost."""
    report = repair_folder(system, STORE, accept_loss=True)
    return frozenset(lsn for first, last in report.lost_ranges for lsn in range(first, last + 1))
