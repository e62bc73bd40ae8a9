"""The memories fold, pure part: which rows an event means, with names and scopes still written out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from walnut.model import ids
from walnut.model.event import Content, Event, Json
from walnut.views import kinds, visibility

_MEMORY = ids.TOUCH_BYTES["mem"][0]
_encode = msgspec.json.Encoder().encode


class Rows:
    """Rows to insert, by table, in LSN order; `names` and `scopes` in order of their first use."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.scopes: dict[str, None] = {}
        #: lsn, raw id, kind, scope, actor, session, recorded_at, source; erased: scope to source are None
        self.events: list[tuple[int, bytes, str, str | None, str | None, str | None, int, bytes | None]] = []
        #: cause, effect
        self.edges: list[tuple[int, int]] = []
        #: memory, lsn
        self.touches: list[tuple[bytes, int]] = []
        #: lsn, memory, scope, valid_from, valid_until, expires_at, occurred_at, confidence
        self.versions: list[tuple[int, bytes, str, int, int | None, int | None, int, float | None]] = []
        #: memory, lsn
        self.forgets: list[tuple[bytes, int]] = []
        #: tag, scope, lsn
        self.tags: list[tuple[str, str, int]] = []
        #: version, lsn of the note
        self.shown: list[tuple[int, int]] = []


def rows(events: Iterable[Event]) -> Rows:
    """The rows of these events. Errors: ViewFailed, and TypeError for a payload of the wrong form."""
    found = Rows()
    for event in events:
        kinds.check(event)
        memories = [raw for raw in event.touch_keys() if raw[0] == _MEMORY]
        for memory in memories:
            found.touches.append((memory, event.lsn))
        found.names[event.kind] = None
        if event.content is None:
            found.events.append((event.lsn, event.raw_id, event.kind, None, None, None, event.recorded_at, None))
        else:
            _envelope(found, event, event.content)
            meaning = _MEANINGS.get(event.kind)
            if meaning is not None:
                meaning(found, event, event.content, memories)
    return found


def _envelope(found: Rows, event: Event, content: Content) -> None:
    session, encoded = None, None
    if content.source:
        encoded = _encode(content.source)
        session = session_of(content.source)
        if session is not None:
            found.names[session] = None
    found.names[content.actor] = None
    found.scopes[content.scope] = None
    found.events.append(
        (event.lsn, event.raw_id, event.kind, content.scope, content.actor, session, event.recorded_at, encoded)
    )
    if content.caused_by:
        found.edges += [(cause, event.lsn) for cause in dict.fromkeys(content.caused_by)]


def _version(found: Rows, event: Event, content: Content, memories: list[bytes]) -> None:
    lsn, payload = event.lsn, content.payload
    occurred = event.recorded_at if content.occurred_at is None else content.occurred_at
    begins = occurred if content.valid_from is None else content.valid_from
    expires = None if payload.get("ttl") is None else visibility.expires(event)
    confidence = _number(payload.get("confidence"))
    for memory in memories[:1]:
        found.versions.append((lsn, memory, content.scope, begins, content.valid_until, expires, occurred, confidence))
    tags = payload.get("tags")
    if tags:
        found.tags += [(tag, content.scope, lsn) for tag in dict.fromkeys(_texts(tags))]


def _forget(found: Rows, event: Event, _: Content, memories: list[bytes]) -> None:
    found.forgets += [(memory, event.lsn) for memory in memories]


def _note(found: Rows, event: Event, content: Content, _: list[bytes]) -> None:
    found.shown += [(version, event.lsn) for version in dict.fromkeys(_lsns(content.payload.get("shown")))]


_MEANINGS = {
    **dict.fromkeys(visibility.WRITES, _version),
    visibility.FORGET: _forget,
    visibility.SHOWN: _note,
}


def session_of(source: dict[str, Json]) -> str | None:
    """The session an event belongs to: `source.session`, else `source.conversation_id`."""
    session = source.get("session")
    if session is None:
        session = source.get("conversation_id")
    return session if isinstance(session, str) else None


def _number(given: Json) -> float | None:
    if given is None or isinstance(given, (int, float)):
        return given
    raise TypeError("confidence is not a number")


def _texts(given: Json) -> list[str]:
    texts = [each for each in _items(given) if isinstance(each, str)]
    if len(texts) != len(_items(given)):
        raise TypeError("a tag is not a text")
    return texts


def _lsns(given: Json) -> list[int]:
    pairs = [each[0] if isinstance(each, list) and each else each for each in _items(given)]
    lsns = [each for each in pairs if isinstance(each, int)]
    if len(lsns) != len(pairs):
        raise TypeError("what was shown is not an LSN")
    return lsns


def _items(given: Json) -> list[Json]:
    if given is None:
        return []
    if isinstance(given, list):
        return given
    raise TypeError("not a list")
