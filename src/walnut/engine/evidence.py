"""What a handle can see of single events and memories, asked of the log; what it can't see does not exist.

Whatever the reason an id is not found for, the log is read the same number of times.
"""

from __future__ import annotations

from collections.abc import Iterable

from walnut.engine import keys
from walnut.engine.handle import Handle
from walnut.engine.moment import look, mended
from walnut.errors import NotFound
from walnut.model import ids
from walnut.model.event import DELETE, Event
from walnut.model.scope import within
from walnut.views import visibility


def event(handle: Handle, lsn: int | None, *, where: str, below: bool = False) -> Event:
    """An event of the scope or its ancestors (`below`: of the scope and its descendants), else NotFound."""
    log = handle.store.log
    newest = handle.sync_own()
    exists = (
        lsn is not None and 0 < lsn <= newest and lsn <= (newest if handle.binding.lsn is None else handle.binding.lsn)
    )
    if newest:
        found = log.get(lsn if exists and lsn is not None else 1)
        if exists and _visible(handle, found, below=below):
            return found
    raise NotFound("no such event", where=where)


def _visible(handle: Handle, found: Event, *, below: bool) -> bool:
    if found.content is None:  # erased: nobody knows whose it was
        return handle.binding.scope == "global"
    scope = found.content.scope
    return within(scope, handle.binding.scope) if below else scope in handle.readable


@mended
def resolve(handle: Handle, given: Iterable[int | str], *, where: str, below: bool = False) -> tuple[int, ...]:
    """LSNs, event ids and memory ids -> LSNs of events that the handle sees, each once; else NotFound."""
    found = (event(handle, _lsn(handle, each, below=below), where=where, below=below).lsn for each in given)
    return tuple(dict.fromkeys(found))


def _lsn(handle: Handle, given: int | str, *, below: bool) -> int | None:
    if isinstance(given, int):
        return given
    raw = keys.memory_or_none(given)
    if raw is not None:
        return memory_lsn(handle, raw, below=below)
    raw = keys.event_or_none(given)
    if raw is None:
        return None
    with look(handle) as view:
        return view.snapshot.event_lsn(raw)


def memory_lsn(handle: Handle, touch: bytes, *, below: bool = False) -> int | None:
    """The event that holds the memory's version at the handle's moment, None when there is none it may see."""
    with look(handle) as view:
        chosen = view.snapshot.choose(touch, view.moment)
    if chosen is None:
        return None
    scope = handle.binding.scope
    visible = within(chosen.scope, scope) if below else chosen.scope in handle.readable
    return chosen.lsn if visible else None


def version_in_scope(handle: Handle, touch: bytes | None) -> int | None:
    """The version of a memory of the bound scope that was not forgotten or undone, else None.

    Time plays no part: a memory that is valid later, or expired, can be written and forgotten.
    """
    log = handle.store.log
    newest = handle.sync_own()
    lsns = log.stream(touch or bytes(ids.TOUCH_SIZE))
    if not newest:
        return None
    first = log.get(lsns[0] if lsns else 1)
    if touch is None or not lsns or first.content is None or first.content.scope != handle.binding.scope:
        return None
    last = log.get(lsns[-1])
    if last.kind == "memory.reverted":
        return lsns[-1] if visibility.alive(_events(handle, lsns)) else None
    return None if last.op == DELETE else lsns[-1]


def belongs(handle: Handle, lsns: list[int]) -> bool:
    """Whether the stream of a memory is of the scope or its ancestors, by its first event."""
    log = handle.store.log
    if not log.durable_lsn():
        return False
    first = log.get(lsns[0] if lsns else 1)
    if not lsns:
        return False
    return handle.binding.scope == "global" if first.content is None else first.content.scope in handle.readable


def counts(handle: Handle, lsn: int, touches: Iterable[bytes]) -> bool:
    """Whether no undo that counts itself names this event."""
    for touch in touches:
        later = [n for n in handle.store.log.stream(touch) if n > lsn]
        return lsn in visibility.counting([handle.store.log.get(lsn), *_events(handle, later)])
    return True


def _events(handle: Handle, lsns: Iterable[int]) -> list[Event]:
    return [handle.store.log.get(lsn) for lsn in lsns]
