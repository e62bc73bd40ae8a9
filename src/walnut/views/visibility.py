"""Visibility: which events count, and which version of a memory holds at a moment, by rule and from the log alone.

These functions are the law (T1 to T3); the tables of the view are its fast copy and are tested against it. All
take a memory's stream: the events that touch it, in LSN order. Reverts touch every memory they change, so the
stream knows all there is to know.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from walnut.model.event import DELETE, Event, Json

#: Kinds that write a version of a memory.
WRITES = frozenset({"memory.write", "memory.update"})
FORGET = "memory.delete"
REVERT = "memory.reverted"
SHOWN = "memory.recalled"

#: Nothing that fits the tables lies later (ns).
END_OF_TIME = 2**63 - 1


class Moment(msgspec.Struct, frozen=True):
    """System time as an LSN, and the "now" of valid time in ns since 1970 UTC."""

    lsn: int
    valid_at: int


class Chosen(msgspec.Struct, frozen=True):
    """The version of a memory at a moment: its event's `lsn`, the last LSN that `touched` the memory, its scope."""

    memory: bytes
    lsn: int
    touched: int
    scope: str


def ranges(event: Event) -> list[tuple[int, int]]:
    """What a revert names: pairs of first and last LSN, all below its own. Nothing for other events."""
    if event.kind != REVERT or event.content is None:
        return []
    given = event.content.payload.get("ranges", [])
    if not isinstance(given, list):
        raise TypeError("ranges is not a list")
    return [(lo, min(hi, event.lsn - 1)) for lo, hi in map(_pair, given) if lo < event.lsn]


def _pair(given: Json) -> tuple[int, int]:
    if not isinstance(given, list) or len(given) != 2:
        raise TypeError("a range is not a pair")
    lo, hi = given
    if not isinstance(lo, int) or not isinstance(hi, int):
        raise TypeError("a range is not of LSNs")
    return lo, hi


def counting(events: Sequence[Event]) -> set[int]:
    """LSNs of the events that no counting revert among them names, decided from the newest down."""
    counts: set[int] = set()
    undone: list[tuple[int, int]] = []
    for event in sorted(events, key=_lsn, reverse=True):
        if any(lo <= event.lsn <= hi for lo, hi in undone):
            continue
        counts.add(event.lsn)
        undone += ranges(event)
    return counts


def choose(stream: Sequence[Event], moment: Moment) -> int | None:
    """LSN of the version that holds at the moment, None when the memory is absent then."""
    past = [event for event in stream if event.lsn <= moment.lsn]
    begun = [event for event in living(past) if begins(event) <= moment.valid_at]
    chosen = max(begun, key=lambda event: (begins(event), event.lsn), default=None)
    return None if chosen is None or expired(chosen, moment.valid_at) else chosen.lsn


def alive(stream: Sequence[Event]) -> bool:
    """Whether any write is left that counts and was not forgotten, whatever the time."""
    return bool(living(stream))


def living(stream: Sequence[Event]) -> list[Event]:
    """Its versions that count and were neither forgotten nor erased, whatever the time."""
    counts = counting(stream)
    left = [event for event in stream if event.lsn in counts]
    forgotten = max((event.lsn for event in left if event.kind == FORGET), default=0)
    return [e for e in left if e.kind in WRITES and e.lsn > forgotten and e.content is not None]


def history(stream: Sequence[Event], moment: Moment) -> list[tuple[Event, str]]:
    """Every event up to the moment with its state.

    "current", "superseded", "reverted", "deleted" (a forget, or before one), "expired" (by ttl or valid_until),
    "scheduled" (its valid_from is yet to come), "erased". A revert that counts is "current".
    """
    past = [event for event in stream if event.lsn <= moment.lsn]
    counts, chosen = counting(past), choose(past, moment)
    forgotten = max((e.lsn for e in past if e.kind == FORGET and e.lsn in counts), default=0)

    def state(event: Event) -> str:
        if event.content is None:
            return "erased"
        if event.lsn not in counts:
            return "reverted"
        if event.op == DELETE or (event.kind in WRITES and event.lsn < forgotten):
            return "deleted"
        if event.kind not in WRITES or event.lsn == chosen:
            return "current"
        if expired(event, moment.valid_at):
            return "expired"
        return "scheduled" if begins(event) > moment.valid_at else "superseded"

    return [(event, state(event)) for event in past]


def begins(event: Event) -> int:
    """From when a version is valid, in ns: `valid_from`, else `occurred_at`, else `recorded_at`."""
    content = event.content
    if content is None:
        return event.recorded_at
    if content.valid_from is not None:
        return content.valid_from
    return event.recorded_at if content.occurred_at is None else content.occurred_at


def expires(event: Event) -> int | None:
    """When a version's lifetime ends, in ns: `ttl` after `recorded_at`; None without one."""
    ttl = event.content.payload.get("ttl") if event.content else None
    if ttl is None:
        return None
    if not isinstance(ttl, int):
        raise TypeError("ttl is not a number of ns")
    return min(event.recorded_at + ttl, END_OF_TIME)


def expired(event: Event, now: int) -> bool:
    """Whether the version has ended at `now` (ns): by its lifetime or by `valid_until`."""
    end, until = expires(event), event.content.valid_until if event.content else None
    return (end is not None and end <= now) or (until is not None and until <= now)


def _lsn(event: Event) -> int:
    return event.lsn
