"""Reading looks up: one memory, a listing, a search, a history, a chain of evidence, at a handle's moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from walnut.engine import asking, cursor, evidence, hydrate, keys, parse
from walnut.engine.handle import Handle
from walnut.engine.hydrate import Found
from walnut.engine.moment import View, look, mended
from walnut.errors import InvalidArgument, NotFound
from walnut.model import ids
from walnut.model.contexts import Context
from walnut.model.event import Event
from walnut.model.given import Evidence, Named, When
from walnut.model.requests import Direction, Listing, Packing, Recall
from walnut.model.results import Explanation, Hit, MemoryRecord, Page, Version
from walnut.model.times import WITHIN_MICROSECOND, from_ns, to_ns
from walnut.policy import limits
from walnut.views import visibility

if TYPE_CHECKING:
    from walnut.recall.counting import TokenCounter
    from walnut.recall.models import Asked

#: Terms of a question by which the passage of a long text is chosen.
_MOST_WANTED = 64


@mended
def get(handle: Handle, memory_id: Named | None, *, key: str | None) -> MemoryRecord:
    """The memory of this id, or the nearest of this key."""
    wanted = _wanted(handle, memory_id, key)
    with look(handle) as view:
        for touch in wanted:
            found = None if touch is None else _chosen(handle, view, touch)
            if found is not None:
                return hydrate.record(found)
    raise NotFound("no such memory", where="key" if memory_id is None else "memory_id")


def _wanted(handle: Handle, memory_id: Named | None, key: str | None) -> list[bytes | None]:
    """The memory of this id, or those of this key, the nearest first."""
    if (memory_id is None) == (key is None):
        raise InvalidArgument("pass a memory id or a key", where="memory_id", hint='"mem_…", or key="…"')
    if memory_id is not None:
        return [keys.memory_or_none(parse.named(memory_id))]
    name, secret = limits.name(key, where="key"), handle.store.log.secret
    return [keys.memory_of_key(secret, scope, name) for scope in handle.readable]


def _chosen(handle: Handle, view: View, touch: bytes) -> Found | None:
    chosen = view.snapshot.choose(touch, view.moment)
    if chosen is None or chosen.scope not in handle.readable:
        return None
    return hydrate.check(handle, chosen.lsn, touch, view.moment)


@mended
def listing(handle: Handle, request: Listing) -> Page:
    """One page, newest first; a cursor goes on at the LSN, and the moment, of the first page."""
    place = cursor.read(handle, request)
    with look(handle, lsn=place.lsn, valid_at=place.valid_at) as view:
        before, items = place.before, list[MemoryRecord]()
        while True:
            batch = view.snapshot.listing(
                handle.readable,
                view.moment,
                below=request.below,
                tags=request.tags,
                since=request.since,
                until=request.until,
                min_confidence=request.min_confidence,
                before=before,
                limit=request.limit + 1,
            )
            for chosen in batch:
                if len(items) == request.limit:
                    place = cursor.Place(lsn=view.moment.lsn, valid_at=view.moment.valid_at, before=before)
                    token = cursor.write(handle, request, place)
                    return Page(items=tuple(items), cursor=token, lsn=view.moment.lsn)
                before = chosen.lsn
                found = hydrate.check(handle, chosen.lsn, chosen.memory, view.moment, below=request.below)
                if found is None or not hydrate.passes(handle, found, request):
                    continue
                if hydrate.shadowed(handle, view.snapshot, found.event, view.moment):
                    continue
                items.append(hydrate.record(found))
            if len(batch) <= request.limit:
                return Page(items=tuple(items), cursor=None, lsn=view.moment.lsn)


@mended
def recall(handle: Handle, request: Recall) -> list[Hit]:
    """Search; what is found is noted as shown."""
    asked = asking.asked(handle, request)
    with look(handle, at_least=request.min_lsn) as view:
        hits = _search(handle, view, request, asked)
    handle.note.add(_shown(hits))
    return hits


def context(handle: Handle, request: Recall, packing: Packing, *, count: TokenCounter | None = None) -> Context:
    """Search and pack into the budget; what made it into the text is noted as shown.

    An error of the caller's counter reaches the caller as it is: it says nothing about the views.
    """
    from walnut.recall.counting import CounterFailed, estimate

    try:
        return _context(handle, request, packing, count=count or estimate)
    except CounterFailed as failed:
        error = failed.error
    raise error


@mended
def _context(handle: Handle, request: Recall, packing: Packing, *, count: TokenCounter) -> Context:
    from walnut.engine.beside import beside
    from walnut.recall import context as packs
    from walnut.views.folds import terms

    asked = asking.asked(handle, request)
    with look(handle, at_least=request.min_lsn) as view:
        packed = packs.pack(
            _search(handle, view, request, asked),
            packing,
            count=count,
            wanted=frozenset(terms.query_terms(request.query, most=_MOST_WANTED)),
            neighbours=lambda hit: beside(handle, view, request, hit, reach=packing.neighbours),
        )
    handle.note.add(line.lsn for line in packed.lines)
    return packed


def _search(handle: Handle, view: View, request: Recall, asked: Sequence[Asked]) -> list[Hit]:
    from walnut.engine import hits

    return hits.search(handle, view, request, asked) if view.moment.lsn else []


def _shown(hits: Iterable[Hit]) -> Iterator[int]:
    """LSNs of all events whose text these hits show."""
    for hit in hits:
        yield hit.lsn
        yield from (
            each.lsn for each in (*hit.evidence, *hit.facts, *hit.repeats, *hit.conflicts) if each.text is not None
        )


@mended
def history(handle: Handle, memory_id: Named | None, *, key: str | None) -> list[Version]:
    """All events that touch a memory, with the state each is in at the handle's moment."""
    wanted = _wanted(handle, memory_id, key)
    log = handle.store.log
    with look(handle) as view:
        moment = view.moment
    for touch in wanted:
        lsns = log.stream(touch or bytes(ids.TOUCH_SIZE), before=moment.lsn + 1)
        if touch is not None and evidence.belongs(handle, lsns):
            shown = visibility.history([log.get(lsn) for lsn in lsns], moment)
            return [_version(handle, event, touch, lsns[-1], state) for event, state in shown]
    raise NotFound("no such memory", where="key" if memory_id is None else "memory_id")


def _version(handle: Handle, event: Event, touch: bytes, version: int, state: str) -> Version:
    content = event.content
    known = content is not None and content.scope in handle.readable
    written = known and event.kind in visibility.WRITES
    return Version(
        lsn=event.lsn,
        event_id=event.id,
        kind=event.kind,
        op=event.op,
        actor=content.actor if known and content is not None else None,
        recorded_at=from_ns(event.recorded_at),
        state=state,
        memory=hydrate.record(Found(touch, event, version)) if written else None,
    )


@mended
def why(handle: Handle, what: Evidence, *, direction: Direction) -> Explanation:
    """The chain of evidence from, or the influence of, one event."""
    from walnut.recall import why as explaining

    parse.direction(direction)
    (asked,) = parse.evidence([what], where="what")
    (lsn,) = evidence.resolve(handle, [asked], where="what")
    with look(handle) as view:
        return explaining.explain(
            view.snapshot, handle.store.log, lsn, handle.readable, view.moment, direction=direction
        )


@mended
def as_of(handle: Handle, *, system_time: When | None, valid_time: When | None, lsn: int | None) -> Handle:
    """A handle on another moment of the same scope."""
    if system_time is not None and lsn is not None:
        raise InvalidArgument("an LSN is a system time", where="lsn", hint="pass one of them")
    if system_time is None and valid_time is None and lsn is None:
        raise InvalidArgument("as of when?", where="as_of", hint="pass system_time, valid_time or lsn")
    handle.check_open()
    log = handle.store.log
    durable = handle.sync_own()
    valid_at = None if valid_time is None else _within(valid_time, where="valid_time")
    if lsn is not None:
        limits.whole(lsn, where="lsn")
        if lsn > durable:
            raise InvalidArgument(f"the log ends at LSN {durable}", where="lsn")
        if valid_at is None:
            valid_at = log.get(lsn).recorded_at if lsn else 0
    elif system_time is not None:
        moment = _within(system_time, where="system_time")
        with look(handle) as view:
            lsn = view.snapshot.lsn_at(moment)
        if valid_at is None:
            valid_at = min(moment, handle.store.system.now())
    return handle.at(lsn=lsn, valid_at=valid_at)


def _within(when: When, *, where: str) -> int:
    """The last ns within the microsecond of a time."""
    return min(to_ns(when, where=where) + WITHIN_MICROSECOND, visibility.END_OF_TIME)
