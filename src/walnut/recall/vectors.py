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
    from walnut.views.reader import Snapshot

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
        self._generation = 0  # of the view's file that they were read from

    def near(self, snapshot: Snapshot, paths: Sequence[str], query: NDArray[np.int8], *, upto: int) -> Near:
        """How near every version in these scopes is to the query.

        Not `matrix @ asked`: the threads behind that wait busily, and take twice as long when others compute, too.
        """
        asked, length = query.astype(np.float32), float(lengths(query[None, :])[0])
        parts = []
        for path in paths:
            lsns, matrix, norms = self._rows(snapshot, path, upto=upto)
            if len(lsns):
                parts.append((lsns, np.einsum("ij,j->i", matrix, asked).astype(np.float64) / (norms * length)))
        return Near(parts)

    def _rows(
        self, snapshot: Snapshot, path: str, *, upto: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
        with self._lock:
            rows = self._held(snapshot, path, upto=upto)
            end = int(np.searchsorted(rows.lsns[: rows.count], upto, side="right"))
            return rows.lsns[:end], rows.matrix[:end], rows.lengths[:end]

    def _held(self, snapshot: Snapshot, path: str, *, upto: int) -> Rows:
        """The rows of a scope, all up to an LSN, from the file that the snapshot reads and from no other."""
        if snapshot.generation < self._generation:
            return _filled(Rows(), snapshot, path, upto=upto)  # of a file that was replaced meanwhile: not kept
        if snapshot.generation > self._generation:
            self._scopes.clear()
            self._generation = snapshot.generation
        rows = self._scopes.get(path)
        if rows is None or rows.upto < upto:
            rows = _filled(rows or Rows(), snapshot, path, upto=upto)
            self._keep(path, rows)
        if rows.count:
            self._scopes.move_to_end(path)
        return rows

    def _keep(self, path: str, rows: Rows) -> None:
        if rows.count:
            self._scopes[path] = rows
        while len(self._scopes) > 1 and sum(each.size for each in self._scopes.values()) > KEPT:
            self._scopes.popitem(last=False)


def _filled(rows: Rows, snapshot: Snapshot, path: str, *, upto: int) -> Rows:
    """The rows, brought up to an LSN."""
    scope = vectors.scope_number(snapshot.db, path)
    if scope is not None:
        rows.extend(*vectors.rows(snapshot.db, scope, after=rows.upto, upto=upto, size=static.DIMENSIONS))
        rows.upto = upto
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
