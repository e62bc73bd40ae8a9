"""Selection: which events an undo may start from, decided for one event alone."""

from __future__ import annotations

from walnut.errors import InvalidArgument
from walnut.model.event import Event, Json
from walnut.model.requests import Selector
from walnut.model.scope import within
from walnut.views.folds.memories import session_of

REVERTED = "memory.reverted"
# A note of what a handle was shown changes no memory, so there is nothing to undo.
_FINAL = frozenset({"memory.erased", "memory.purged", "memory.recalled"})


def check(selector: Selector) -> None:
    """InvalidArgument when it selects by nothing: an undo of everything is never meant."""
    if selector == Selector() or selector.source == {}:
        raise InvalidArgument(
            "no selector is given",
            where="plan_revert",
            hint="give events, actor, source, session, since, until or kinds",
        )


def revertible(kind: str) -> bool:
    """Whether events of this kind can be undone: intents, erasures and notes can't."""
    return kind not in _FINAL and not kind.startswith("intent.")


def matches(event: Event, selector: Selector, *, bound_scope: str) -> bool:
    """Whether the selector takes this event: in the bound scope or below, all conditions hold, and it can be undone.

    A revert is taken only when it is named by id or kind. What can't be undone is taken only by id, to be listed.
    """
    content = event.content
    if content is None or not within(content.scope, bound_scope):
        return False
    if not selector.events and not revertible(event.kind):
        return False
    if event.kind == REVERTED and not selector.events and REVERTED not in selector.kinds:
        return False
    return (
        (not selector.events or event.lsn in selector.events)
        and (selector.actor is None or content.actor == selector.actor)
        and (selector.source is None or _has(content.source, selector.source))
        and (selector.session is None or session_of(content.source or {}) == selector.session)
        and (selector.since is None or event.recorded_at >= selector.since)
        and (selector.until is None or event.recorded_at < selector.until)
        and (not selector.kinds or event.kind in selector.kinds)
    )


def _has(source: dict[str, Json] | None, wanted: dict[str, Json]) -> bool:
    given = source or {}
    return all(key in given and _same(given[key], value) for key, value in wanted.items())


def _same(one: Json, other: Json) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
