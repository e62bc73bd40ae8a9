"""Plans: a schedule as data, drawn from a seed, so that it can be repeated, made smaller, and kept."""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from tests.simulation.requests import Expectation, Request
from tests.simulation.work import Append, Look, Pause, Read, Reopen, Repair, Script, Step, Sync, Wait
from walnut.model.requests import Durability

Crash = Literal["none", "process", "power"]

_SIZES = (8, 8, 20, 40, 40, 120, 300, 300, 700, 2000)
_EVENTS = (1, 1, 1, 1, 2, 3, 5, 8)
_KEYS = 6


class Life(msgspec.Struct, frozen=True):
    """What happens from one start of the machine, or of its processes, to the next.

    `stop`: the process that makes the call of this number is stopped for so many seconds. `full`: the disk is.
    `crash` at the call of number `at`: of the process that makes it, or of the machine. `then`: how it ends when
    all is done: nothing, or the power goes. `faults`: call -> what it is refused with. `judged`: whether the store
    is recovered and looked at by itself before the next life; if not, a copy of it is, and the life goes on with
    the store as the crash left it.
    """

    scripts: tuple[Script, ...]
    crash: Crash = "none"
    at: int = 0
    then: Crash = "none"
    faults: tuple[tuple[int, str], ...] = ()
    stop: tuple[int, float] | None = None
    full: bool = False
    clock: int = 0
    judged: bool = True


class Plan(msgspec.Struct, frozen=True):
    """A schedule. `seed` decides who goes on at each call, and what becomes of what no sync has covered.

    `evicting`: what a failed sync gave up may be gone from the page cache.
    """

    seed: int
    lives: tuple[Life, ...]
    switch: float = 0.1
    names: Literal["journalled", "unordered"] = "journalled"
    evicting: bool = False
    views: bool = False


def draw(seed: int, *, views: bool = False) -> Plan:
    """The schedule of a seed."""
    return _Draw(seed).plan(views=views)


class _Draw:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = random.Random(seed)
        self._number = 0

    def plan(self, *, views: bool) -> Plan:
        rng = self._rng
        return Plan(
            seed=self._seed,
            lives=tuple(self._life() for _ in range(rng.choice((1, 2, 2, 3, 4)))),
            switch=rng.choice((0.02, 0.1, 0.3)),
            names=rng.choice(("journalled", "unordered")),
            evicting=rng.random() < 0.3,
            views=views,
        )

    def _life(self) -> Life:
        rng = self._rng
        processes = rng.choice((1, 1, 1, 2, 2, 3))
        steps = rng.choice((1, 4, 8, 16, 30))
        scripts = tuple(self._script(max(steps // processes, 1)) for _ in range(processes))
        reach = 60 + 25 * steps
        faults: list[tuple[int, str]] = []
        if rng.random() < 0.35:
            kinds = ("EIO", "EIO", "EIO", "EIO-read", "ENOSPC", "EINTR", "short", "short")
            faults = [(rng.randint(1, reach), rng.choice(kinds)) for _ in range(rng.choice((1, 1, 2, 5)))]
        crash: Crash = rng.choice(("none", "process", "process", "power", "power", "power"))
        at = rng.randint(1, rng.choice((40, 120, reach)))
        if faults and rng.random() < 0.3:  # who is told of a fault dies before it can tell anybody
            crash, at = "process", faults[0][0] + 1
        return Life(
            scripts=scripts,
            crash=crash,
            at=at if crash != "none" else 0,
            then=rng.choice(("none", "none", "power")),
            faults=tuple(sorted(faults)),
            stop=(rng.randint(1, reach), rng.choice((0.1, 2.0, 20.0))) if rng.random() < 0.1 else None,
            full=rng.random() < 0.03,
            clock=rng.choice((0, 0, 0, 0, -3_600, 86_400)),
            judged=rng.random() < 0.5,
        )

    def _script(self, steps: int) -> Script:
        rng = self._rng
        threads = rng.choice((1, 1, 1, 2, 3))
        each = max(steps // threads, 1)
        return Script(
            threads=tuple(tuple(self._step() for _ in range(each)) for _ in range(threads)),
            closes=rng.random() < 0.6,
        )

    def _step(self) -> Step:
        dice = self._rng.random()
        if dice < 0.80:
            return Append(self._request())
        if dice < 0.85:
            return Read(last=self._rng.choice((1, 8, 100)))
        if dice < 0.88:
            return Sync()
        if dice < 0.90:
            return Wait()
        if dice < 0.94:
            return Pause(seconds=self._rng.choice((0.01, 1.1, 3.5)))
        if dice < 0.98:
            return Reopen()
        return Repair() if dice < 0.99 else Look()

    def _request(self) -> Request:
        rng = self._rng
        durability: Durability = "disk" if rng.random() < 0.75 else "process"
        expects: Expectation = "none"
        if rng.random() < 0.2:
            expects = rng.choice(("current", "current", "stale", "matches"))
        if rng.random() < 0.2:
            return self._keyed(durability)
        self._number += 1
        return Request(
            name=f"r{self._number}",
            sizes=_sizes(rng),
            memory=rng.randint(1, 3),
            durability=durability,
            expects=expects,
            times=rng.random() < 0.1,
        )

    def _keyed(self, durability: Durability) -> Request:
        """One of few, which come again and again, in this life and in later ones."""
        number = self._rng.randint(1, _KEYS)
        own = random.Random(self._seed * 100 + number)
        sizes = _sizes(own)
        memory, expects = own.randint(1, 3), own.choice(("none", "none", "current"))
        other = self._rng.random() < 0.1
        return Request(
            name=f"k{number}x" if other else f"k{number}",
            sizes=sizes,
            memory=memory,
            durability=durability,
            key=f"key{number}",
            expects=expects,  # type: ignore[arg-type]
        )


def _sizes(rng: random.Random) -> tuple[tuple[int, ...], ...]:
    sizes = [rng.choice(_SIZES) for _ in range(rng.choice(_EVENTS))]
    if len(sizes) > 1 and rng.random() < 0.5:
        return tuple((size,) for size in sizes)
    return (tuple(sizes),)
