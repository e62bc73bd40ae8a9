"""The vectors fold: a vector for each version of a memory, scope by scope, so that nearness is scanned exactly.

Rows are only ever added, in LSN order within a scope: whatever is asked with `upto=n` is what a replay up to n
would hold. A vector is made from what was said and by whom, with the table that comes with the package.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from walnut.model.event import Content, Event

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SCHEMA = (
    "CREATE TABLE vector_scopes (number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE)",
    """
    CREATE TABLE vectors (
        scope INTEGER NOT NULL,
        lsn INTEGER NOT NULL,
        vector BLOB NOT NULL,       -- 8-bit numbers: a direction, its length means nothing
        PRIMARY KEY (scope, lsn)
    ) WITHOUT ROWID
    """,
)
#: Rows read at once: a million of them as tuples take half a gigabyte.
_AT_ONCE = 4096
_KINDS = frozenset({"memory.write", "memory.update"})


class VectorsFold:
    """Embeds every version of a memory."""

    name = "vectors"
    version = 1
    schema = _SCHEMA

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Embed the versions that these events write."""
        from walnut.embed import static  # numpy takes long to load

        written = [(event.lsn, event.content) for event in events if event.kind in _KINDS and event.content]
        vectors = static.table().embed([said(content) for _, content in written])
        numbers: dict[str, int] = {}
        rows = []
        for (lsn, content), vector in zip(written, vectors, strict=True):
            path = content.scope
            scope = numbers.get(path) or numbers.setdefault(path, _number(db, path))
            rows.append((scope, lsn, vector.tobytes()))
        db.executemany("INSERT INTO vectors VALUES (?, ?, ?)", rows)

    def digest(self, db: sqlite3.Connection) -> str:
        """A hash for each table: scopes, vectors."""
        return " ".join(f"{table}={_digest(db, query)}" for table, query in _ROWS.items())


_ROWS = {
    "scopes": "SELECT number, path FROM vector_scopes ORDER BY number",
    "rows": "SELECT scope, lsn, vector FROM vectors ORDER BY scope, lsn",
}


def _digest(db: sqlite3.Connection, query: str) -> str:
    state = blake2b(digest_size=16)
    for row in db.execute(query):
        state.update(repr(row).encode())
    return state.hexdigest()


def said(content: Content) -> str:
    """Who said it, and what."""
    speaker = (content.source or {}).get("speaker")
    text = str(content.payload.get("text", ""))
    return f"{speaker}: {text}" if isinstance(speaker, str) else text


def _number(db: sqlite3.Connection, path: str) -> int:
    found = db.execute("SELECT number FROM vector_scopes WHERE path = ?", (path,)).fetchone()
    if found is None:
        found = (db.execute("INSERT INTO vector_scopes (path) VALUES (?)", (path,)).lastrowid,)
    return int(found[0])


# --- questions ----------------------------------------------------------------------------------------


def scope_number(db: sqlite3.Connection, path: str) -> int | None:
    """The number of a scope that holds vectors."""
    found = db.execute("SELECT number FROM vector_scopes WHERE path = ?", (path,)).fetchone()
    return None if found is None else int(found[0])


def rows(
    db: sqlite3.Connection, scope: int, *, after: int, upto: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """LSNs (rising) and vectors of the versions in a scope with `after` < LSN <= `upto`; odd ones are left out."""
    import numpy as np

    found = db.execute(
        "SELECT lsn, vector FROM vectors WHERE scope = ? AND lsn > ? AND lsn <= ? AND length(vector) = ? ORDER BY lsn",
        (scope, after, upto, size),
    )
    lsns, kept = [np.zeros(0, np.int64)], [np.zeros((0, size), np.int8)]
    while some := found.fetchmany(_AT_ONCE):
        lsns.append(np.fromiter((lsn for lsn, _ in some), np.int64, len(some)))
        kept.append(np.frombuffer(b"".join(vector for _, vector in some), np.int8).reshape(len(some), size))
    return np.concatenate(lsns), np.concatenate(kept)
