"""Entries: drafts with all that the log decided about them, and the short way of a draft that needs no decision."""

from __future__ import annotations

import msgspec

from walnut.model import ids
from walnut.model.event import DELETE, UPDATE, Draft, Event
from walnut.ports import Appended, Batch

#: Ops whose before-image is looked up.
REPLACING = (UPDATE, DELETE)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A draft with all that the log decided about it, ready to be written at `lsn`.

    `txn_offset` is how many entries back its transaction starts; times are ns since 1970 UTC, `clock_raw` the
    raw reading when the clock had stepped back.
    """

    draft: Draft
    lsn: int
    raw_id: bytes
    recorded_at: int
    clock_raw: int | None
    kind: str
    op: str
    before_lsn: int | None
    txn_offset: int

    def event(self, *, commitment: bytes = b"") -> Event:
        """The event that this entry becomes."""
        draft = self.draft
        return Event(
            lsn=self.lsn,
            raw_id=self.raw_id,
            recorded_at=self.recorded_at,
            kind=self.kind,
            op=self.op,
            txn=self.lsn - self.txn_offset,
            raw_touches=b"".join(draft.touches),
            commitment=commitment,
            content=draft.content,
            before_lsn=self.before_lsn,
            idem=draft.idem,
            clock_raw=self.clock_raw,
        )


def appended(entry: Entry) -> Appended:
    """The answer to the draft of an entry."""
    touches = entry.draft.touches
    return Appended(
        lsn=entry.lsn,
        raw_id=entry.raw_id,
        kind=entry.kind,
        touches=touches,
        version=entry.lsn if touches else None,
        before_lsn=entry.before_lsn,
    )


def clock(now: int, last: int) -> tuple[int, int | None]:
    """What is recorded at `now` if the event before was at `last`; also the raw reading if the clock stepped back."""
    return (now, None) if now >= last else (last, now)


def new_alone(batch: Batch) -> Draft | None:
    """The one draft of a batch about which nothing is to be looked up, None for any other batch."""
    transactions = batch.transactions
    if len(transactions) != 1 or len(transactions[0]) != 1 or batch.conditions:
        return None
    draft = transactions[0][0]
    return draft if is_new(draft) else None


def alone(draft: Draft, lsn: int, *, last: int, now: int, randomness: bytes) -> Entry:
    """What becomes of the draft of `new_alone`, `last` being the time of the event before it."""
    recorded_at, clock_raw = clock(now, last)
    raw_id = ids.ulid(recorded_at // 1_000_000, randomness)
    return Entry(draft, lsn, raw_id, recorded_at, clock_raw, draft.kind, draft.op, None, 0)


def is_new(draft: Draft) -> bool:
    """Whether there is nothing to look up: whatever was written before, this is a new event at the time it is now."""
    if draft.idem is not None or draft.kind_if_exists is not None or draft.op in REPLACING:
        return False
    return draft.recorded_at is None and draft.event_id is None
