"""Exploration: each scenario crashes once at every call it makes, and again at every call of what recovers it.

A process that dies leaves the files as they are; from there the power goes too, with several outcomes for what no
sync had covered. Recovery from each of these crashes is itself crashed, by death and by a power cut, and judged.
Where there are three processes, one is stopped at every call and goes on when the others have met a fault or a death,
and recovered from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import structs

from tests.simulation.oracle import Book, Witness
from tests.simulation.plans import Life
from tests.simulation.scenarios import Scenario, script, write
from tests.simulation.tally import Tally
from tests.simulation.trial import cut, judge, live
from walnut.testing.sim import Faults, SimMachine

#: One history in so many compares the views with a replay.
VIEWS_EVERY = 100


class Depth(msgspec.Struct, frozen=True):
    """How thorough: every `stride`-th call, so many outcomes of a power cut, every `again`-th call of a recovery.

    0 for `again`: no second crash.
    """

    stride: int = 1
    outcomes: int = 3
    again: int = 0


class Failure(msgspec.Struct, frozen=True):
    """An anomaly that exploration met, and where."""

    scenario: str
    seed: int
    crash: str
    witnesses: tuple[Witness, ...]
    trace: tuple[str, ...]


#: What opens the store after the first crash, and writes on.
_RECOVERING = script(write("again", 40), write("again-p", 900, durability="process"), closes=False)


class Exploration:
    """All crashes of one scenario under one seed."""

    def __init__(self, scenario: Scenario, *, seed: int, depth: Depth, tally: Tally) -> None:
        self._scenario, self._seed, self._depth, self._tally = scenario, seed, depth, tally
        faults = Faults(names="unordered" if seed % 2 else "journalled", evicting=seed % 3 == 0)
        self._machine = SimMachine(seed, faults=faults, switch=0.3)
        self._book = Book(evicting=faults.evicting)
        for before in scenario.before:
            self._live(self._machine, self._book, Life(scripts=(before,)))
        if scenario.power_before:
            cut(self._machine, self._book, tally)

    def _live(self, machine: SimMachine, book: Book, life: Life) -> int:
        """Run it; returns the number of its calls."""
        before = machine.calls
        live(machine, book, life, self._tally)
        return machine.calls - before

    def run(self) -> Iterator[Failure]:
        """Every crash point; yields what fails."""
        before = self._tally.crash_points
        yield from self._all()
        crashes = self._tally.crash_points - before
        self._tally.where[self._scenario.name] = self._tally.where.get(self._scenario.name, 0) + crashes

    def _all(self) -> Iterator[Failure]:
        machine, book = self._machine.fork(), self._book.copy()
        calls = self._live(machine, book, Life(scripts=self._scenario.scripts))
        yield from self._judged(machine, book, "none")
        for at in range(1 + self._seed % self._depth.stride, calls + 1, self._depth.stride):
            yield from self._process_dies(at)
            yield from self._fails(at)
            if len(self._scenario.scripts) > 1 or len(self._scenario.scripts[0].threads) > 1:
                yield from self._power_goes(at)
            yield from self._stopped(at)
            yield from self._outlived(at, calls)

    def _process_dies(self, at: int) -> Iterator[Failure]:
        machine, book = self._machine.fork(), self._book.copy()
        self._live(machine, book, Life(scripts=self._scenario.scripts, crash="process", at=at))
        yield from self._aftermath(machine, book, f"death at {at}")

    def _fails(self, at: int) -> Iterator[Failure]:
        """The call is refused; or it is, and who is told dies before it can tell anybody."""
        for kinds in (("EIO",), ("ENOSPC",), ("EIO-read",), ("short", "ENOSPC")):
            machine, book = self._machine.fork(), self._book.copy()
            self._live(machine, book, Life(scripts=self._scenario.scripts, faults=tuple(enumerate(kinds, at))))
            yield from self._aftermath(machine, book, f"{', '.join(kinds)} at {at}", deep=False)
        machine, book = self._machine.fork(), self._book.copy()
        told = Life(scripts=self._scenario.scripts, faults=((at, "EIO"),), crash="process", at=at + 1)
        self._live(machine, book, told)
        yield from self._aftermath(machine, book, f"EIO at {at}, death", deep=False)

    def _stopped(self, at: int) -> Iterator[Failure]:
        """For longer than anybody waits; others say so, and nothing of theirs is half done."""
        if len(self._scenario.scripts) > 1:
            machine, book = self._machine.fork(), self._book.copy()
            self._live(machine, book, Life(scripts=self._scenario.scripts, stop=(at, 20.0)))
            yield from self._judged(machine, book, f"stopped at {at}")

    def _outlived(self, at: int, calls: int) -> Iterator[Failure]:
        """Stopped while another dies or is refused a call, and others recover from that; then it goes on."""
        if not self._depth.again or len(self._scenario.scripts) < 3:
            return
        for then in range(at + 1, calls + 1, self._depth.again):
            for what, life in (
                ("death", Life((), crash="process", at=then)),
                ("EIO", Life((), faults=((then, "EIO"),))),
            ):
                machine, book = self._machine.fork(), self._book.copy()
                self._live(machine, book, structs.replace(life, scripts=self._scenario.scripts, stop=(at, 20.0)))
                yield from self._judged(machine.fork(), book.copy(), f"stopped at {at}, {what} at {then}")
                cut(machine, book, self._tally)
                yield from self._judged(machine, book, f"stopped at {at}, {what} at {then}, power")

    def _power_goes(self, at: int) -> Iterator[Failure]:
        """While several are at work."""
        for outcome in range(self._depth.outcomes):
            machine, book = self._machine.fork(outcome), self._book.copy()
            self._live(machine, book, Life(scripts=self._scenario.scripts, crash="power", at=at))
            yield from self._judged(machine, book, f"power at {at}, outcome {outcome}")
            yield from self._again(machine, book, f"power at {at}, outcome {outcome}")

    def _aftermath(self, machine: SimMachine, book: Book, what: str, *, deep: bool = True) -> Iterator[Failure]:
        yield from self._judged(machine.fork(), book.copy(), what)
        if deep:
            yield from self._again(machine, book, what)
        for outcome in range(self._depth.outcomes):
            dark, known = machine.fork(outcome), book.copy()
            cut(dark, known, self._tally)
            if deep:
                yield from self._again(dark, known, f"{what}, power, outcome {outcome}")
            yield from self._judged(dark, known, f"{what}, power, outcome {outcome}")

    def _again(self, machine: SimMachine, book: Book, what: str) -> Iterator[Failure]:
        """Crash what recovers and writes on."""
        if not self._depth.again:
            return
        trial, known = machine.fork(), book.copy()
        calls = self._live(trial, known, Life(scripts=(_RECOVERING,)))
        for at in range(1 + self._seed % self._depth.again, calls + 1, self._depth.again):
            second, knows = machine.fork(), book.copy()
            self._live(second, knows, Life(scripts=(_RECOVERING,), crash="process", at=at))
            yield from self._judged(second.fork(), knows.copy(), f"{what}; death at {at}")
            cut(second, knows, self._tally)
            self._tally.double += 2
            yield from self._judged(second, knows, f"{what}; death at {at}, power")

    def _judged(self, machine: SimMachine, book: Book, what: str) -> Iterator[Failure]:
        trace = tuple(machine.trace)
        self._tally.schedules += 1
        found = judge(machine, book, self._tally, views=self._tally.schedules % VIEWS_EVERY == 0)
        if found:
            self._tally.anomalies += 1
            yield Failure(self._scenario.name, self._seed, what, tuple(found), trace)
