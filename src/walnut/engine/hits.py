"""Hits: ranked versions checked against the log; a fact and its evidence, or repetitions, stand in one place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from walnut.engine import contradictions, hydrate
from walnut.engine.handle import Handle
from walnut.engine.hydrate import Found
from walnut.engine.moment import View
from walnut.engine.related import related
from walnut.model.event import Event
from walnut.model.requests import Recall
from walnut.model.results import Conflict, Hit, Related
from walnut.recall import facts
from walnut.recall import search as searching
from walnut.recall.conflicts import words as said
from walnut.recall.models import Asked
from walnut.recall.rank import Scored

#: Of each kind of what stands beside a hit, so much is carried; evidence and facts beyond keep their own places.
CARRIED = 8


def search(handle: Handle, view: View, request: Recall, asked: Sequence[Asked]) -> list[Hit]:
    """The best `k`, best first."""
    ranked = searching.search(
        view.snapshot,
        handle.store.vectors,
        request,
        handle.readable,
        view.moment,
        below=request.below,
        asked=asked,
        texts=handle.store.texts,
        exact=handle.binding.lsn is not None,  # what is asked of a past LSN is answered as a replay would
    )
    return _Places(handle, view, request, ranked).hits()


class _Place:
    """A hit in the making: the version that leads, and what it carries."""

    def __init__(self, scored: Scored, found: Found) -> None:
        self.scored = scored
        self.found = found
        self.evidence: list[Related] = []
        self.facts: list[Related] = []
        self.repeats: list[Related] = []


class _Places:
    """The places of one search. Whoever is better leads; what it carries takes no place of its own."""

    def __init__(self, handle: Handle, view: View, request: Recall, ranked: Iterable[Scored]) -> None:
        self._handle = handle
        self._view = view
        self._request = request
        self._ranked: Iterator[Scored] = iter(ranked)
        self._places: dict[int, _Place] = {}  # by LSN
        self._memories: set[bytes] = set()
        self._carried: set[int] = set()

    def hits(self) -> list[Hit]:
        while len(self._places) < self._request.k:
            scored = next(self._ranked, None)  # not a loop over it: `_best` may look ahead
            if scored is None:
                break
            if scored.lsn not in self._carried and scored.memory not in self._memories:
                self._memories.add(scored.memory)
                self._take(scored)
        places = list(self._places.values())
        against = contradictions.of(
            self._handle, self._view, [place.found for place in places], below=self._request.below, most=CARRIED
        )
        return [self._hit(place, conflicts) for place, conflicts in zip(places, against, strict=True)]

    def _take(self, scored: Scored) -> None:
        """Give it a place of its own, or let a better one carry it."""
        found = self._checked(scored)
        if found is None:
            return
        rests_on = facts.evidence(self._handle.store.log, found.event, self._readable)
        better = [self._places[event.lsn] for event in rests_on if event.lsn in self._places]
        better.sort(key=lambda place: place.scored.score, reverse=True)
        for place in better:
            if len(place.facts) < CARRIED:
                place.facts.append(self._related(found.event))
                return
        place = self._places[scored.lsn] = _Place(scored, found)
        place.evidence = [self._related(event) for event in self._best(rests_on)]
        place.repeats = list(self._repeats(place))
        self._carried.update(each.lsn for each in place.evidence)
        self._carried.update(scored.repeats)

    def _checked(self, scored: Scored) -> Found | None:
        found = hydrate.check(self._handle, scored.lsn, scored.memory, self._view.moment, below=self._request.below)
        if found is None or found.event.lsn != scored.lsn:
            return None  # the view was wrong about it, so its score belongs to another text
        if not hydrate.passes(self._handle, found, self._request):
            return None
        return None if hydrate.shadowed(self._handle, self._view.snapshot, found.event, self._view.moment) else found

    def _best(self, events: list[Event]) -> list[Event]:
        """As many as can be carried, by LSN: those that answer the query best, then the newest."""
        if len(events) > CARRIED:
            order: dict[int, int] = {}
            if self._request.mode != "recent":  # its ranking has no end but the scope's, and is by LSN anyway
                left = list(self._ranked)
                self._ranked = iter(left)
                order = {scored.lsn: place for place, scored in enumerate(left)}
            events = sorted(events, key=lambda event: (order.get(event.lsn, len(order)), -event.lsn))[:CARRIED]
        return sorted(events, key=lambda event: event.lsn)

    def _repeats(self, place: _Place) -> Iterator[Related]:
        """Those that say the same, by the log."""
        words = said(place.found.event) if place.scored.repeats else ()
        for lsn in place.scored.repeats[:CARRIED]:
            event = self._handle.store.log.get(lsn)
            if said(event) == words:
                yield self._related(event)

    def _hit(self, place: _Place, conflicts: tuple[Conflict, ...]) -> Hit:
        scored = place.scored
        return Hit(
            **hydrate.fields(place.found),  # type: ignore[arg-type]
            score=scored.score,
            parts=scored.parts,
            evidence=tuple(place.evidence),
            facts=tuple(place.facts),
            said=1 + len(scored.repeats),
            repeats=tuple(place.repeats),
            conflicts=conflicts,
        )

    def _readable(self, event: Event) -> bool:
        return hydrate.readable(self._handle, event, below=self._request.below)

    def _related(self, event: Event) -> Related:
        return related(self._handle, self._view, event, below=self._request.below)
