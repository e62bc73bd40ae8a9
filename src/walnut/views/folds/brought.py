"""The fold of brought vectors: those that callers gave with `remember(embedding=…)`, by scope and dimension.

Rows are only ever added, in LSN order, as in the fold of static vectors. A vector is kept as 32-bit floats whose
largest is 1: one division and one rounding a number, the same on every machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from walnut.model.event import Content, Event
from walnut.policy.limits import MAX_EMBEDDING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SCHEMA = (
    """
    CREATE TABLE brought (
        lsn INTEGER PRIMARY KEY,
        scope TEXT NOT NULL,
        dimensions INTEGER NOT NULL,
        vector BLOB NOT NULL        -- little-endian 32-bit floats: a direction, its length means nothing
    )
    """,
    "CREATE INDEX brought_by_scope ON brought (scope, dimensions, lsn)",
)
_KINDS = frozenset({"memory.write", "memory.update"})
_FLOAT = "<f4"
_FLOAT_BYTES = 4


class BroughtFold:
    """Keeps the vectors that came with the versions of memories."""

    name = "brought"
    version = 1
    schema = _SCHEMA

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Keep the vectors that these events bring."""
        rows = []
        for event in events:
            if event.kind not in _KINDS or event.content is None:
                continue
            vector = packed(event.content)
            if vector is not None:
                rows.append((event.lsn, event.content.scope, len(vector) // _FLOAT_BYTES, vector))
        if rows:
            db.executemany("INSERT INTO brought VALUES (?, ?, ?, ?)", rows)

    def digest(self, db: sqlite3.Connection) -> str:
        """A hash of all rows."""
        state = blake2b(digest_size=16)
        for row in db.execute("SELECT lsn, scope, dimensions, vector FROM brought ORDER BY lsn"):
            state.update(repr(row).encode())
        return state.hexdigest()


def packed(content: Content) -> bytes | None:
    """The vector that a version brings, as it is stored; None without one, or when it is nothing but zeros.

    The API checks what it is given; what an import brought need not be numbers.
    """
    given = content.payload.get("embedding")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_EMBEDDING or not any(given):
        return None
    if not all(type(value) in (float, int) for value in given):
        return None
    import numpy as np  # takes long to load

    values = np.array(given, np.float64)
    largest = np.abs(values).max()
    return (values / largest).astype(_FLOAT).tobytes() if np.isfinite(largest) else None


# --- questions ----------------------------------------------------------------------------------------


def rows(
    db: sqlite3.Connection, scope: str, *, dimensions: int, after: int, upto: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """LSNs (rising) and vectors of this dimension of the versions in a scope with `after` < LSN <= `upto`."""
    import numpy as np

    query = (
        "SELECT lsn, vector FROM brought WHERE scope = ? AND dimensions = ? AND lsn > ? AND lsn <= ?"
        " AND length(vector) = ? ORDER BY lsn"
    )
    found = db.execute(query, (scope, dimensions, after, upto, dimensions * _FLOAT_BYTES)).fetchall()
    lsns = np.fromiter((lsn for lsn, _ in found), np.int64, len(found))
    vectors = np.frombuffer(b"".join(vector for _, vector in found), _FLOAT)
    return lsns, vectors.reshape(len(found), dimensions).astype(np.float32, copy=False)
