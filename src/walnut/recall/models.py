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

from walnut.recall.vectors import Near
from walnut.system import System
from walnut.views.folds import brought

if TYPE_CHECKING:
    import sqlite3

_Number = TypeVar("_Number", bound=np.generic)

#: Bytes of arrays that are kept; the scopes asked for longest ago go first.
KEPT = 256 * 1024 * 1024


class Source(Protocol):
    """Where the vectors of one model come from."""

    @property
    def key(self) -> tuple[str, int]:
        """Names what it holds, and changes when something in it was taken away: nothing kept is used then."""
        ...

    def rows(
        self, db: sqlite3.Connection, path: str, *, after: int, upto: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """A mark, LSNs and vectors of a scope: what came after the mark `after`, at least up to the LSN `upto`."""
        ...


class Brought:
    """The vectors of one dimension that callers brought, from the view."""

    def __init__(self, dimensions: int) -> None:
        self.key = ("brought", dimensions)

    def rows(
        self, db: sqlite3.Connection, path: str, *, after: int, upto: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """The mark is the LSN up to which they are here."""
        lsns, vectors = brought.rows(db, path, dimensions=self.key[1], after=after, upto=upto)
        return max(after, upto), lsns, vectors


class Asked:
    """A query's vector, and where those that it is compared with come from."""

    def __init__(self, models: Models, query: NDArray[np.float32], sources: Sequence[Source]) -> None:
        self._models, self._query, self._sources = models, query, sources

    def near(self, db: sqlite3.Connection, paths: Sequence[str], *, upto: int) -> Near:
        """How near the versions in these scopes are to the query, those that have a vector of its space."""
        parts = []
        for source in self._sources:
            for path in paths:
                lsns, matrix = self._models.rows(db, source, path, len(self._query), upto=upto)
                if len(lsns):
                    parts.append((lsns, np.einsum("ij,j->i", matrix, self._query).astype(np.float64)))
        return Near(parts)


class _Rows:
    """The vectors of one scope from one source, by rising LSN; room is doubled as they come."""

    def __init__(self, dimensions: int) -> None:
        self.count, self.mark = 0, 0
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
        self._kept: OrderedDict[tuple[tuple[str, int], str], _Rows] = OrderedDict()

    def asked(self, values: Sequence[float], *sources: Source) -> Asked | None:
        """A query's vector and what it is compared with; None when it has no direction."""
        query = units(np.array([values], np.float64))[0]
        return Asked(self, query, sources) if query.any() else None

    def rows(
        self, db: sqlite3.Connection, source: Source, path: str, dimensions: int, *, upto: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """LSNs (rising) and unit vectors of a scope up to an LSN."""
        place = (source.key, path)
        with self._lock:
            held = self._kept.get(place) or _Rows(dimensions)
            mark, lsns, found = source.rows(db, path, after=held.mark, upto=upto)
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


def units(vectors: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1; zeros stay, and what a damaged file made no number of is zero."""
    vectors = np.where(np.isfinite(vectors), vectors, 0.0)
    largest = np.abs(vectors).max(axis=1, initial=0.0, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    units: NDArray[np.float32] = (scaled / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return units


def _grown(old: NDArray[_Number], count: int, room: int) -> NDArray[_Number]:
    new = np.zeros((room, *old.shape[1:]), old.dtype)
    new[:count] = old[:count]
    return new
