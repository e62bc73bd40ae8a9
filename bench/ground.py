"""The ground that rows are measured on: a temporary folder, how long and how often to measure, stores to read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import walnut
from bench.figure import Rate
from bench.limit import Limit
from bench.texts import texts

ROOT = Path(__file__).resolve().parents[1]


class Ground:
    """What one run measures with; everything it makes lies in `folder`."""

    def __init__(
        self, folder: Path, *, quick: bool = False, full: bool = False, only: frozenset[str] = frozenset()
    ) -> None:
        self.folder = folder
        self.quick = quick
        self.full = full
        self.only = only  # contenders of the comparison, by name; empty for all
        self.seconds = 0.05 if quick else 0.25
        self.pairs = 1 if quick else 7
        self.limit = Limit(folder)
        self._made = 0
        self._stores: dict[int, Path] = {}

    def fresh(self) -> Path:
        """A path in the folder where nothing is yet."""
        self._made += 1
        return self.folder / f"store-{self._made}"

    def scaled(self, usual: int, *, quick: int) -> int:
        """A number of events, smaller in a quick run."""
        return quick if self.quick else usual

    def alternate(self, parties: Mapping[str, Callable[[], Rate]]) -> dict[str, list[Rate]]:
        """Let all take turns, A B C A B C; each has a turn before that does not count."""
        rates: dict[str, list[Rate]] = {name: [] for name in parties}
        for turn in range(self.pairs + 1):
            for name, party in parties.items():
                rate = party()
                if turn or self.quick:
                    rates[name].append(rate)
        return rates

    def store(self, count: int) -> Path:
        """A closed store of `count` memories with views and a checkpoint; made once in a run."""
        if count not in self._stores:
            path = self.fresh()
            notes = texts(count)
            with walnut.open(path, checkpoint_every=0) as memory:
                for start in range(0, count, 500):
                    memory.remember_many([{"text": text} for text in notes[start : start + 500]], durability="process")
                memory.wait(timeout=3600)
                memory.upkeep.checkpoint()
            self._stores[count] = path
        return self._stores[count]


def timed(step: Callable[[], object], seconds: float, *, events: int = 1) -> Rate:
    """Do it again and again for so long; `events` is what one step counts for."""
    count, cpu, start = 0, time.process_time(), time.perf_counter()
    while True:
        step()
        count += events
        now = time.perf_counter()
        if now >= start + seconds:
            return Rate(count, now - start, time.process_time() - cpu)
