"""From what a view chose to what a caller gets: every answer is checked against the log before it is given.

A view may miss, it never lies (V4): a choice that the log does not bear out is made again from the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from walnut.engine import keys
from walnut.engine.handle import Handle
from walnut.errors import NotFound
from walnut.model import ids
from walnut.model.event import Event
from walnut.model.requests import Listing, Recall
from walnut.model.results import MemoryRecord
from walnut.model.scope import within
from walnut.model.times import from_ns
from walnut.views import visibility
from walnut.views.visibility import Moment

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot


class Found(msgspec.Struct, frozen=True):
    """A memory's version at a moment, as the log has it. `version` is the newest LSN that touches the memory."""

    memory: bytes
    event: Event
    version: int


def check(handle: Handle, lsn: int, memory: bytes, moment: Moment, *, below: bool = False) -> Found | None:
    """The version of a memory that a view says is `lsn`; None when the log knows none that the handle may see."""
    log = handle.store.log
    version = log.last_touch(memory)
    if version > moment.lsn:
        newest = log.stream(memory, before=moment.lsn + 1, last=1)
        version = newest[0] if newest else 0
    if lsn == version:
        event = _event(handle, lsn)
        if event is not None and _alone(handle, event, memory, moment):
            return _visible(handle, Found(memory, event, version), below=below)
    found = recompute(handle, memory, moment)
    if found is None or found.event.lsn != lsn:
        handle.store.views.distrust()
    return None if found is None else _visible(handle, found, below=below)


def recompute(handle: Handle, memory: bytes, moment: Moment) -> Found | None:
    """The version of a memory at a moment from the log alone."""
    lsns = handle.store.log.stream(memory, before=moment.lsn + 1)
    events = [handle.store.log.get(lsn) for lsn in lsns]
    chosen = visibility.choose(events, moment)
    if chosen is None:
        return None
    return Found(memory, handle.store.log.get(chosen), lsns[-1])


def _event(handle: Handle, lsn: int) -> Event | None:
    try:
        return handle.store.log.get(lsn)
    except NotFound:
        return None


def _alone(handle: Handle, event: Event, memory: bytes, moment: Moment) -> bool:
    """Whether this newest event of the memory is its version for sure, without looking at older ones."""
    content = event.content
    if content is None or memory not in event.touch_keys() or event.kind not in visibility.WRITES:
        return False
    if visibility.choose([event], moment) is None:
        return False
    if content.valid_from is None and content.occurred_at is None and handle.binding.valid_at is None:
        return True
    return len(handle.store.log.stream(memory, before=event.lsn + 1, last=2)) == 1


def _visible(handle: Handle, found: Found, *, below: bool) -> Found | None:
    return found if readable(handle, found.event, below=below) else None


def readable(handle: Handle, event: Event, *, below: bool) -> bool:
    """Whether the handle may read what the event says (`below`: it also reads what lies below its scope)."""
    content = event.content
    if content is None:
        return False
    return content.scope in handle.readable or (below and within(content.scope, handle.binding.scope))


def passes(handle: Handle, found: Found, asked: Recall | Listing) -> bool:
    """Whether the filters hold for what the log says; the view has answered them already, but may be wrong."""
    passing = holds(found.event, asked)
    if not passing and found.event.content is not None:
        handle.store.views.distrust()
    return passing


def holds(event: Event, asked: Recall | Listing) -> bool:
    """Whether the filters hold for a version."""
    content = event.content
    if content is None:
        return False
    occurred = event.recorded_at if content.occurred_at is None else content.occurred_at
    passing = (asked.since is None or occurred >= asked.since) and (asked.until is None or occurred < asked.until)
    if asked.tags:
        passing = passing and set(asked.tags) <= {*_texts(content.payload.get("tags"))}
    if asked.min_confidence is not None:
        confidence = content.payload.get("confidence")
        passing = passing and isinstance(confidence, int | float) and confidence >= asked.min_confidence
    return passing


def shadowed(handle: Handle, snapshot: Snapshot, event: Event, moment: Moment) -> bool:
    """Whether a nearer scope has a memory of the same key."""
    content = event.content
    key = None if content is None else content.payload.get("key")
    if content is None or not isinstance(key, str) or content.scope not in handle.readable:
        return False
    secret = handle.store.log.secret
    for scope in handle.readable[: handle.readable.index(content.scope)]:
        nearer = snapshot.choose(keys.memory_of_key(secret, scope, key), moment)
        if nearer is not None and check(handle, nearer.lsn, nearer.memory, moment) is not None:
            return True
    return False


def fields(found: Found) -> dict[str, object]:
    """The fields of a `MemoryRecord` (and of a `Hit`, but its score)."""
    event, content = found.event, found.event.content
    if content is None:
        raise NotFound("the event was erased", where=event.id)
    payload = content.payload
    occurred = event.recorded_at if content.occurred_at is None else content.occurred_at
    begins = occurred if content.valid_from is None else content.valid_from
    ttl = payload.get("ttl")
    return {
        "memory_id": ids.touch_text(found.memory),
        "event_id": event.id,
        "lsn": event.lsn,
        "version": found.version,
        "text": payload["text"],
        "scope": content.scope,
        "actor": content.actor,
        "recorded_at": from_ns(event.recorded_at),
        "occurred_at": from_ns(occurred),
        "valid_from": from_ns(begins),
        "valid_until": None if content.valid_until is None else from_ns(content.valid_until),
        "expires_at": from_ns(event.recorded_at + ttl) if isinstance(ttl, int) else None,
        "key": payload.get("key"),
        "tags": tuple(_texts(payload.get("tags"))),
        "confidence": payload.get("confidence"),
        "data": payload.get("data"),
        "source": content.source,
        "subject": content.subject,
        "caused_by": content.caused_by,
    }


def record(found: Found) -> MemoryRecord:
    """The version as a caller gets it."""
    return MemoryRecord(**fields(found))  # type: ignore[arg-type]


def _texts(values: object) -> Iterable[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else ()
