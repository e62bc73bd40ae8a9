"""Commits a second and latency over 1 to 256 writers, and events a second in batches; all contenders take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import walnut
from bench.child import LIMIT, Child
from bench.contenders import CONTENDERS, GREY, Contender
from bench.findings import Speed
from bench.ground import Ground
from bench.places import FAILURES, Places
from bench.servers import Postgres
from bench.writing import frame_size

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
#: Numbers of writers whose latencies are kept; they write for longer, since p99.9 needs thousands of writes.
TIMED = (1, 64)
PERCENTILES = (0.5, 0.95, 0.99, 0.999)
TURNS = 3
BATCH = 100

LIMIT_NAME, PGBENCH_NAME = "limit", "pgbench"
#: Not contenders, since they keep nothing that could be looked at again: what they are called, and how drawn.
BESIDE = {
    LIMIT_NAME: ("raw limit: pwrite + fdatasync", GREY, ".", ":"),
    PGBENCH_NAME: ("PostgreSQL (pgbench, in C)", "#009E73", "p", "--"),
}


class Sample:
    """What one turn of one party gave."""

    def __init__(self, rate: float, nanoseconds: Sequence[int], refused: int = 0, refusal: str = "") -> None:
        self.rate = rate
        self.nanoseconds = nanoseconds
        self.refused = refused
        self.refusal = refusal


T = TypeVar("T")
P = TypeVar("P")
#: Writers, seconds, whether latencies are wanted.
Party = Callable[[int, float, bool], Sample]


def speeds(ground: Ground, rooms: Places, missing: dict[str, str]) -> list[Speed]:
    """All parties, A B C, A B C, for each number of writers."""
    counts = (1, 4, 64) if ground.quick else COUNTS
    turns = 1 if ground.quick else TURNS
    samples: dict[str, dict[int, list[Sample]]] = {}
    batches: dict[str, list[float]] = {}
    with ExitStack() as stack:
        parties: dict[str, Party] = {LIMIT_NAME: _limit(ground)}
        batched: dict[str, Callable[[float], float]] = {}
        for contender in CONTENDERS:
            row = {name for name in ("writers", "batches") if contender.in_row(name, ground)}
            turn = _joined(contender, rooms, stack, missing) if row else None
            if turn and "writers" in row:
                parties[contender.name] = turn.rate
            if turn and "batches" in row:
                batched[contender.name] = turn.batches
            if contender.name == "postgres" and row and (pgbench := _pgbench(rooms)) is not None:
                parties[PGBENCH_NAME] = pgbench
        for _ in range(turns):
            for count in counts:
                seconds = ground.seconds * (3 if count in TIMED else 1)
                for name in list(parties):
                    sample = _taken(name, partial(parties[name], count, seconds, count in TIMED), parties, missing)
                    if sample:
                        samples.setdefault(name, {}).setdefault(count, []).append(sample)
            for name in list(batched):
                rate = _taken(name, partial(batched[name], ground.seconds), batched, missing)
                if rate:
                    batches.setdefault(name, []).append(rate)
    return [_speed(name, found, batches.get(name, [])) for name, found in samples.items()]


def _taken(name: str, turn: Callable[[], T], parties: dict[str, P], missing: dict[str, str]) -> T | None:
    """The turn's result; who fails is out from then on."""
    try:
        return turn()
    except FAILURES as error:
        del parties[name]
        missing[name] = f"{error} (speed)"
        return None


def _joined(contender: Contender, rooms: Places, stack: ExitStack, missing: dict[str, str]) -> _Turns | None:
    if why := contender.unavailable():
        missing[contender.name] = why
        return None
    try:
        (child,) = stack.enter_context(contender.children(1))
        if not contender.fresh:
            child.ask("open", at=str(rooms.fresh(contender).at))
    except FAILURES as error:
        missing[contender.name] = str(error)
        return None
    return _Turns(contender, rooms, child)


class _Turns:
    """The turns of one contender, whose worker stays; names never come again."""

    def __init__(self, contender: Contender, rooms: Places, child: Child) -> None:
        self._contender = contender
        self._rooms = rooms
        self._child = child
        self._turn = 0

    def rate(self, writers: int, seconds: float, latencies: bool) -> Sample:  # noqa: FBT001 - a Party
        """Write one by one; the first writes make connections and are not counted."""
        self._begin()
        self._child.ask("burst", writers=writers, each=1, process=f"w{self._turn}.")
        order = {"writers": writers, "seconds": seconds, "process": f"{self._turn}.", "latencies": latencies}
        said = self._child.ask("rate", limit=seconds + LIMIT, **order)
        self._end()
        nanoseconds = said["nanoseconds"]
        assert isinstance(nanoseconds, list)
        rate = int(str(said["count"])) / float(str(said["seconds"]))
        return Sample(rate, nanoseconds, int(str(said["refused"])), str(said["refusal"]))

    def batches(self, seconds: float) -> float:
        """Events a second in batches."""
        self._begin()
        said = self._child.ask("batches", limit=seconds + LIMIT, size=BATCH, seconds=seconds, process=f"{self._turn}.")
        self._end()
        return int(str(said["count"])) / float(str(said["seconds"]))

    def _begin(self) -> None:
        self._turn += 1
        if self._contender.fresh:
            self._child.ask("open", at=str(self._rooms.fresh(self._contender).at))

    def _end(self) -> None:
        if self._contender.fresh:
            self._child.ask("close")


def _limit(ground: Ground) -> Party:
    with walnut.open(ground.fresh()) as memory:
        size = frame_size(memory)

    def turn(writers: int, seconds: float, latencies: bool) -> Sample:  # noqa: FBT001 - a Party
        nanoseconds: list[int] = []
        wanted = nanoseconds if latencies else None
        return Sample(ground.limit.run(size, seconds, threads=writers, latencies=wanted).per_second, nanoseconds)

    return turn


def _pgbench(rooms: Places) -> Party | None:
    try:
        server: Postgres = rooms.postgres()
        server.table()
    except FAILURES:
        return None

    def turn(writers: int, seconds: float, latencies: bool) -> Sample:  # noqa: FBT001 - a Party
        nanoseconds: list[int] = []
        rate = server.insert(seconds, clients=writers, latencies=nanoseconds if latencies else None)
        return Sample(rate.per_second, nanoseconds)

    return turn


def _speed(name: str, samples: dict[int, list[Sample]], batches: list[float]) -> Speed:
    percentiles, writes = {}, {}
    for count in TIMED:
        pooled = sorted(each for sample in samples.get(count, []) for each in sample.nanoseconds)
        if pooled:
            places = (min(len(pooled) - 1, int(len(pooled) * part)) for part in PERCENTILES)
            percentiles[count] = [pooled[place] / 1e6 for place in places]
            writes[count] = len(pooled)
    everything = [sample for found in samples.values() for sample in found]
    return Speed(
        name=name,
        rates={count: [sample.rate for sample in found] for count, found in samples.items()},
        percentiles=percentiles,
        writes=writes,
        batches=batches,
        refused=sum(sample.refused for sample in everything),
        refusal=next((sample.refusal for sample in everything if sample.refusal), ""),
    )
