"""Nearness by other models: the exact cosine of a query's vector and those that were brought or that a model made.

Vectors of one dimension stand in a space of their own: they are compared with a query's of the same, never with
another's. What a scope holds is kept between searches as unit rows of 32-bit floats.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from walnut.embed.ask import units
from walnut.recall.vectors import Near
from walnut.system import System
from walnut.views.folds import brought

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

_Number = TypeVar("_Number", bound=np.generic)

#: Bytes of arrays that are kept; the scopes asked for longest ago go first.
KEPT = 256 * 1024 * 1024


class Source(Protocol):
    """Where the vectors of one model come from."""

    @property
    def name(self) -> str:
        """Names the model and the source."""
        ...

    def taken(self, snapshot: Snapshot) -> int:
        """Changes when something was taken away: nothing that was kept is used then."""
        ...

    def rows(
        self, snapshot: Snapshot, path: str, *, after: int, upto: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """A mark, LSNs and vectors of a scope: what came after the mark `after`, at least up to the LSN `upto`."""
        ...


class Brought:
    """The vectors of one dimension that callers brought, from the view."""

    def __init__(self, dimensions: int) -> None:
        self.name = f"brought, {dimensions}"
        self._dimensions = dimensions

    def taken(self, snapshot: Snapshot) -> int:
        """Which file of the view it is."""
        return snapshot.generation

    def rows(
        self, snapshot: Snapshot, path: str, *, after: int, upto: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """The mark is the LSN up to which they are here."""
        lsns, vectors = brought.rows(snapshot.db, path, dimensions=self._dimensions, after=after, upto=upto)
        return max(after, upto), lsns, vectors


class Asked:
    """A query's vector, and where those that it is compared with come from."""

    def __init__(self, models: Models, query: NDArray[np.float32], sources: Sequence[Source]) -> None:
        self._models, self._query, self._sources = models, query, sources

    def near(self, snapshot: Snapshot, paths: Sequence[str], *, upto: int) -> Near:
        """How near the versions in these scopes are to the query, those that have a vector of its space."""
        parts = []
        for source in self._sources:
            for path in paths:
                lsns, matrix = self._models.rows(snapshot, source, path, len(self._query), upto=upto)
                if len(lsns):
                    parts.append((lsns, np.einsum("ij,j->i", matrix, self._query).astype(np.float64)))
        return Near(parts)


class _Rows:
    """The vectors of one scope from one source, by rising LSN; room is doubled as they come."""

    def __init__(self, dimensions: int, taken: int) -> None:
        self.count, self.mark, self.taken = 0, 0, taken
        self.lsns: NDArray[np.int64] = np.zeros(0, np.int64)
        self.matrix: NDArray[np.float32] = np.zeros((0, dimensions), np.float32)

    @property
    def size(self) -> int:
        return self.lsns.nbytes + self.matrix.nbytes

    def extend(self, lsns: NDArray[np.int64], found: NDArray[np.float32]) -> None:
        """Take in more; a reader's slices of the old arrays stay as they were."""
        start, end = self.count, self.count + len(lsns)
        if end > len(self.lsns):
            room = end if not start else max(end, 2 * len(self.lsns))
            self.lsns, self.matrix = _grown(self.lsns, start, room), _grown(self.matrix, start, room)
        self.lsns[start:end], self.matrix[start:end] = lsns, units(found)
        self.count = end
        if np.any(np.diff(self.lsns[max(0, start - 1) : end]) < 0):  # a model may answer late for an early one
            order = np.argsort(self.lsns[:end], kind="stable")
            self.lsns, self.matrix = self.lsns[:end][order], self.matrix[:end][order]


class Models:
    """What a store keeps of such vectors between searches; for any thread."""

    def __init__(self, system: System) -> None:
        self._lock = system.lock()
        self._kept: OrderedDict[tuple[str, str], _Rows] = OrderedDict()

    def asked(self, values: Sequence[float], *sources: Source) -> Asked | None:
        """A query's vector and what it is compared with; None when it has no direction."""
        query = units(np.array([values], np.float64))[0]
        return Asked(self, query, sources) if query.any() else None

    def rows(
        self, snapshot: Snapshot, source: Source, path: str, dimensions: int, *, upto: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """LSNs (rising) and unit vectors of a scope up to an LSN."""
        place, taken = (source.name, path), source.taken(snapshot)
        with self._lock:
            held = self._kept.get(place)
            if held is None or held.taken != taken:
                self._kept.pop(place, None)
                held = _Rows(dimensions, taken)
            mark, lsns, found = source.rows(snapshot, path, after=held.mark, upto=upto)
            if len(lsns):
                held.extend(lsns, found)
                self._kept[place] = held
                while len(self._kept) > 1 and sum(each.size for each in self._kept.values()) > KEPT:
                    self._kept.popitem(last=False)
            held.mark = mark
            if place in self._kept:
                self._kept.move_to_end(place)
            end = int(np.searchsorted(held.lsns[: held.count], upto, side="right"))
            return held.lsns[:end], held.matrix[:end]


def _grown(old: NDArray[_Number], count: int, room: int) -> NDArray[_Number]:
    new = np.zeros((room, *old.shape[1:]), old.dtype)
    new[:count] = old[:count]
    return new
