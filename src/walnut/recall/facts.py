"""Facts: the events that a memory was derived from, and those that these were derived from, to a bounded depth."""

from __future__ import annotations

from collections.abc import Callable

from walnut.model.event import Event
from walnut.ports import Log

#: How far down evidence is followed, and how many events of it are read for one fact.
MAX_DEPTH = 4
MAX_READ = 64


def evidence(log: Log, fact: Event, readable: Callable[[Event], bool]) -> list[Event]:
    """What the fact rests on, nearest first, each event once; what is not readable leads no further.

    A cause is older than what it led to, so that a chain that says otherwise ends there.
    """
    found: dict[int, Event] = {}
    level = [fact]
    for _ in range(MAX_DEPTH):
        below: list[Event] = []
        for event in level:
            for lsn in () if event.content is None else event.content.caused_by:
                if not 0 < lsn < event.lsn or lsn in found:
                    continue
                if len(found) == MAX_READ:
                    return list(found.values())
                cause = found[lsn] = log.get(lsn)
                if readable(cause):
                    below.append(cause)
        level = below
    return list(found.values())
