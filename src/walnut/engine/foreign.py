"""Events of another store: checked, and made drafts for this one: the same, or with every reference remapped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta

from walnut.engine import keys
from walnut.engine.handle import check_actor
from walnut.errors import FormatTooNew, InvalidArgument
from walnut.model import ids
from walnut.model.event import DELETE, INSERT, NONE, OWN_NAMESPACES, UPDATE, Content, Draft, Event, Json
from walnut.model.requests import Forget, Remember
from walnut.policy import limits
from walnut.views import kinds
from walnut.views.visibility import END_OF_TIME

REVERTED = "memory.reverted"
_RECALLED = "memory.recalled"
_WRITES = ("memory.write", "memory.update")
_KNOWN = (*_WRITES, "memory.delete", _RECALLED, REVERTED)
_KIND = re.compile(r"[a-z_.]{1,48}")
_TIMES = ("occurred_at", "valid_from", "valid_until")
#: Bytes of a payload: text, data and embedding, each at its limit, have room in it.
_MAX_PAYLOAD = 4 << 20


class _Written(msgspec.Struct):
    """What the views rely on in the payload of a memory."""

    text: str
    key: str | None = None
    tags: tuple[str, ...] = ()
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    ttl: Annotated[int, Meta(gt=0, le=END_OF_TIME)] | None = None
    embedding: tuple[float, ...] = ()


class _Shown(msgspec.Struct):
    shown: tuple[int, ...]


class _Undone(msgspec.Struct):
    ranges: tuple[tuple[int, int], ...]


class _Nothing(msgspec.Struct):
    pass


#: By kind: the form of the payload, the ops it may have, whether it is about memories.
_FORMS: dict[str, tuple[type[msgspec.Struct], tuple[str, ...], bool]] = {
    "memory.write": (_Written, (INSERT,), True),
    "memory.update": (_Written, (UPDATE,), True),
    "memory.delete": (_Nothing, (DELETE,), True),
    _RECALLED: (_Shown, (NONE,), False),
    REVERTED: (_Undone, (NONE,), False),
}


def check(event: Event) -> None:
    """Refuse what no Walnut writes: an event is stored for good, and one that can't be folded stops the views.

    Errors: InvalidArgument, ScopeError; FormatTooNew for a kind of a newer Walnut.
    """
    content = event.content
    if not _KIND.fullmatch(event.kind):
        raise InvalidArgument("not the name of a kind", where="kind")
    if event.kind not in kinds.KNOWN and event.kind.partition(".")[0] in OWN_NAMESPACES:
        raise FormatTooNew("an event of a kind this Walnut does not know", where=f"LSN {event.lsn}", hint="upgrade")
    if content is None:
        return
    check_actor(content.actor)
    limits.json(content.payload, where="payload", limit=_MAX_PAYLOAD)
    limits.json(content.source, where="source", limit=limits.MAX_SOURCE)
    numbers = (*content.caused_by, *(when for name in _TIMES if (when := getattr(content, name)) is not None))
    if not all(-END_OF_TIME <= number <= END_OF_TIME for number in numbers):
        raise InvalidArgument("a time or an LSN is out of range", where="content")
    form, ops, of_memories = _FORMS.get(event.kind, (_Nothing, (event.op,), False))
    touches_memory = event.raw_touches[:1] == keys.MEMORY
    try:
        msgspec.convert(content.payload, form)
    except msgspec.ValidationError:  # its text may hold content
        raise InvalidArgument("the payload is not one of this kind", where="payload") from None
    if event.op not in ops or (of_memories and not touches_memory):
        raise InvalidArgument("op and touches are not those of this kind", where="op")


class References:
    """What LSNs and memories of the other store are called here.

    `lsns` by their old number, all up to `same_upto` are the same; `touches` are those of memories with a key,
    whose ids depend on the secret.
    """

    def __init__(self, secret: bytes, *, same_secret: bool) -> None:
        self.secret = secret
        self.same_secret = same_secret
        self.same_upto = 0
        self.lsns: dict[int, int] = {}
        self._touches: dict[bytes, bytes] = {}

    def lsn(self, old: int) -> int | None:
        """The LSN here; None for an event that is not here."""
        return old if old <= self.same_upto else self.lsns.get(old)

    def touch(self, old: bytes) -> bytes:
        """The key of the stream here."""
        return self._touches.get(old, old)

    def learn(self, transaction: Iterable[Event], known: Mapping[int, int]) -> None:
        """Take in events that are here already."""
        for event in transaction:
            self.learn_key(event)
            if event.lsn in known:
                self.lsns[event.lsn] = known[event.lsn]

    def learn_key(self, event: Event) -> None:
        """Take in the key of a memory."""
        if event.content is None or event.kind not in _WRITES:
            return
        key = event.content.payload.get("key")
        if isinstance(key, str):
            self._touches[event.touch_keys()[0]] = keys.memory_of_key(self.secret, event.content.scope, key)


def ranges(payload: Mapping[str, Json]) -> Iterator[tuple[int, int]]:
    """The LSN ranges of an undo."""
    found = payload.get("ranges")
    for each in found if isinstance(found, list) else ():
        if isinstance(each, list) and len(each) == 2:
            low, high = each
            if isinstance(low, int) and isinstance(high, int):
                yield low, high


def refers_to(event: Event, lsns: set[int]) -> bool:
    """Whether an event names one of these LSNs."""
    if event.content is None or not lsns:
        return False
    shown = event.content.payload.get("shown") if event.kind == _RECALLED else None
    named = {*event.content.caused_by, *(each for each in (shown if isinstance(shown, list) else ()))}
    if named & lsns:
        return True
    return event.kind == REVERTED and any(
        low <= lsn <= high for low, high in ranges(event.content.payload) for lsn in lsns
    )


def verbatim(event: Event) -> Draft:
    """The event as it was, for a store that adopts it."""
    if event.content is None:
        raise InvalidArgument("an erased event can't be adopted", where=f"LSN {event.lsn}")
    return Draft(
        kind=event.kind,
        content=event.content,
        op=event.op,
        touches=tuple(event.touch_keys()),
        idem=event.idem,
        event_id=event.raw_id,
        recorded_at=event.recorded_at,
    )


def remapped(event: Event, references: References, *, keep_time: bool) -> Draft | None:
    """The event with the references of this store; None when nothing is left of it."""
    content = event.content
    if content is None:
        return None
    if event.kind not in _KNOWN and event.kind.partition(".")[0] in OWN_NAMESPACES:
        raise FormatTooNew("an event of a kind this Walnut does not know", where=f"LSN {event.lsn}", hint="upgrade")
    references.learn_key(event)
    payload = _payload(event.kind, content.payload, references)
    if payload is None:
        return None
    touches = tuple(dict.fromkeys(map(references.touch, event.touch_keys())))
    causes = [lsn for old in content.caused_by if (lsn := references.lsn(old)) is not None]
    content = msgspec.structs.replace(content, payload=payload, caused_by=tuple(causes))
    idem = None
    if event.idem is not None and content.idempotency_key is not None:
        idem = keys.idempotency(references.secret, content.scope, content.idempotency_key)
    if idem is not None and (not references.same_secret or content.request_hash is None):
        content = msgspec.structs.replace(content, request_hash=_request(event, content, touches, references.secret))
    if not keep_time and event.kind in _WRITES:
        content = _times_kept(content, event.recorded_at)
    return Draft(
        kind=event.kind,
        content=content,
        op=event.op,
        touches=touches,
        kind_if_exists="memory.update" if event.kind == "memory.write" and "key" in payload else None,
        idem=idem,
        event_id=event.raw_id,
        recorded_at=event.recorded_at if keep_time else None,
    )


def _payload(kind: str, payload: dict[str, Json], references: References) -> dict[str, Json] | None:
    if kind == _RECALLED:
        shown = payload.get("shown")
        old = [each for each in shown if isinstance(each, int)] if isinstance(shown, list) else []
        here: list[Json] = [lsn for each in old if (lsn := references.lsn(each)) is not None]
        return {**payload, "shown": here} if here else None
    if kind == REVERTED:
        found = sorted(
            lsn
            for low, high in ranges(payload)
            for old in _in_range(references, low, high)
            if (lsn := references.lsn(old)) is not None
        )
        return {**payload, "ranges": _joined(found)} if found else None
    return payload


def _in_range(references: References, low: int, high: int) -> Iterator[int]:
    yield from range(max(low, 1), min(high, references.same_upto) + 1)
    yield from (old for old in references.lsns if low <= old <= high and old > references.same_upto)


def _joined(lsns: list[int]) -> list[Json]:
    joined: list[list[Json]] = []
    end = -1
    for lsn in lsns:
        if joined and lsn == end + 1:
            joined[-1][1] = lsn
        else:
            joined.append([lsn, lsn])
        end = lsn
    return [*joined]


def _times_kept(content: Content, recorded_at: int) -> Content:
    """What followed from the time of recording, written out: it is recorded anew, and nothing else may change."""
    payload = dict(content.payload)
    until = content.valid_until
    ttl = payload.pop("ttl", None)
    if isinstance(ttl, int):
        end = min(recorded_at + ttl, END_OF_TIME)
        until = end if until is None else min(until, end)
    occurred = recorded_at if content.occurred_at is None else content.occurred_at
    return msgspec.structs.replace(content, payload=payload, occurred_at=occurred, valid_until=until)


def _request(event: Event, content: Content, touches: tuple[bytes, ...], secret: bytes) -> bytes:
    """The hash of the request as this store would make it, as far as the event tells what was asked."""
    if event.kind == "memory.delete":
        return keys.request(secret, Forget(memory_id=ids.touch_text(touches[0])))
    if event.kind in _WRITES and not content.caused_by and (event.kind == "memory.write" or "key" in content.payload):
        given = {name: value for name, value in content.payload.items() if name in Remember.__struct_fields__}
        times = {name: getattr(content, name) for name in _TIMES}
        asked = {**given, **times, "source": content.source, "subject": content.subject}
        return keys.request(secret, msgspec.convert(asked, Remember))
    return blake2b(event.raw_id, digest_size=16, key=secret, person=b"foreign").digest()
