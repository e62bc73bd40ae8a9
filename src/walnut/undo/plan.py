"""The plan of an undo: the selected events, what was derived from them, who may have acted on them; nothing is done.

What was derived goes with its evidence, unless other evidence that counts is left. What an actor wrote after it
was shown a planned version is suspect, and goes only when asked for; then whatever follows from it goes as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from walnut.model import ids
from walnut.model.event import Event
from walnut.model.requests import Selector
from walnut.model.results import PlanItem, RevertPlan
from walnut.model.scope import within
from walnut.model.times import from_ns
from walnut.model.words import counted
from walnut.ports import Log
from walnut.undo import select
from walnut.undo.select import REVERTED, matches

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

__all__ = ["matches", "plan"]

Role: TypeAlias = Literal["selected", "derived", "suspect", "needs_recompute", "kept"]

_MEMORY = ids.TOUCH_BYTES["mem"]


class _Entry(msgspec.Struct, frozen=True):
    event: Event
    role: Role
    reason: str
    reverts: bool
    because: tuple[int, ...] = ()


def plan(
    snapshot: Snapshot, log: Log, selector: Selector, *, bound_scope: str, actor: str, include_suspects: bool = False
) -> RevertPlan:
    """What undoing the selection would touch, in the bound scope and below, as of the snapshot.

    Errors: InvalidArgument when no selector is given.
    """
    select.check(selector)
    closure = _Closure(snapshot, log, bound_scope)
    closure.select(selector)
    while closure.derive() or (include_suspects and closure.suspect(reverts=True)):
        pass
    if not include_suspects:
        closure.suspect(reverts=False)
    closure.keep_the_rest()
    entries = [closure.entries[lsn] for lsn in sorted(closure.entries)]
    undone = [entry.event for entry in entries if entry.reverts]
    return RevertPlan(
        scope=bound_scope,
        actor=actor,
        lsn=snapshot.lsn,
        selector=selector,
        items=tuple(_item(entry) for entry in entries),
        ranges=_ranges(event.lsn for event in undone),
        memory_ids=tuple(dict.fromkeys(memory_id for event in undone for memory_id in _memory_ids(event))),
        include_suspects=include_suspects,
    )


class _Closure:
    """The set of planned events as it grows. `entries` by LSN; those with `reverts` are planned."""

    def __init__(self, snapshot: Snapshot, log: Log, bound_scope: str) -> None:
        self.entries: dict[int, _Entry] = {}
        self._snapshot = snapshot
        self._log = log
        self._scope = bound_scope
        self._fresh: list[int] = []  # planned, and not yet asked what was derived from them
        self._unasked: list[int] = []  # planned, and not yet asked who was shown them
        self._doubtful: dict[int, Event] = {}  # derived from planned ones, with other evidence left
        self._counting: dict[int, bool] = {}

    def select(self, selector: Selector) -> None:
        found = self._snapshot.select(selector, self._scope, self._snapshot.lsn)
        events = [self._log.get(lsn) for lsn in sorted(found)]
        events = [event for event in events if matches(event, selector, bound_scope=self._scope)]
        self._look_up(event.lsn for event in events)
        for event in events:
            if not select.revertible(event.kind):
                self.entries[event.lsn] = _Entry(event, "kept", f"{event.kind} can't be reverted", reverts=False)
            elif self._counts(event.lsn):
                self._plan(event, "selected", "selected")

    def derive(self) -> bool:
        """Plan what was derived from planned events and has no other evidence; True if anything was added."""
        before = len(self.entries)
        while self._fresh:
            effects = sorted({lsn for planned in self._fresh for lsn in self._snapshot.effects(planned)})
            self._fresh.clear()
            for event in self._open_to_undo(effects):
                self._doubtful[event.lsn] = event
            for lsn, event in sorted(self._doubtful.items()):
                because, left = self._evidence(event)
                if lsn not in self.entries and because and not left:
                    self._plan(event, "derived", "derived from " + counted(len(because), "event"), because)
        return len(self.entries) > before

    def suspect(self, *, reverts: bool) -> bool:
        """Add what was written by those who were shown planned versions; True if anything was added."""
        before = len(self.entries)
        shown, self._unasked = sorted(self._snapshot.shown(self._unasked)), []
        for note_lsn, version in shown:
            note = self._log.get(note_lsn)
            if note.content is None or not within(note.content.scope, self._scope):
                continue
            actor, scope = note.content.actor, note.content.scope
            written = self._snapshot.writes_after(note_lsn, actor, scope, self._snapshot.lsn)
            for event in self._open_to_undo(written):
                if event.kind == REVERTED:
                    continue
                because = (version, note_lsn)
                reason = "written by the same actor after it was shown this"
                if reverts:
                    self._plan(event, "suspect", reason, because)
                else:
                    self.entries[event.lsn] = _Entry(event, "suspect", reason, reverts=False, because=because)
        return len(self.entries) > before

    def keep_the_rest(self) -> None:
        """List what was derived from planned events and stays, because other evidence is left."""
        for lsn, event in self._doubtful.items():
            known = self.entries.get(lsn)
            if known is None or not known.reverts:
                because, left = self._evidence(event)
                reason = f"kept: {counted(len(left), 'event')} of its evidence left of {len(because) + len(left)}"
                self.entries[lsn] = _Entry(event, "needs_recompute", reason, reverts=False, because=because)

    def _plan(self, event: Event, role: Role, reason: str, because: tuple[int, ...] = ()) -> None:
        """Plan an event with the rest of its transaction: a revert takes whole transactions."""
        self._add(event, role, reason, because)
        for other in self._open_to_undo(self._transaction(event)):
            self._add(other, role, "in the same transaction", (event.lsn,))

    def _add(self, event: Event, role: Role, reason: str, because: tuple[int, ...]) -> None:
        if event.lsn in self.entries:
            return
        self.entries[event.lsn] = _Entry(event, role, reason, reverts=True, because=because)
        self._fresh.append(event.lsn)
        self._unasked.append(event.lsn)

    def _transaction(self, event: Event) -> list[int]:
        last = event.lsn
        while last < self._snapshot.lsn and self._log.get(last + 1).txn == event.txn:
            last += 1
        return [lsn for lsn in range(event.txn, last + 1) if lsn != event.lsn]

    def _open_to_undo(self, lsns: Iterable[int]) -> list[Event]:
        """Those of them that are governed, count, can be undone, and are not planned yet."""
        new = [lsn for lsn in lsns if lsn <= self._snapshot.lsn and lsn not in self.entries]
        self._look_up(new)
        events = (self._log.get(lsn) for lsn in new if self._counts(lsn))
        return [
            event
            for event in events
            if event.content is not None and within(event.content.scope, self._scope) and select.revertible(event.kind)
        ]

    def _evidence(self, event: Event) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Its evidence that counts: the planned part, and what is left."""
        causes = sorted(set(event.content.caused_by)) if event.content is not None else []
        self._look_up(causes)
        counting = [lsn for lsn in causes if self._counts(lsn)]
        planned = tuple(lsn for lsn in counting if (entry := self.entries.get(lsn)) and entry.reverts)
        return planned, tuple(lsn for lsn in counting if lsn not in planned)

    def _look_up(self, lsns: Iterable[int]) -> None:
        unknown = [lsn for lsn in lsns if lsn not in self._counting]
        if unknown:
            counting = self._snapshot.counting(unknown, self._snapshot.lsn)
            self._counting.update((lsn, lsn in counting) for lsn in unknown)

    def _counts(self, lsn: int) -> bool:
        return self._counting[lsn]


def _item(entry: _Entry) -> PlanItem:
    event, content = entry.event, entry.event.content
    text = None if content is None else content.payload.get("text")
    return PlanItem(
        lsn=event.lsn,
        event_id=event.id,
        kind=event.kind,
        role=entry.role,
        reason=entry.reason,
        reverts=entry.reverts,
        memory_ids=tuple(_memory_ids(event)),
        because=entry.because,
        actor=None if content is None else content.actor,
        text=text if isinstance(text, str) else None,
        recorded_at=from_ns(event.recorded_at),
    )


def _memory_ids(event: Event) -> list[str]:
    return [ids.touch_text(key) for key in event.touch_keys() if key.startswith(_MEMORY)]


def _ranges(lsns: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending LSNs as inclusive ranges, without a gap inside any."""
    ranges: list[tuple[int, int]] = []
    for lsn in lsns:
        if ranges and ranges[-1][1] == lsn - 1:
            ranges[-1] = (ranges[-1][0], lsn)
        else:
            ranges.append((lsn, lsn))
    return tuple(ranges)
