"""Reopening to the first read over 10,000 to a million events, closed well and killed; bytes on disk an event."""

from __future__ import annotations

import time

from bench.child import Child
from bench.contenders import CONTENDERS, Contender
from bench.findings import Reopened
from bench.ground import Ground
from bench.places import FAILURES, Place, Places

SIZES = (10_000, 100_000)
FULL = 1_000_000
TURNS = 3
#: Seconds that filling one store may take, by whether the run is a full one.
FILLING = {False: 60.0, True: 600.0}


def reopened(ground: Ground, rooms: Places, missing: dict[str, str]) -> list[Reopened]:
    """Every contender fills a store and opens it again at each size; nothing else runs meanwhile."""
    found = []
    for contender in CONTENDERS:
        if not contender.in_row("reopened", ground):
            continue
        if why := contender.unavailable():
            missing[contender.name] = why
            continue
        result = Reopened(name=contender.name)
        try:
            place = rooms.fresh(contender)
            try:
                _grow(contender, ground, place, result)
            finally:
                rooms.done(place)
        except FAILURES as error:
            missing[contender.name] = f"{error} (reopening)"
        if result.closed:
            found.append(result)
    return found


def _grow(contender: Contender, ground: Ground, place: Place, result: Reopened) -> None:
    sizes = (1_000,) if ground.quick else (*SIZES, FULL) if ground.full else SIZES
    filled = 0
    for size in sizes:
        with contender.children(1) as (child,):
            if filled:
                place.start()
            child.ask("open", at=str(place.at))
            limit = FILLING[ground.full]
            said = child.ask("fill", limit=limit * 2, start=filled, stop=size, seconds=limit)
            filled = int(str(said["filled"]))
            own_size = child.ask("size")["bytes"]
            child.ask("close", limit=600)
        if filled < size:
            result.notes[size] = f"filling it took over {limit:.0f} s"
            return
        place.stop()
        result.parts.update({part: number / size for part, number in place.parts().items()})
        result.bytes[size] = (place.bytes() if own_size is None else int(str(own_size))) / size
        last, turns = f"f{size - 1}", 1 if ground.quick else TURNS
        with contender.children(1) as (child,):
            result.closed[size] = [_closed(child, place, last) for _ in range(turns)]
            result.killed[size] = [_killed(contender, child, place, last) for _ in range(turns)]


def _closed(child: Child, place: Place, last: str) -> float:
    seconds = _first_read(child, place, last)
    child.ask("close")
    place.stop()
    return seconds


def _killed(contender: Contender, child: Child, place: Place, last: str) -> float:
    """One opens it, writes once, dies; another opens it again."""
    with contender.children(1) as (victim,):
        place.start()
        victim.ask("open", at=str(place.at))
        victim.ask("burst", writers=1, each=1, process=f"k{time.monotonic_ns()}.")
        place.kill([victim])
    return _closed(child, place, last)


def _first_read(child: Child, place: Place, last: str) -> float:
    """Seconds from nothing (but a loaded library) to the last text, the start of a server included."""
    begun = time.perf_counter()
    place.start()
    child.ask("open", at=str(place.at), limit=600)
    child.ask("last", name=last, limit=600)
    return time.perf_counter() - begun
