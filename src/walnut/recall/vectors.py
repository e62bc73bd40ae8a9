"""Nearness: the cosines of a query and the versions in the scopes read, from rows kept between searches.

Cosines are exact. In a large scope codes may say which versions are worth comparing, when a search asks for the few
nearest of now; one about a past LSN, or whose filters leave too few of those, looks at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from walnut.embed import static
from walnut.recall import codes
from walnut.recall.indexes import Indexes
from walnut.recall.rows import Part, Rows
from walnut.system import System, Thread
from walnut.views.folds import vectors

if TYPE_CHECKING:
    import sqlite3

    from walnut.recall.codes import Codes
    from walnut.views.reader import Snapshot

#: Bytes of rows that are kept; the scopes asked for longest ago go first.
KEPT = 256 * 1024 * 1024
#: From so many rows on, a scan takes longer than a thread takes to start.
AHEAD = 1 << 15
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
    """Nearness by looking at all rows of some scopes; exact.

    Given a `system`, many rows are looked at ahead, in a thread that waits for memory while words are looked up.
    """

    def __init__(self, parts: Sequence[Part], query: NDArray[np.int8], *, system: System | None = None) -> None:
        self._parts, self._query = parts, query
        self._dots: list[NDArray[np.float32]] = []
        self._ahead: Thread | None = None
        if system is not None and sum(len(part.lsns) for part in parts) >= AHEAD:
            with suppress(RuntimeError):  # no more threads: it is looked at when it is asked for
                self._ahead = system.start_thread(self._look, name="walnut-scan")

    def _look(self) -> None:
        with suppress(MemoryError):  # whoever needs it runs into it again
            self._dots = [part.dots(self._query) for part in self._parts]

    def of(self, wanted: Sequence[int]) -> dict[int, float]:
        """LSN -> cosine, of those of these versions that have one."""
        asked, found = np.array(wanted, np.int64), dict[int, float]()
        for part in self._parts:
            places = part.places(asked)
            found.update(zip(part.lsns[places].tolist(), part.cosines(self._query, places).tolist(), strict=True))
        return found

    def best(self, count: int) -> list[int]:
        """LSNs of the nearest, nearest first, of equals the newer; those that are not near at all left out."""
        if self._ahead is not None:
            self._ahead.join()
        self._dots = self._dots or [part.dots(self._query) for part in self._parts]
        found: list[tuple[float, int]] = []
        for part, dots in zip(self._parts, self._dots, strict=True):
            found += ranked(part, self._query, dots, count)
        return [-lsn for _, lsn in sorted(found)[:count]]


class Likely:
    """Nearness by codes where a scope has them: exact cosines of the likely nearest and of what is not coded yet."""

    def __init__(self, parts: Sequence[Part], coded: Sequence[Codes | None], query: NDArray[np.int8]) -> None:
        self._parts, self._coded, self._query = parts, coded, query
        self._scan = Scan(parts, query)
        self.of = self._scan.of

    def best(self, count: int) -> list[int]:
        """LSNs of the likely nearest; of the nearest, by a scan, when more are wanted than codes are good for."""
        if count > codes.SHORTLIST // codes.TRUSTED:
            return self._scan.best(count)
        found: list[tuple[float, int]] = []
        for part, coded in zip(self._parts, self._coded, strict=True):
            if coded is None:
                found += ranked(part, self._query, part.dots(self._query), count)
            else:
                places = coded.likely(self._query)
                found += _compared(part, self._query, places)
                late = part.since(coded.meta.rows)
                found += ranked(late, self._query, late.dots(self._query), count)
        if len(found) < count:
            return self._scan.best(count)
        return [-lsn for _, lsn in sorted(found)[:count]]


def _compared(part: Part, query: NDArray[np.int8], places: NDArray[np.intp]) -> list[tuple[float, int]]:
    cosines = part.cosines(query, places)
    near = cosines > 0
    return list(zip((-cosines[near]).tolist(), (-part.lsns[places][near]).tolist(), strict=True))


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
    """What a store keeps of its view of vectors between searches; for any thread. Codes lie in `folder`."""

    def __init__(self, system: System, folder: str | None = None) -> None:
        self.indexes = Indexes(system, folder)
        self._system = system
        self._lock = system.lock()
        self._scopes: OrderedDict[str, Rows] = OrderedDict()
        self._size = 0  # bytes of them all
        self._generation = 0  # of the view's file that they were read from

    def near(
        self, snapshot: Snapshot, paths: Sequence[str], query: NDArray[np.int8], *, upto: int, exact: bool = True
    ) -> Nearness:
        """How near every version in these scopes is to the query; not `exact`: the nearest may be the likely ones."""
        found = [(path, self._part(snapshot, path, upto=upto)) for path in paths]
        held = [(path, part) for path, part in found if len(part.lsns)]
        parts = [part for _, part in held]
        if exact:
            return Scan(parts, query, system=self._system)
        coded = [self.indexes.of(path, part, generation=snapshot.generation) for path, part in held]
        return Likely(parts, coded, query) if any(coded) else Scan(parts, query, system=self._system)

    def close(self) -> None:
        """Stop what runs in the background; idempotent."""
        self.indexes.close()

    def _part(self, snapshot: Snapshot, path: str, *, upto: int) -> Part:
        with self._lock:
            return self._held(snapshot, path, upto=upto).until(upto)

    def _held(self, snapshot: Snapshot, path: str, *, upto: int) -> Rows:
        """The rows of a scope, all up to an LSN, from the file that the snapshot reads and from no other."""
        if snapshot.generation < self._generation:
            # Of a file that was replaced meanwhile: not kept.
            return _filled(Rows(static.DIMENSIONS), snapshot.db, path, upto=upto)
        if snapshot.generation > self._generation:
            self._scopes.clear()
            self._size = 0
            self._generation = snapshot.generation
        rows = self._scopes.get(path)
        if rows is None or rows.upto < upto:
            rows = rows or Rows(static.DIMENSIONS)
            before = rows.size if path in self._scopes else 0
            _filled(rows, snapshot.db, path, upto=upto)
            if rows.count:
                self._scopes[path] = rows
                self._size += rows.size - before
        if rows.count:
            self._scopes.move_to_end(path)
        while self._size > KEPT and len(self._scopes) > 1:
            gone, dropped = self._scopes.popitem(last=False)
            self._size -= dropped.size
            self.indexes.forget(gone)
        return rows


def read(db: sqlite3.Connection, path: str, *, upto: int) -> Part:
    """The rows of a scope up to an LSN, from a view."""
    return _filled(Rows(static.DIMENSIONS), db, path, upto=upto).until(upto)


def _filled(rows: Rows, db: sqlite3.Connection, path: str, *, upto: int) -> Rows:
    """The rows, brought up to an LSN."""
    scope = vectors.scope_number(db, path)
    if scope is not None:
        rows.extend(*vectors.rows(db, scope, after=rows.upto, upto=upto, size=static.DIMENSIONS))
        rows.upto = upto
    return rows
