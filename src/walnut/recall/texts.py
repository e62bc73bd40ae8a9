"""Texts: what is kept of the text index between searches, how many versions hold a term, and what ranking reads.

Neither ever changes for an LSN: rows are only added. Another file of the view may hold others, so all is forgotten
with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from walnut.system import System
from walnut.views.folds import text
from walnut.views.folds.text import Doc

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

#: Counts, and rows, that are kept; then all are forgotten, and the common ones are soon back. A row is some 0.7 KB.
KEPT_COUNTS = 50_000
KEPT_DOCS = 20_000
#: Of searches in more scopes than this, no counts are kept.
_MOST_SCOPES = 8


class Texts:
    """What a store keeps of its view of texts; for any thread."""

    def __init__(self, system: System) -> None:
        self._lock = system.lock()
        self._counts: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}  # (up to which LSN, how many)
        self._docs: dict[int, Doc] = {}
        self._generation = 0  # of the view's file that they were read from

    def counts(self, snapshot: Snapshot, scopes: tuple[int, ...], terms: Sequence[int], *, upto: int) -> dict[int, int]:
        """How many versions in these scopes hold each term, up to an LSN; what came since the last time is counted."""
        upto = min(upto, snapshot.lsn)
        with self._lock:
            kept = self._current(snapshot) and len(scopes) <= _MOST_SCOPES
            found = {term: self._counts.get((scopes, term), (0, 0)) if kept else (0, 0) for term in terms}
        counts = {term: _count(snapshot, scopes, term, *known, upto=upto) for term, known in found.items()}
        new = {(scopes, term): (upto, count) for term, count in counts.items() if found[term][0] < upto}
        with self._lock:
            if kept and new and self._current(snapshot):
                if len(self._counts) + len(new) > KEPT_COUNTS:
                    self._counts.clear()
                self._counts.update(new)
        return counts

    def docs(self, snapshot: Snapshot, lsns: Sequence[int]) -> list[Doc]:
        """The rows of these versions, those that are there."""
        with self._lock:
            known = self._docs if self._current(snapshot) else {}
            found = [doc for lsn in lsns if (doc := known.get(lsn))]
            missing = [lsn for lsn in lsns if lsn not in known] if len(found) < len(lsns) else []
        if not missing:
            return found
        read = text.docs(snapshot.db, missing)
        with self._lock:
            if self._current(snapshot):
                if len(self._docs) + len(read) > KEPT_DOCS:
                    self._docs.clear()
                self._docs.update((doc.lsn, doc) for doc in read)
        return found + read

    def _current(self, snapshot: Snapshot) -> bool:
        """Whether what is kept is of the file that the snapshot reads; forgets what is of an older one."""
        if snapshot.generation > self._generation:
            self._counts.clear()
            self._docs.clear()
            self._generation = snapshot.generation
        return snapshot.generation == self._generation


def _count(snapshot: Snapshot, scopes: Sequence[int], term: int, before: int, count: int, *, upto: int) -> int:
    """What is known up to `before`, and what came since; counted anew when the past is asked for."""
    if before > upto:
        before = count = 0
    return count + text.frequency(snapshot.db, scopes, term, after=before, upto=upto) if before < upto else count
