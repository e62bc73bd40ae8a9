"""Admission decides, under the log's lock, what becomes of each waiting batch: written, replayed or refused.

A frame is gathered like this, by any log::

    checked = precheck(batch, read=…, upto=…) if batch.conditions else None        # outside the lock
    with lock:
        overlay = Overlay(index, first_lsn=…, recorded_at=…, now=…, random=…)     # one per frame
        admission = admit(batch, overlay=overlay, checked=checked)                # once per batch; may raise
        # write overlay.entries as one frame, then add them to the index

A batch that is refused leaves nothing behind in the overlay; the others of the frame are not concerned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from walnut.errors import IdempotencyConflict, InvalidArgument
from walnut.log.entry import REPLACING, Entry, appended, clock, is_new, new_alone
from walnut.model import ids
from walnut.model.event import UPDATE, Draft, Event
from walnut.ports import Appended, Batch, Condition

#: A note of what a handle was shown: it belongs to the write it precedes, and is dropped with its replay.
NOTE = "memory.recalled"

_LAST_TIME = 2**63 - 1


class Index(Protocol):
    """What admission asks about all events that are written, durable or not."""

    def find_idem(self, idem: bytes) -> int | None:
        """LSN of the event with this idempotency hash."""
        ...

    def last_touch(self, touch: bytes) -> int:
        """The newest LSN that touches this key, else 0."""
        ...

    def event(self, lsn: int) -> Event:
        """The event, which exists."""
        ...

    def read(self, after: int) -> Iterator[Event]:
        """All events after this LSN, in order."""
        ...


class Admission(msgspec.Struct, frozen=True):
    """What became of one batch.

    `entries` are to be written (none when all was replayed), `results` answer the drafts in their order.
    `wait_for` is the LSN that must be durable before the batch is acknowledged: all of it at `disk`, what it
    replays at `process` too, since a replay is an ack of an older write. 0: nothing to wait for.
    """

    entries: list[Entry]
    results: tuple[Appended, ...]
    wait_for: int


class Precheck(msgspec.Struct, frozen=True):
    """How far the `matches` conditions were evaluated outside the lock, and what offended (0: nothing)."""

    upto: int
    offending: tuple[int, ...]


class Overlay:
    """The frame being gathered, seen over the index of what is written before it.

    `recorded_at` is that of the newest written event, `now` the clock, both in ns; `random(n)` gives n bytes.
    """

    def __init__(
        self, index: Index, *, first_lsn: int, recorded_at: int, now: int, random: Callable[[int], bytes]
    ) -> None:
        self.entries: list[Entry] = []
        #: The LSN that the last refusal named or came from, 0 if none: who is told must find it there.
        self.named = 0
        self._index = index
        self._first_lsn = first_lsn
        self._written_at = self._recorded_at = recorded_at
        self._now = now
        self._random = random
        # What all drafts without a time of their own share: the first six bytes of an id, the clock if it is behind.
        self._stamp = b""
        self._clock_raw: int | None = None
        self._idems: dict[bytes, int] = {}
        self._touches: dict[bytes, int] = {}

    @property
    def last_lsn(self) -> int:
        """The newest written or admitted LSN."""
        return self._first_lsn + len(self.entries) - 1

    def find_idem(self, idem: bytes) -> int | None:
        """LSN of the written or admitted event with this idempotency hash."""
        return self._idems.get(idem) or self._index.find_idem(idem)

    def last_touch(self, touch: bytes) -> int:
        """The newest written or admitted LSN that touches this key, else 0."""
        return self._touches.get(touch) or self._index.last_touch(touch)

    def event(self, lsn: int) -> Event:
        """A written or admitted event; one that is only admitted has no commitment yet."""
        if lsn < self._first_lsn:
            return self._index.event(lsn)
        return self.entries[lsn - self._first_lsn].event()

    def transaction(self, lsn: int) -> list[Event]:
        """All events of the transaction that starts at `lsn`."""
        events = []
        for number in range(lsn, self._first_lsn + len(self.entries)):
            event = self.event(number)
            if event.txn != lsn:
                break
            events.append(event)
        return events

    def read(self, after: int) -> Iterator[Event]:
        """All written and admitted events after this LSN, in order."""
        if after < self._first_lsn - 1:
            yield from self._index.read(after)
        for entry in self.entries:
            if entry.lsn > after:
                yield entry.event()

    def add_new(self, draft: Draft) -> Appended:
        """Admit a transaction of one draft of which `is_new` is true: the short way, which most writes go."""
        if not self._stamp:
            self._recorded_at, self._clock_raw = self._time(draft)
            self._stamp = ids.ulid(self._recorded_at // 1_000_000, b"")
        entries, kind, touches = self.entries, draft.kind, draft.touches
        raw_id = self._stamp + self._random(10)
        lsn = self._first_lsn + len(entries)
        entries.append(Entry(draft, lsn, raw_id, self._recorded_at, self._clock_raw, kind, draft.op, None, 0))
        for touch in touches:
            self._touches[touch] = lsn
        return Appended(lsn=lsn, raw_id=raw_id, kind=kind, touches=touches, version=lsn if touches else None)

    def add(self, drafts: tuple[Draft, ...]) -> None:
        """Admit one transaction."""
        first: tuple[int, int | None] = (0, None)
        for number, draft in enumerate(drafts):
            lsn = self._first_lsn + len(self.entries)
            kind, op, before, touches = draft.kind, draft.op, None, draft.touches
            if touches and (draft.kind_if_exists is not None or op in REPLACING):
                before = self.last_touch(touches[0]) or None
                if before is not None and draft.kind_if_exists is not None:
                    kind, op = draft.kind_if_exists, UPDATE
            recorded_at, clock_raw = time = self._time(draft)
            first = first if number else time
            if time != first:
                raise InvalidArgument("events of one transaction have different times", where="recorded_at")
            raw_id = draft.event_id or ids.ulid(recorded_at // 1_000_000, self._random(10))
            self.entries.append(Entry(draft, lsn, raw_id, recorded_at, clock_raw, kind, op, before, number))
            self._recorded_at, self._stamp = recorded_at, b""
            for touch in touches:
                self._touches[touch] = lsn
            if draft.idem is not None:
                if draft.idem in self._idems:  # had it been there before this transaction, it would be a replay
                    raise _other_transaction(lsn)
                self._idems[draft.idem] = lsn

    def cut(self, length: int) -> None:
        """Forget all entries but the first `length`."""
        del self.entries[length:]
        self._touches = {touch: entry.lsn for entry in self.entries for touch in entry.draft.touches}
        self._idems = {entry.draft.idem: entry.lsn for entry in self.entries if entry.draft.idem is not None}
        self._recorded_at = self.entries[-1].recorded_at if self.entries else self._written_at
        self._stamp = b""

    def _time(self, draft: Draft) -> tuple[int, int | None]:
        last, now, adopted = self._recorded_at, self._now, draft.recorded_at
        if adopted is None:
            return clock(now, last)
        if not last <= adopted <= _LAST_TIME:
            raise InvalidArgument(
                "the time to adopt is before that of the event before it",
                where="recorded_at",
                hint="import events in the order of their LSNs, and into an empty store to keep their times",
            )
        return adopted, None


def precheck(batch: Batch, *, read: Callable[[int], Iterator[Event]], upto: int) -> Precheck | None:
    """Evaluate the `matches` conditions up to an LSN, outside the lock; None when there are none.

    `read(after)` yields events in order, at least up to `upto`. Nothing is raised here: when the batch
    turns out to be a replay, its conditions do not matter.
    """
    if all(condition.matches is None for condition in batch.conditions):
        return None
    return Precheck(upto, tuple(_first_match(each, read, after=each.after, upto=upto) for each in batch.conditions))


def admit(batch: Batch, *, overlay: Overlay, checked: Precheck | None = None) -> Admission:
    """Decide about one batch and add what is to be written to the overlay.

    A transaction whose idempotency keys are known is replayed; conditions hold for what is new, so a batch
    that is replayed whole does not meet them again. Raises IdempotencyConflict, InvalidArgument, or the error
    of a condition; then the overlay is as it was.
    """
    draft = new_alone(batch)
    if draft is not None:
        result = overlay.add_new(draft)
        return Admission(overlay.entries[-1:], (result,), result.lsn if batch.durability == "disk" else 0)
    start = len(overlay.entries)
    results: list[Appended] = []
    wait_for = 0
    try:
        for drafts in batch.transactions:
            if len(drafts) == 1 and is_new(drafts[0]) and not batch.conditions:
                results.append(overlay.add_new(drafts[0]))
                continue
            replayed = _replay(drafts, overlay)
            if replayed is not None:
                results += replayed
                wait_for = max(wait_for, *[each.lsn for each in replayed])
                continue
            if batch.conditions and len(overlay.entries) == start:
                _check(batch.conditions, overlay, checked)
            position = len(overlay.entries)
            overlay.add(drafts)
            results += [appended(entry) for entry in overlay.entries[position:]]
        if batch.conditions and not batch.transactions:
            _check(batch.conditions, overlay, checked)
    except BaseException as error:
        overlay.cut(start)
        if isinstance(error, IdempotencyConflict):
            if (error.lsn or 0) > overlay.last_lsn:  # an LSN of this batch, which will be another event's
                hint = "use a new key for a new request"
                raise IdempotencyConflict("a batch uses one idempotency key for two requests", hint=hint) from None
            overlay.named = error.lsn or 0
        raise
    entries = overlay.entries[start:]
    if entries and batch.durability == "disk":
        wait_for = entries[-1].lsn
    return Admission(entries, tuple(results), wait_for)


def _replay(drafts: tuple[Draft, ...], overlay: Overlay) -> list[Appended] | None:
    """The answers of the first write if this transaction is known, None if it is new."""
    found: dict[int, Event] = {}  # position of a draft -> its first event
    unknown = False
    for number, draft in enumerate(drafts):
        if draft.idem is None:
            continue
        lsn = overlay.find_idem(draft.idem)
        if lsn is None:
            unknown = True
        else:
            found[number] = _same_request(draft, overlay.event(lsn))
    if not found:
        return None
    first = next(iter(found.values()))
    if unknown or any(event.txn != first.txn for event in found.values()):
        raise _other_transaction(first.lsn)
    known = {event.lsn for event in found.values()}
    others = iter([e for e in overlay.transaction(first.txn) if e.lsn not in known and e.kind != NOTE])
    answers = []
    for number, draft in enumerate(drafts):
        event = found.get(number, first) if number in found or draft.kind == NOTE else next(others, None)
        if event is None:
            raise _other_transaction(first.lsn)
        answers.append(_again(event))
    return answers


def _same_request(draft: Draft, event: Event) -> Event:
    """The event itself if it came from the same request (unknowable once it is erased: then it did)."""
    if event.content is not None and event.content.request_hash != draft.content.request_hash:
        raise IdempotencyConflict(
            "the idempotency key was used with another request",
            where=f"LSN {event.lsn}",
            hint="use a new key for a new request",
            lsn=event.lsn,
        )
    return event


def _other_transaction(lsn: int) -> IdempotencyConflict:
    return IdempotencyConflict(
        "the idempotency key is used twice in a transaction, or was used in another one",
        where=f"LSN {lsn}",
        hint="repeat the transaction as it was, or write the new events in one of their own",
        lsn=lsn,
    )


def _again(event: Event) -> Appended:
    touches = tuple(event.touch_keys())
    return Appended(
        lsn=event.lsn,
        raw_id=event.raw_id,
        kind=event.kind,
        touches=touches,
        replayed=True,
        version=event.lsn if touches else None,
        before_lsn=event.before_lsn,
    )


def _check(conditions: tuple[Condition, ...], overlay: Overlay, checked: Precheck | None) -> None:
    """Raise the error of the first condition that does not hold."""
    for number, condition in enumerate(conditions):
        newest = 0
        for touch in condition.touches:
            newest = max(newest, overlay.last_touch(touch))
        if newest > condition.after:
            overlay.named = newest
            raise condition.error(newest)
        if condition.matches is None:
            continue
        offending, after = 0, condition.after
        if checked is not None:
            offending, after = checked.offending[number], max(after, checked.upto)
        offending = offending or _first_match(condition, overlay.read, after=after)
        if offending:
            overlay.named = offending
            raise condition.error(offending)


def _first_match(
    condition: Condition, read: Callable[[int], Iterator[Event]], *, after: int, upto: int = _LAST_TIME
) -> int:
    """The first LSN in `after` < LSN <= `upto` that the condition matches, else 0."""
    if condition.matches is None or after >= upto:
        return 0
    for event in read(after):
        if event.lsn > upto:
            break
        if condition.matches(event):
            return event.lsn
    return 0
