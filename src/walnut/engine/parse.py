"""Arguments as callers give them into requests: checked, normalised, times in ns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, get_args

from walnut.errors import InvalidArgument
from walnut.model.event import Json
from walnut.model.given import Evidence, Items, Lifetime, Named, When
from walnut.model.requests import (
    Direction,
    Durability,
    Forget,
    Listing,
    Mode,
    Order,
    Packing,
    PlanRevert,
    Recall,
    Remember,
)
from walnut.model.results import Ack, MemoryRecord
from walnut.model.times import lifetime_ns, to_ns
from walnut.model.words import counted
from walnut.policy import limits

if TYPE_CHECKING:
    from typing import Any

_T = TypeVar("_T")
_MODES = get_args(Mode)
_DURABILITIES = get_args(Durability)
_ORDERS = get_args(Order)
_DIRECTIONS = get_args(Direction)
_KIND = re.compile(r"[a-z_.]{1,48}")
_MAX_K = 1_000
_MAX_BUDGET = 1_000_000
_MAX_NEIGHBOURS = 5
#: Hits of a context whose `k` is not given, at least; and the tokens of a short line.
_LEAST_K = 30
_LEAST_LINE = 32


def remember(  # noqa: C901, PLR0912, PLR0917 - one line a field, and the busiest path there is
    text: str,
    key: str | None = None,
    memory_id: Named | None = None,
    tags: Iterable[str] = (),
    confidence: float | None = None,
    ttl: Lifetime | None = None,
    data: Json = None,
    embedding: Sequence[float] | None = None,
    source: Mapping[str, Json] | None = None,
    subject: str | None = None,
    occurred_at: When | None = None,
    valid_from: When | None = None,
    valid_until: When | None = None,
    caused_by: Iterable[Evidence] = (),
    idempotency_key: str | None = None,
    expected_version: int | None = None,
) -> Remember:
    """The arguments of `remember`, in its order."""
    given: dict[str, Any] = {}
    if key is not None:
        given["key"] = limits.name(key, where="key")
    if memory_id is not None:
        given["memory_id"] = named(memory_id)
    if tags != ():
        given["tags"] = limits.names(tags, where="tags")
    if confidence is not None:
        given["confidence"] = limits.share(confidence, where="confidence")
    if ttl is not None:
        given["ttl"] = lifetime_ns(ttl)
    if data is not None:
        given["data"] = limits.json(data, where="data")
    if embedding is not None:
        given["embedding"] = limits.vector(embedding)
    if source is not None:
        given["source"] = limits.mapping(source, where="source")
    if subject is not None:
        given["subject"] = limits.name(subject, where="subject")
    if occurred_at is not None:
        given["occurred_at"] = to_ns(occurred_at, where="occurred_at")
    if valid_from is not None:
        given["valid_from"] = to_ns(valid_from, where="valid_from")
    if valid_until is not None:
        given["valid_until"] = _valid_until(valid_until, given)
    if caused_by != ():
        given["caused_by"] = evidence(caused_by, where="caused_by")
    if idempotency_key is not None:
        given["idempotency_key"] = limits.name(idempotency_key, where="idempotency_key")
    if expected_version is not None:
        given["expected_version"] = limits.whole(expected_version, where="expected_version")
    return Remember(text=limits.text(text), **given)


def _valid_until(valid_until: When, given: Mapping[str, Any]) -> int:
    until = to_ns(valid_until, where="valid_until")
    begins = given.get("valid_from", given.get("occurred_at"))
    if begins is not None and until < begins:
        raise InvalidArgument("ends before it begins", where="valid_until", hint="valid_from <= valid_until")
    return until


def remember_items(items: Items) -> list[Remember]:
    """The items of `remember_many`; an error names the item."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise InvalidArgument("items are several dicts", where="items", hint='[{"text": "one"}, {"text": "two"}]')
    requests: list[Remember] = []
    size = 0
    for number, item in enumerate(items):
        requests.append(_item(number, item))
        size += len(requests[-1].text)
        if size > limits.MAX_BATCH:
            raise InvalidArgument(
                f"more than {limits.MAX_BATCH:,} characters in one atomic batch",
                where="items",
                hint="write them in several calls",
            )
    return requests


def _item(number: int, item: object) -> Remember:
    place = f"items[{number}]"
    if not isinstance(item, Mapping):
        raise InvalidArgument(f"an item is a dict, not {type(item).__name__}", where=place)
    if "text" not in item:
        raise InvalidArgument("an item without text", where=place, hint='{"text": "…"}')
    if not item.keys() <= ARGUMENTS:
        unknown = len(item.keys() - ARGUMENTS)
        raise InvalidArgument(
            f"{counted(unknown, 'key')} that `remember` does not take",
            where=place,
            hint="keys: " + ", ".join(sorted(ARGUMENTS)),
        )
    try:
        return remember(**item)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, where=f"{place}.{error.where}", hint=error.hint) from None


#: What an item of `remember_many` may hold.
ARGUMENTS = frozenset(Remember.__struct_fields__)


def named(memory: Named) -> str:
    """The id of a memory, given as it is or by what holds it."""
    if isinstance(memory, Ack | MemoryRecord):
        if memory.memory_id is None:
            raise InvalidArgument("this ack names no memory", where="memory_id", hint="pass the ack of a remember")
        return memory.memory_id
    return limits.name(memory, where="memory_id")


def forget(memory_id: Named, *, expected_version: int | None = None, idempotency_key: str | None = None) -> Forget:
    """The arguments of `forget`."""
    return Forget(
        memory_id=named(memory_id),
        expected_version=None if expected_version is None else limits.whole(expected_version, where="expected_version"),
        idempotency_key=None if idempotency_key is None else limits.name(idempotency_key, where="idempotency_key"),
    )


def recall(
    query: str,
    *,
    k: int = 10,
    mode: Mode = "hybrid",
    embedding: Sequence[float] | None = None,
    tags: Iterable[str] = (),
    since: When | None = None,
    until: When | None = None,
    min_confidence: float | None = None,
    min_lsn: int | None = None,
    below: bool = False,
    explain: bool = False,
) -> Recall:
    """The arguments of `recall` and `context`; any string is a legal query."""
    if not isinstance(query, str):
        raise InvalidArgument(f"query is a string, not {type(query).__name__}", where="query")
    return Recall(
        query=query.encode("utf-8", "replace").decode(),
        k=limits.whole(k, where="k", least=1, most=_MAX_K),
        mode=_choice(mode, _MODES, where="mode"),
        embedding=None if embedding is None else limits.vector(embedding),
        tags=_tags(tags),
        since=moment(since, where="since"),
        until=moment(until, where="until"),
        min_confidence=None if min_confidence is None else limits.share(min_confidence, where="min_confidence"),
        min_lsn=None if min_lsn is None else limits.whole(min_lsn, where="min_lsn"),
        below=limits.flag(below, where="below"),
        explain=limits.flag(explain, where="explain"),
    )


def listing(
    *,
    limit: int = 50,
    cursor: str | None = None,
    tags: Iterable[str] = (),
    since: When | None = None,
    until: When | None = None,
    min_confidence: float | None = None,
    below: bool = False,
) -> Listing:
    """The arguments of `list`."""
    if cursor is not None and not isinstance(cursor, str):
        raise InvalidArgument(f"a cursor is a string, not {type(cursor).__name__}", where="cursor")
    return Listing(
        limit=limits.whole(limit, where="limit", least=1, most=_MAX_K),
        cursor=cursor,
        tags=_tags(tags),
        since=moment(since, where="since"),
        until=moment(until, where="until"),
        min_confidence=None if min_confidence is None else limits.share(min_confidence, where="min_confidence"),
        below=limits.flag(below, where="below"),
    )


def plan_revert(
    *,
    events: Iterable[Evidence],
    actor: str | None,
    source: Mapping[str, Json] | None,
    session: str | None,
    since: When | None,
    until: When | None,
    kinds: Iterable[str],
    include_suspects: bool,
) -> PlanRevert:
    """The arguments of `plan_revert`; whether they select by anything is judged where the plan is made."""
    request = PlanRevert(
        events=evidence(events, where="events", most=1 << 20),
        actor=None if actor is None else limits.name(actor, where="actor"),
        source=None if source is None else limits.mapping(source, where="source"),
        session=None if session is None else limits.name(session, where="session"),
        since=moment(since, where="since"),
        until=moment(until, where="until"),
        kinds=limits.names(kinds, where="kinds", limit=48),
        include_suspects=limits.flag(include_suspects, where="include_suspects"),
    )
    for kind in request.kinds:
        if not _KIND.fullmatch(kind):
            raise InvalidArgument("not the name of a kind", where="kinds", hint="like memory.write")
    return request


def evidence(given: Iterable[Evidence], *, where: str, most: int = limits.MAX_CAUSES) -> tuple[int | str, ...]:
    """LSNs, ids, acks and records -> LSNs and ids."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidArgument(
            f"{where} are several, not one {type(given).__name__}", where=where, hint=f"{where}=[ack, hit, 17]"
        )
    found: list[int | str] = []
    values: Iterable[object] = given
    for each in values:
        if isinstance(each, Ack | MemoryRecord):
            found.append(each.lsn)
        elif isinstance(each, str):
            found.append(limits.name(each, where=where))
        elif isinstance(each, int) and not isinstance(each, bool):
            found.append(limits.whole(each, where=where, least=1))
        else:
            raise InvalidArgument(
                f"{where} holds a {type(each).__name__}", where=where, hint="LSNs, ids, acks, hits or records"
            )
    if len(found) > most:
        raise InvalidArgument(f"{len(found)} {where}, at most {most} are allowed", where=where)
    return tuple(found)


def moment(when: When | None, *, where: str) -> int | None:
    """A time in ns, or None."""
    return None if when is None else to_ns(when, where=where)


def packing(*, budget: int, order: Order, neighbours: int) -> Packing:
    """How `context` packs; the budget is in tokens."""
    return Packing(
        budget=limits.whole(budget, where="budget", least=1, most=_MAX_BUDGET),
        order=_choice(order, _ORDERS, where="order"),
        neighbours=limits.whole(neighbours, where="neighbours", most=_MAX_NEIGHBOURS),
    )


def depth(k: int | None, packing: Packing) -> int:
    """How many hits a context is made of: as many as were asked for, or as could fit."""
    return min(max(_LEAST_K, packing.budget // _LEAST_LINE), _MAX_K) if k is None else k


def durability(level: Durability) -> Durability:
    """One of the levels."""
    return _choice(level, _DURABILITIES, where="durability")


def direction(way: Direction) -> Direction:
    """One of the directions of `why`."""
    return _choice(way, _DIRECTIONS, where="direction")


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    return () if tags == () else limits.names(tags, where="tags")


def _choice(value: _T, choices: tuple[_T, ...], *, where: str) -> _T:
    if not isinstance(value, str) or value not in choices:
        raise InvalidArgument(f"unknown {where}", where=where, hint="one of " + ", ".join(map(str, choices)))
    return value
