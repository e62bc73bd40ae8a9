"""The event: an envelope that is never personal and survives erasure, and a content that can be erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from walnut.model import ids

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:  # msgspec resolves annotations, and a recursive alias is beyond it
    Json = Any

INSERT, UPDATE, DELETE, NONE = "INSERT", "UPDATE", "DELETE", "NONE"

#: The newest schema of an event, written by this version; older ones are upcast on read.
SCHEMA = 1

#: Namespaces of kinds that are Walnut's own: an unknown kind in one of them stops a view, never skips.
OWN_NAMESPACES = frozenset({"memory", "derive", "intent", "session", "relation"})

#: The well-known keys of a source; others are allowed beside them.
SOURCE_KEYS = ("channel", "conversation_id", "session", "message_id", "turn", "speaker", "uri", "tool", "model")


class Content(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What erasure destroys. Times are ns since 1970 UTC; `caused_by` are LSNs; `request_hash` is keyed."""

    scope: str
    actor: str
    source: dict[str, Json] | None = None
    subject: str | None = None
    payload: dict[str, Json] = {}
    caused_by: tuple[int, ...] = ()
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    occurred_at: int | None = None
    valid_from: int | None = None
    valid_until: int | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable entry of the log.

    `lsn` is dense from 1; `recorded_at` is ns since 1970 UTC and never decreases with the LSN (`clock_raw` keeps
    the raw reading when the clock had stepped back); `txn` is the first LSN of its transaction; `before_lsn` the
    version it replaces; `content` is None once erased.
    """

    lsn: int
    raw_id: bytes
    recorded_at: int
    kind: str
    op: str
    txn: int
    raw_touches: bytes
    commitment: bytes
    content: Content | None
    before_lsn: int | None = None
    idem: bytes | None = None
    clock_raw: int | None = None
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        """`evt_` and a ULID."""
        return ids.text(ids.EVENT, self.raw_id)

    @property
    def touches(self) -> tuple[str, ...]:
        """Ids of the streams (memories, sessions, …) that the event belongs to."""
        return tuple(ids.touch_text(raw) for raw in self.touch_keys())

    def touch_keys(self) -> list[bytes]:
        """The same as 17-byte keys: a type byte and 16 bytes."""
        raw = self.raw_touches
        return [raw[i : i + ids.TOUCH_SIZE] for i in range(0, len(raw), ids.TOUCH_SIZE)]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event before it has an LSN, as the engine hands it to the log.

    `kind_if_exists` renames the kind (and makes the op UPDATE) when its first touch already has a version: the log
    decides that under its lock, where nobody can come between.
    `idem` is the keyed hash of scope and idempotency key; `content.request_hash` must be set with it.
    `event_id` and `recorded_at` are set only by import, to adopt another log's.
    """

    kind: str
    content: Content
    op: str = NONE
    touches: tuple[bytes, ...] = ()
    kind_if_exists: str | None = None
    idem: bytes | None = None
    event_id: bytes | None = None
    recorded_at: int | None = None
