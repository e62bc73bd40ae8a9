"""Nearness: the exact cosine of a query and every version in the scopes read, from rows kept between searches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from walnut.embed import static
from walnut.recall.rows import Part, Rows
from walnut.system import System
from walnut.views.folds import vectors

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

#: Bytes of rows that are kept; the scopes asked for longest ago go first.
KEPT = 256 * 1024 * 1024
#: 32-bit floats may be off by so much, relatively, in an order that is made exact afterwards.
_SLACK = 1e-6


class Nearness(Protocol):
    """How near versions are to a query."""

    def of(self, wanted: Sequence[int]) -> dict[int, float]:
        """LSN -> cosine, of those of these versions that have one."""
        ...

    def best(self, count: int) -> list[int]:
        """LSNs of the nearest, nearest first, of equals the newer; those that are not near at all left out."""
        ...


class Near:
    """Nearness from the cosines of all versions in some scopes."""

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


class Scan:
    """Nearness by looking at all rows of some scopes, once the nearest are asked for; exact."""

    def __init__(self, parts: Sequence[Part], query: NDArray[np.int8]) -> None:
        self._parts, self._query = parts, query
        self._dots: list[NDArray[np.float32]] = []

    def of(self, wanted: Sequence[int]) -> dict[int, float]:
        """LSN -> cosine, of those of these versions that have one."""
        asked, found = np.array(wanted, np.int64), dict[int, float]()
        for part in self._parts:
            places = part.places(asked)
            found.update(zip(part.lsns[places].tolist(), part.cosines(self._query, places).tolist(), strict=True))
        return found

    def best(self, count: int) -> list[int]:
        """LSNs of the nearest, nearest first, of equals the newer; those that are not near at all left out."""
        self._dots = self._dots or [part.dots(self._query) for part in self._parts]
        found: list[tuple[float, int]] = []
        for part, dots in zip(self._parts, self._dots, strict=True):
            found += ranked(part, self._query, dots, count)
        return [-lsn for _, lsn in sorted(found)[:count]]


def ranked(part: Part, query: NDArray[np.int8], dots: NDArray[np.float32], count: int) -> list[tuple[float, int]]:
    """(-cosine, -LSN) of at least the nearest `count` rows of a part, unsorted."""
    rough = dots * part.scales  # cosines but for the query's length, and for the last bits
    least = 0.0
    if len(rough) > count:
        least = max(0.0, float(np.partition(rough, -count)[-count]) * (1 - _SLACK))
    places = np.flatnonzero((rough >= least) & (rough > 0))
    cosines = part.cosines(query, places, dots[places])
    return list(zip((-cosines).tolist(), (-part.lsns[places]).tolist(), strict=True))


class Vectors:
    """What a store keeps of its view of vectors between searches; for any thread."""

    def __init__(self, system: System) -> None:
        self._lock = system.lock()
        self._scopes: OrderedDict[str, Rows] = OrderedDict()
        self._size = 0  # bytes of them all
        self._generation = 0  # of the view's file that they were read from

    def near(self, snapshot: Snapshot, paths: Sequence[str], query: NDArray[np.int8], *, upto: int) -> Nearness:
        """How near every version in these scopes is to the query."""
        parts = [self._part(snapshot, path, upto=upto) for path in paths]
        return Scan([part for part in parts if len(part.lsns)], query)

    def _part(self, snapshot: Snapshot, path: str, *, upto: int) -> Part:
        with self._lock:
            return self._held(snapshot, path, upto=upto).until(upto)

    def _held(self, snapshot: Snapshot, path: str, *, upto: int) -> Rows:
        """The rows of a scope, all up to an LSN, from the file that the snapshot reads and from no other."""
        if snapshot.generation < self._generation:
            return _filled(
                Rows(static.DIMENSIONS), snapshot, path, upto=upto
            )  # of a file that was replaced meanwhile: not kept
        if snapshot.generation > self._generation:
            self._scopes.clear()
            self._size = 0
            self._generation = snapshot.generation
        rows = self._scopes.get(path)
        if rows is None or rows.upto < upto:
            rows = rows or Rows(static.DIMENSIONS)
            before = rows.size if path in self._scopes else 0
            _filled(rows, snapshot, path, upto=upto)
            if rows.count:
                self._scopes[path] = rows
                self._size += rows.size - before
        if rows.count:
            self._scopes.move_to_end(path)
        while self._size > KEPT and len(self._scopes) > 1:
            self._size -= self._scopes.popitem(last=False)[1].size
        return rows


def _filled(rows: Rows, snapshot: Snapshot, path: str, *, upto: int) -> Rows:
    """The rows, brought up to an LSN."""
    scope = vectors.scope_number(snapshot.db, path)
    if scope is not None:
        rows.extend(*vectors.rows(snapshot.db, scope, after=rows.upto, upto=upto, size=static.DIMENSIONS))
        rows.upto = upto
    return rows
