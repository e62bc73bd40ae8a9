"""The kinds of events that this version knows, and the refusal of those it should know and does not (V7)."""

from __future__ import annotations

from walnut.errors import ViewFailed
from walnut.model.event import OWN_NAMESPACES, SCHEMA, Event

_NAMES = {
    "memory": "write update delete recalled promoted compacted expired reverted erased purged",
    "derive": "result failed",
    "intent": "begun completed failed",
    "session": "message tool transition checkpoint closed",
    "relation": "asserted retracted",
}

#: Walnut's own kinds. Only some of them change what is read; all are recorded with their evidence.
KNOWN = frozenset(f"{namespace}.{name}" for namespace, names in _NAMES.items() for name in names.split())


def check(event: Event) -> None:
    """Raise ViewFailed for an event that only a newer Walnut understands; foreign kinds pass."""
    if event.schema > SCHEMA:
        raise ViewFailed(
            f"the event has schema {event.schema}, this Walnut knows {SCHEMA}",
            where=f"LSN {event.lsn}",
            hint="upgrade Walnut",
        )
    if event.kind not in KNOWN and event.kind.partition(".")[0] in OWN_NAMESPACES:
        raise ViewFailed(f"the kind {event.kind} is of a newer Walnut", where=f"LSN {event.lsn}", hint="upgrade Walnut")
