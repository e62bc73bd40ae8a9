"""What stands beside a hit: events shown as far as the handle may see them and they still hold."""

from __future__ import annotations

from walnut.engine import hydrate
from walnut.engine.handle import Handle
from walnut.engine.moment import View
from walnut.model import ids
from walnut.model.event import Event
from walnut.model.results import Related, State
from walnut.model.times import from_ns
from walnut.views import visibility

_MEMORY = ids.TOUCH_BYTES["mem"]


def related(handle: Handle, view: View, event: Event, *, below: bool, past: bool = False) -> Related:
    """The event beside a hit: all of it when it is current (`past`: or superseded), else its ids and its state."""
    content = event.content
    if content is None:
        return Related(lsn=event.lsn, event_id=event.id, state="erased")
    if not hydrate.readable(handle, event, below=below):
        return Related(lsn=event.lsn, event_id=event.id, state="outside")
    memory = _memory(event)
    state = _state(handle, view, event, memory, below=below)
    shown = state == "current" or (past and state == "superseded")
    text = content.payload.get("text") if shown else None
    occurred = event.recorded_at if content.occurred_at is None else content.occurred_at
    return Related(
        lsn=event.lsn,
        event_id=event.id,
        state=state,
        memory_id=None if memory is None else ids.touch_text(memory),
        text=text if isinstance(text, str) else None,
        actor=content.actor if shown else None,
        source=content.source if shown else None,
        occurred_at=from_ns(occurred) if shown else None,
    )


def _state(handle: Handle, view: View, event: Event, memory: bytes | None, *, below: bool) -> State:
    """Where a readable event stands at the moment; that it is current must hold by the log, too."""
    if event.lsn not in view.snapshot.counting([event.lsn], view.moment.lsn):
        return "reverted"
    if memory is None:
        return "current"
    chosen = view.snapshot.choose(memory, view.moment)
    if chosen is None:
        return "absent"
    if chosen.lsn != event.lsn:
        return "superseded"
    found = hydrate.check(handle, event.lsn, memory, view.moment, below=below)
    return "current" if found is not None and found.event.lsn == event.lsn else "absent"


def _memory(event: Event) -> bytes | None:
    """The key of the memory whose version the event is; None for other events."""
    if event.kind not in visibility.WRITES:
        return None
    return next((touch for touch in event.touch_keys() if touch.startswith(_MEMORY)), None)
