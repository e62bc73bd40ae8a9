"""Counts: how many versions hold a term, kept between searches, so that only what was added since is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from walnut.system import System
from walnut.views.folds import text

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

#: Counts that are kept; then all are forgotten, and the common ones are soon back.
KEPT = 50_000
#: Of searches in more scopes than this, nothing is kept.
_MOST_SCOPES = 8


class Counts:
    """What a store keeps of the counts of terms; for any thread."""

    def __init__(self, system: System) -> None:
        self._lock = system.lock()
        self._known: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}  # (up to which LSN, how many)
        self._generation = 0  # of the view's file that they were counted in

    def of(self, snapshot: Snapshot, scopes: tuple[int, ...], terms: Sequence[int], *, upto: int) -> dict[int, int]:
        """How many versions in these scopes hold each term, up to an LSN."""
        upto = min(upto, snapshot.lsn)
        with self._lock:
            if snapshot.generation > self._generation or len(self._known) > KEPT:
                self._known.clear()
                self._generation = max(self._generation, snapshot.generation)
            kept = snapshot.generation == self._generation and len(scopes) <= _MOST_SCOPES
            found = {term: self._known.get((scopes, term), (0, 0)) if kept else (0, 0) for term in terms}
        counts = {term: _count(snapshot, scopes, term, *known, upto=upto) for term, known in found.items()}
        with self._lock:
            if kept and snapshot.generation == self._generation:
                for term, count in counts.items():
                    if found[term][0] < upto:
                        self._known[scopes, term] = (upto, count)
        return counts


def _count(snapshot: Snapshot, scopes: Sequence[int], term: int, before: int, count: int, *, upto: int) -> int:
    """What is known up to `before`, and what came since; counted anew when the past is asked for."""
    if before > upto:
        before = count = 0
    return count + text.frequency(snapshot.db, scopes, term, after=before, upto=upto) if before < upto else count
