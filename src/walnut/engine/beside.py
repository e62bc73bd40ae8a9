"""Turns beside a hit: those before and after it in its session that the handle may see and the filters let pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from walnut.engine import hydrate
from walnut.engine.handle import Handle
from walnut.engine.moment import View
from walnut.engine.related import related
from walnut.errors import NotFound
from walnut.model.contexts import Role
from walnut.model.event import Event
from walnut.model.requests import Recall
from walnut.model.results import Hit, Related
from walnut.views.folds import text
from walnut.views.folds.memories import session_of

#: Versions that are looked at for each turn that is wanted: older and undone ones lie between.
_LOOKED_AT = 4


def beside(handle: Handle, view: View, request: Recall, hit: Hit, *, reach: int) -> Iterator[tuple[Role, Related]]:
    """Up to `reach` turns before the hit and as many after it, nearest first.

    Turns of its own scope and session only, by the log; each the current version of its memory.
    """
    session = session_of(hit.source or {})
    if session is None:
        return
    directions: tuple[Role, Role] = ("before", "after")
    for role in directions:
        lsns = text.turns(
            view.snapshot.db, hit.lsn, after=role == "after", upto=view.moment.lsn, most=reach * _LOOKED_AT
        )
        turns = (_turn(handle, view, request, lsn, scope=hit.scope, session=session) for lsn in lsns)
        yield from ((role, turn) for turn in islice(filter(None, turns), reach))


def _turn(handle: Handle, view: View, request: Recall, lsn: int, *, scope: str, session: str) -> Related | None:
    event = _event(handle, lsn)
    content = None if event is None else event.content
    if event is None or content is None or content.scope != scope or session_of(content.source or {}) != session:
        return None
    if not hydrate.holds(event, request) or hydrate.shadowed(handle, view.snapshot, event, view.moment):
        return None
    turn = related(handle, view, event, below=request.below)
    return None if turn.text is None else turn


def _event(handle: Handle, lsn: int) -> Event | None:
    try:
        return handle.store.log.get(lsn)
    except NotFound:
        return None
