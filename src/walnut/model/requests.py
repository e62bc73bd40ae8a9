"""Requests: everything a face can ask for, checked and normalised, as plain data. Times are ns since 1970 UTC."""

from __future__ import annotations

from typing import Literal

import msgspec

from walnut.model.event import Json

Durability = Literal["process", "disk"]
Mode = Literal["hybrid", "keyword", "vector", "recent"]
Order = Literal["relevance", "time"]
Direction = Literal["from", "influenced"]


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, from where, and about which moment.

    `lsn` bounds system time (None: the newest durable), `valid_at` is the "now" of valid time in ns (None: the
    clock, or the `recorded_at` of `lsn` when that is set).
    """

    scope: str
    actor: str
    lsn: int | None = None
    valid_at: int | None = None


class Remember(msgspec.Struct, frozen=True, kw_only=True):
    """One memory to write. `ttl` is ns; `caused_by` are LSNs or ids of events or memories."""

    text: str
    key: str | None = None
    memory_id: str | None = None
    tags: tuple[str, ...] = ()
    confidence: float | None = None
    ttl: int | None = None
    data: Json = None
    embedding: tuple[float, ...] | None = None
    source: dict[str, Json] | None = None
    subject: str | None = None
    occurred_at: int | None = None
    valid_from: int | None = None
    valid_until: int | None = None
    caused_by: tuple[int | str, ...] = ()
    idempotency_key: str | None = None
    expected_version: int | None = None


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """One memory to retract."""

    memory_id: str
    expected_version: int | None = None
    idempotency_key: str | None = None


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """A search. `since` and `until` bound `occurred_at` (half open); `below` also searches descendants.

    `embedding` is the query's vector, by the model that made those of the memories.
    """

    query: str
    k: int = 10
    mode: Mode = "hybrid"
    embedding: tuple[float, ...] | None = None
    tags: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    min_confidence: float | None = None
    min_lsn: int | None = None
    below: bool = False
    explain: bool = False


class Packing(msgspec.Struct, frozen=True, kw_only=True):
    """How hits become a context: at most `budget` tokens, with so many turns before and after each hit."""

    budget: int = 1500
    order: Order = "relevance"
    neighbours: int = 0


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A filtered listing, newest first."""

    limit: int = 50
    cursor: str | None = None
    tags: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    min_confidence: float | None = None
    below: bool = False


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """Which events an undo starts from: all given conditions hold. Times bound `recorded_at` (half open).

    `source` matches when every given key is equal; `session` equals `source.session`, else
    `source.conversation_id`; `events` are LSNs.
    """

    events: tuple[int, ...] = ()
    actor: str | None = None
    source: dict[str, Json] | None = None
    session: str | None = None
    since: int | None = None
    until: int | None = None
    kinds: tuple[str, ...] = ()


class PlanRevert(msgspec.Struct, frozen=True, kw_only=True):
    """What would be undone by this selection; with `include_suspects` also what was written after being shown it."""

    events: tuple[int | str, ...] = ()
    actor: str | None = None
    source: dict[str, Json] | None = None
    session: str | None = None
    since: int | None = None
    until: int | None = None
    kinds: tuple[str, ...] = ()
    include_suspects: bool = False
