"""Nearness: the exact cosine of a query and every version in the scopes read, from arrays kept between searches.

Vectors are 8-bit numbers held as 32-bit floats: a dot product of them is a whole number below 2^24, so it is exact
and the same however the rows are cut, whatever the processor.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from walnut.embed import static
from walnut.system import System
from walnut.views.folds import vectors

if TYPE_CHECKING:
    import sqlite3

_Number = TypeVar("_Number", bound=np.generic)

#: Bytes of arrays that are kept; the scopes asked for longest ago go first.
KEPT = 256 * 1024 * 1024


class Rows:
    """The vectors of one scope, by LSN; room is doubled as they come. All up to `upto` are here."""

    def __init__(self) -> None:
        self.count = 0
        self.upto = 0
        self.lsns: NDArray[np.int64] = np.zeros(0, np.int64)
        self.matrix: NDArray[np.float32] = np.zeros((0, static.DIMENSIONS), np.float32)
        self.lengths: NDArray[np.float64] = np.zeros(0, np.float64)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.lsns.nbytes + self.matrix.nbytes + self.lengths.nbytes

    def extend(self, lsns: NDArray[np.int64], found: NDArray[np.int8]) -> None:
        """Take in newer ones."""
        end = self.count + len(lsns)
        if end > len(self.lsns):
            room = end if not self.count else max(end, 2 * len(self.lsns))
            self.lsns = _grown(self.lsns, room)
            self.matrix = _grown(self.matrix, room)
            self.lengths = _grown(self.lengths, room)
        self.lsns[self.count : end] = lsns
        self.matrix[self.count : end] = found
        self.lengths[self.count : end] = lengths(found)
        self.count = end


class Near:
    """The cosines of all versions in some scopes."""

    def __init__(self, parts: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> None:
        self._parts = parts  # a scope each, by rising LSN

    def of(self, wanted: Sequence[int]) -> dict[int, float]:
        """LSN -> cosine, of those of these versions that have one."""
        asked = np.array(wanted, np.int64)
        found: dict[int, float] = {}
        for lsns, cosines in self._parts:
            places = np.minimum(np.searchsorted(lsns, asked), len(lsns) - 1)
            held = np.flatnonzero(lsns[places] == asked)
            found.update(zip(asked[held].tolist(), cosines[places[held]].tolist(), strict=True))
        return found

    def best(self, count: int) -> list[int]:
        """LSNs of the nearest, nearest first, of equals the newer; those that are not near at all left out."""
        found: list[tuple[float, int]] = []
        for lsns, cosines in self._parts:
            least = np.partition(cosines, -count)[-count] if len(cosines) > count else 0.0
            held = np.flatnonzero((cosines >= least) & (cosines > 0))
            found += zip((-cosines[held]).tolist(), (-lsns[held]).tolist(), strict=True)
        return [-lsn for _, lsn in sorted(found)[:count]]


class Vectors:
    """What a store keeps of its view of vectors between searches; for any thread."""

    def __init__(self, system: System) -> None:
        self._lock = system.lock()
        self._scopes: OrderedDict[str, Rows] = OrderedDict()

    def near(self, db: sqlite3.Connection, paths: Sequence[str], query: NDArray[np.int8], *, upto: int) -> Near:
        """How near every version in these scopes is to the query.

        Not `matrix @ asked`: the threads behind that wait busily, and take twice as long when others compute, too.
        """
        asked, length = query.astype(np.float32), float(lengths(query[None, :])[0])
        parts = []
        for path in paths:
            lsns, matrix, norms = self._rows(db, path, upto=upto)
            if len(lsns):
                parts.append((lsns, np.einsum("ij,j->i", matrix, asked).astype(np.float64) / (norms * length)))
        return Near(parts)

    def _rows(
        self, db: sqlite3.Connection, path: str, *, upto: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
        with self._lock:
            held = self._scopes.get(path)
            if held is None or held.upto < upto:
                held = self._filled(db, path, held, upto=upto)
            if held is None:
                return np.zeros(0, np.int64), np.zeros((0, static.DIMENSIONS), np.float32), np.zeros(0)
            self._scopes.move_to_end(path)
            end = int(np.searchsorted(held.lsns[: held.count], upto, side="right"))
            return held.lsns[:end], held.matrix[:end], held.lengths[:end]

    def _filled(self, db: sqlite3.Connection, path: str, held: Rows | None, *, upto: int) -> Rows | None:
        """What is kept of a scope, brought up to an LSN."""
        scope = vectors.scope_number(db, path)
        if scope is None:
            return held
        rows = held or Rows()
        rows.extend(*vectors.rows(db, scope, after=rows.upto, upto=upto, size=static.DIMENSIONS))
        rows.upto = upto
        self._scopes[path] = rows
        while len(self._scopes) > 1 and sum(each.size for each in self._scopes.values()) > KEPT:
            self._scopes.popitem(last=False)
        return rows


def lengths(found: NDArray[np.int8]) -> NDArray[np.float64]:
    """Euclidean lengths; 1 for zeros."""
    whole = found.astype(np.int32)
    squares: NDArray[np.float64] = np.maximum((whole * whole).sum(axis=1), 1).astype(np.float64)
    return np.sqrt(squares)


def _grown(old: NDArray[_Number], room: int) -> NDArray[_Number]:
    new = np.zeros((room, *old.shape[1:]), old.dtype)
    new[: len(old)] = old
    return new
