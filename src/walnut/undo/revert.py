"""The revert: a plan made into the one event that undoes it, and the condition under which it still may."""

from __future__ import annotations

from walnut.errors import StalePlan
from walnut.model import ids
from walnut.model.event import Content, Draft, Event, Json
from walnut.model.results import RevertPlan
from walnut.model.scope import within
from walnut.ports import Condition
from walnut.undo.select import REVERTED, matches
from walnut.views.visibility import SHOWN


def draft(plan: RevertPlan, *, reason: str | None = None) -> Draft:
    """The event that undoes what the plan lists: its LSN ranges, touching every memory they touch."""
    ranges: list[Json] = [[low, high] for low, high in plan.ranges]
    payload: dict[str, Json] = {"ranges": ranges}
    if reason is not None:
        payload["reason"] = reason
    return Draft(
        kind=REVERTED,
        touches=_touches(plan),
        content=Content(scope=plan.scope, actor=plan.actor, payload=payload),
    )


def condition(plan: RevertPlan) -> Condition:
    """Refuse with StalePlan if any later event touches a planned memory, is derived from one or would be selected."""
    planned = frozenset(lsn for low, high in plan.ranges for lsn in range(low, high + 1))

    def follows(event: Event) -> bool:
        content = event.content
        if content is None or not within(content.scope, plan.scope):
            return False
        shown = content.payload.get("shown") if plan.include_suspects and event.kind == SHOWN else None
        seen = [lsn for lsn in shown if isinstance(lsn, int)] if isinstance(shown, list) else []
        return not planned.isdisjoint((*content.caused_by, *seen))

    return Condition(
        after=plan.lsn,
        touches=frozenset(_touches(plan)),
        matches=lambda event: follows(event) or matches(event, plan.selector, bound_scope=plan.scope),
        error=lambda _: stale(),
    )


def stale() -> StalePlan:
    """The error for a plan that is no longer what its selection would undo."""
    return StalePlan(
        "something relevant changed since the plan was made", where="plan", hint="plan again, look at it, apply that"
    )


def _touches(plan: RevertPlan) -> tuple[bytes, ...]:
    return tuple(ids.touch(memory_id) for memory_id in plan.memory_ids)
