"""Events that leave for another store, and events of another store that come in: adopted as they are, or remapped.

An empty store takes over the secret, LSNs, ids and times of a whole export, and so becomes the same store; one that
holds the beginning of it takes the rest. Any other store appends under LSNs of its own: references between events
are remapped, ids of events and of memories without a key stay, memories with a key get the id this store gives it.
An id that names something outside the bound scope becomes another one: for this import the other does not exist.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from walnut.engine import foreign, govern, keys
from walnut.engine.foreign import References
from walnut.engine.handle import Handle
from walnut.engine.moment import look
from walnut.engine.verbs import EventLog
from walnut.errors import InvalidArgument, ScopeError, VersionConflict
from walnut.model.event import Content, Draft, Event, Json
from walnut.model.scope import ROOT, within
from walnut.ports import Batch, Condition

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

_BATCH = 200
_RETRIES = 100


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What events of another store come with: whose they are, and the secret if they are all of it."""

    log_id: bytes
    scope: str
    last_lsn: int
    secret: bytes | None = None


@runtime_checkable
class Adoptive(Protocol):
    """A log that can take another one's secret while it is empty."""

    def adopt_secret(self, secret: bytes) -> bool:
        """Take it; False when the log is not empty, or others have it open."""
        ...


def outgoing(face: EventLog) -> tuple[Header, Iterator[Event]]:
    """Everything of the handle's scope and below, in order; the secret goes with the whole store only.

    What an undo from outside did to events of the scope goes along as an undo of the scope's own.
    """
    handle = face._handle  # noqa: SLF001 - the face is this engine's own
    last = govern.end(handle, after=0, upto=None)
    log, scope = handle.store.log, handle.binding.scope
    header = Header(log_id=log.log_id, scope=scope, last_lsn=last, secret=log.secret if scope == ROOT else None)
    return header, log.read(upto=last) if scope == ROOT else _below(handle, last)


def _below(handle: Handle, last: int) -> Iterator[Event]:
    scope = handle.binding.scope
    lsns: list[int] = []
    touches: set[bytes] = set()
    for event in handle.store.log.read(upto=last):
        if event.content is None:
            continue
        if not within(event.content.scope, scope):
            kept = _restricted(handle, event, lsns, touches)
            if kept is None:
                continue
            event = kept  # noqa: PLW2901 - what of it concerns the scope
        lsns.append(event.lsn)
        touches.update(event.touch_keys())
        yield event


def _restricted(handle: Handle, event: Event, lsns: list[int], touches: set[bytes]) -> Event | None:
    """What an undo from outside did to the scope, without a trace of who did it."""
    if event.kind != foreign.REVERTED or event.content is None:
        return None
    ranges: list[Json] = []
    for low, high in foreign.ranges(event.content.payload):
        found = lsns[bisect_left(lsns, low) : bisect_right(lsns, high)]
        ranges += [[lsn, lsn] for lsn in found]
    if not ranges:
        return None
    content = Content(scope=handle.binding.scope, actor=handle.binding.actor, payload={"ranges": ranges})
    raw = b"".join(touch for touch in event.touch_keys() if touch in touches)
    return msgspec.structs.replace(event, content=content, raw_touches=raw, txn=event.lsn)


class _Raced(Exception):
    """Another process imported the same event meanwhile."""


class Incoming:
    """Takes the events of another store, in the order of their LSNs; `flush` at the end.

    `whole`: they are all events of that store, none left out or erased. Counts what was `written` and what was
    there `already`; `adopted` tells whether LSNs, ids and times were kept.

    Errors: ScopeError, FormatTooNew, IdempotencyConflict, VersionConflict, and those of `Log.append`.
    """

    def __init__(self, face: EventLog, header: Header, *, whole: bool) -> None:
        self._handle = handle = face._handle  # noqa: SLF001 - the face is this engine's own
        if not within(header.scope, handle.binding.scope):
            raise ScopeError(
                "the export is of a scope outside the bound one", where="scope", hint=f"--scope {header.scope}"
            )
        self.written = self.already = self.last_lsn = 0
        log = handle.store.log
        self._here = handle.sync_own()
        secret = header.secret if whole and handle.binding.scope == ROOT else None
        if secret is not None and not self._here and secret != log.secret and isinstance(log, Adoptive):
            log.adopt_secret(secret)
        self.adopted = secret is not None and secret == log.secret
        same_secret = header.secret == log.secret or header.log_id == log.log_id
        self._references = References(log.secret, same_secret=same_secret)
        self._keep_times = True
        self._ids: dict[bytes, int] = {}  # of the events that are here, up to an LSN
        self._ids_upto = 0
        self._mine = log.read(upto=self._here) if self.adopted else iter(())
        self._pending: list[tuple[Event, ...]] = []
        self._pending_lsns: set[int] = set()

    def take(self, transaction: tuple[Event, ...]) -> None:
        """One transaction; it is on disk at the latest after `flush`."""
        if self.adopted and self._is_here(transaction):
            self._references.same_upto = transaction[-1].lsn
            self.already += len(transaction)
            return
        if not self.adopted and any(foreign.refers_to(event, self._pending_lsns) for event in transaction):
            self.flush()
        self._pending.append(transaction)
        self._pending_lsns.update(event.lsn for event in transaction)
        if len(self._pending_lsns) >= _BATCH:
            self.flush()

    def _is_here(self, transaction: tuple[Event, ...]) -> bool:
        """Whether this store begins with these events; when it goes on otherwise, the rest is remapped."""
        here = list(islice(self._mine, sum(event.lsn <= self._here for event in transaction)))
        if here and [each.raw_id for each in here] != [event.raw_id for event in transaction]:
            self.adopted = False
            return False
        return bool(here)

    def flush(self) -> None:
        """Write what waits."""
        if self._pending and self.adopted:
            self._adopt()
        elif self._pending:
            self._remap()
        self._pending, self._pending_lsns = [], set()

    def _adopt(self) -> None:
        events = [event for transaction in self._pending for event in transaction]
        before = events[0].lsn - 1
        alone = Condition(after=before, matches=lambda _: True, error=_meanwhile)
        drafts = tuple(tuple(map(foreign.verbatim, transaction)) for transaction in self._pending)
        appended = self._handle.store.log.append(Batch(transactions=drafts, conditions=(alone,)))
        if [each.lsn for each in appended] != [event.lsn for event in events]:
            raise _meanwhile(before)
        self._references.same_upto = events[-1].lsn
        self._count(len(events), events[-1].lsn)

    def _remap(self) -> None:
        for _ in range(_RETRIES):
            try:
                return self._append_new()
            except _Raced:
                continue
            except InvalidArgument as error:
                if error.where != "recorded_at" or not self._keep_times:
                    raise
                self._keep_times = False
        raise _meanwhile(0)

    def _append_new(self) -> None:
        """Append those that are not here yet, on condition that none of them came meanwhile."""
        log = self._handle.store.log
        newest = self._handle.sync_own()
        now = self._handle.store.system.now()
        with look(self._handle, at_least=newest) as view:
            upto = view.snapshot.lsn
            self._learn_ids(view.snapshot)
            pending = [tuple(self._inside(event) for event in each) for each in self._pending]
            known = {
                event.lsn: lsn
                for transaction in pending
                for event in transaction
                if (lsn := self._ids.get(event.raw_id)) is not None
            }
        last_time = log.get(newest).recorded_at if newest else 0
        batch: list[tuple[Draft, ...]] = []
        written: list[int] = []
        already = 0
        for transaction in pending:
            if any(event.lsn in known for event in transaction):
                here = {event.lsn: known[event.lsn] for event in transaction if event.lsn in known}
                named = {old: lsn for old, lsn in here.items() if not self._is_outside(lsn)}
                self._references.learn(transaction, named)
                already += len(transaction)
                continue
            keep = self._keep_times and last_time <= transaction[0].recorded_at <= now
            last_time = transaction[0].recorded_at if keep else 2**63
            drafts = [(event.lsn, draft) for event in transaction if (draft := self._draft(event, keep)) is not None]
            written += [lsn for lsn, _ in drafts]
            batch += [tuple(draft for _, draft in drafts)] if drafts else []
        if batch:
            raw_ids = {draft.event_id for drafts in batch for draft in drafts}
            fresh = Condition(after=upto, matches=lambda event: event.raw_id in raw_ids, error=lambda _: _Raced())
            appended = log.append(Batch(transactions=tuple(batch), conditions=(fresh,)))
            self._references.lsns.update(zip(written, (each.lsn for each in appended), strict=True))
            already += sum(each.replayed for each in appended)
            self._count(sum(not each.replayed for each in appended), appended[-1].lsn)
        self.already += already

    def _draft(self, event: Event, keep_time: bool) -> Draft | None:  # noqa: FBT001 - private, one caller
        draft = foreign.remapped(event, self._references, keep_time=keep_time)
        if draft is None or draft.kind != foreign.REVERTED:
            return draft
        undone = (lsn for low, high in foreign.ranges(draft.content.payload) for lsn in range(low, high + 1))
        changed = (touch for lsn in undone for touch in self._handle.store.log.get(lsn).touch_keys())
        return msgspec.structs.replace(draft, touches=tuple(dict.fromkeys((*draft.touches, *changed))))

    def _learn_ids(self, snapshot: Snapshot) -> None:
        """Keep the ids of what is here in memory: the view has no index on them, and they are all asked for."""
        for raw_id, lsn in snapshot.event_ids(after=self._ids_upto):
            self._ids.setdefault(raw_id, lsn)
        self._ids_upto = snapshot.lsn

    def _inside(self, event: Event) -> Event:
        """The event with other ids for itself and its memories where its own name what is outside the scope."""
        log = self._handle.store.log
        raw_id, touches = event.raw_id, event.touch_keys()
        lsn = self._ids.get(raw_id)
        if lsn is not None and self._is_outside(lsn) and not self._is_readable(lsn):
            raw_id = raw_id[:6] + self._other(raw_id)[:10]
        outside = {touch for touch in touches if (lsns := log.stream(touch)) and self._is_outside(lsns[0])}
        if raw_id == event.raw_id and not outside:
            return event
        raw = b"".join(touch[:1] + self._other(touch) if touch in outside else touch for touch in touches)
        return msgspec.structs.replace(event, raw_id=raw_id, raw_touches=raw)

    def _is_outside(self, lsn: int) -> bool:
        scope = self._handle.binding.scope
        if scope == ROOT:  # nothing lies outside, and a look at each event would cost more than all the rest
            return False
        content = self._handle.store.log.get(lsn).content
        return content is None or not within(content.scope, scope)

    def _is_readable(self, lsn: int) -> bool:
        content = self._handle.store.log.get(lsn).content
        return content is not None and content.scope in self._handle.readable

    def _other(self, name: bytes) -> bytes:
        """16 bytes that stand for a name in this scope: the same ones each time it is imported."""
        return keys.foreign(self._handle.store.log.secret, self._handle.binding.scope, name)

    def _count(self, written: int, last_lsn: int) -> None:
        self.written += written
        self.last_lsn = last_lsn
        self._handle.wrote(last_lsn)


def _meanwhile(_: int) -> VersionConflict:
    return VersionConflict(
        "the store was written to while it was being restored",
        where="import",
        hint="let nobody else write, and import again; what is there already is not written twice",
    )
