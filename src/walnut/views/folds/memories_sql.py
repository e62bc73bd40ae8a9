"""The memories fold in SQL: its tables, the insertion of rows, and what a revert changes in them."""

# ruff: noqa: S608 - statements are put together from fragments and numbers of our own; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from heapq import heappop, heappush

from walnut.model.event import Event
from walnut.views import visibility
from walnut.views.folds.memories import Rows, rows

_TABLES = {
    # kinds, actors and sessions
    "names": "number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE",
    "scopes": "number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE",
    "events": "lsn INTEGER PRIMARY KEY, raw_id BLOB NOT NULL, kind INTEGER NOT NULL, scope INTEGER, actor INTEGER,"
    " session INTEGER, recorded_at INTEGER NOT NULL, source BLOB",
    "edges": "cause INTEGER, effect INTEGER, PRIMARY KEY (cause, effect)",
    "touches": "memory BLOB, lsn INTEGER, PRIMARY KEY (memory, lsn)",
    "versions": "lsn INTEGER PRIMARY KEY, memory BLOB NOT NULL, scope INTEGER NOT NULL, valid_from INTEGER NOT NULL,"
    " valid_until INTEGER, expires_at INTEGER, occurred_at INTEGER NOT NULL, confidence REAL",
    "forgets": "memory BLOB, lsn INTEGER, PRIMARY KEY (memory, lsn)",
    "tags": "tag TEXT, scope INTEGER, lsn INTEGER, PRIMARY KEY (tag, scope, lsn)",
    "shown": "version INTEGER, lsn INTEGER, PRIMARY KEY (version, lsn)",
    # the ranges that reverts name
    "reverts": "lo INTEGER, hi INTEGER, lsn INTEGER, PRIMARY KEY (lo, hi, lsn)",
    # for which LSNs an event does not count: since <= n < until; no row for one that always counts
    "dark": "lsn INTEGER, since INTEGER, until INTEGER, PRIMARY KEY (lsn, since)",
}
_INDEXES = (
    "CREATE INDEX events_id ON events (raw_id)",
    "CREATE INDEX events_session ON events (session, lsn) WHERE session IS NOT NULL",
    "CREATE INDEX edges_effect ON edges (effect, cause)",
    "CREATE INDEX versions_memory ON versions (memory, valid_from, lsn)",
    "CREATE INDEX versions_scope ON versions (scope, lsn)",
    "CREATE INDEX reverts_lsn ON reverts (lsn)",
)

#: True when a counting revert names `{lsn}`, as of the newest event.
_NAMED = (
    "EXISTS (SELECT 1 FROM reverts g WHERE g.lo <= {lsn} AND g.hi >= {lsn}"
    " AND NOT EXISTS (SELECT 1 FROM dark d WHERE d.lsn = g.lsn AND d.until IS NULL))"
)


def _statement(table: str, columns: str) -> str:
    """Tables whose whole row is their key are stored by it."""
    return f"CREATE TABLE {table} ({columns})" + (" WITHOUT ROWID" if ", PRIMARY KEY" in columns else "")


class MemoriesFold:
    """Events, evidence, versions of memories and which of them count at any LSN."""

    name = "memories"
    version = 2
    schema = (*(_statement(table, columns) for table, columns in _TABLES.items()), *_INDEXES)

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Insert the rows of these events; a revert is applied on the rows of all before it."""
        start = 0
        for number, event in enumerate(events, 1):
            if event.kind == visibility.REVERT:
                _insert(db, rows(events[start:number]))
                _revert(db, event)
                start = number
        if start < len(events):
            _insert(db, rows(events[start:]))

    def digest(self, db: sqlite3.Connection) -> str:
        """`table=hash` for each table."""
        return " ".join(f"{table}={_hash(db.execute(f'SELECT * FROM {table} ORDER BY 1, 2'))}" for table in _TABLES)


def _hash(found: Iterable[tuple[object, ...]]) -> str:
    state = blake2b(digest_size=16)
    for row in found:
        state.update(repr(row).encode())
    return state.hexdigest()


def _insert(db: sqlite3.Connection, new: Rows) -> None:
    name = _numbers(db, "names", "name", new.names)
    scope = _numbers(db, "scopes", "path", new.scopes)
    db.executemany(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (lsn, raw, name[kind], scope[path], name[actor], name[session], at, source)
            for lsn, raw, kind, path, actor, session, at, source in new.events
        ],
    )
    if new.touches:
        db.executemany("INSERT OR IGNORE INTO touches VALUES (?, ?)", new.touches)
    if new.versions:
        db.executemany(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(lsn, memory, scope[path], *rest) for lsn, memory, path, *rest in new.versions],
        )
    if new.edges:
        db.executemany("INSERT INTO edges VALUES (?, ?)", new.edges)
    if new.forgets:
        db.executemany("INSERT OR IGNORE INTO forgets VALUES (?, ?)", new.forgets)
    if new.tags:
        db.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(tag, scope[path], lsn) for tag, path, lsn in new.tags])
    if new.shown:
        db.executemany("INSERT INTO shown VALUES (?, ?)", new.shown)


def _numbers(db: sqlite3.Connection, table: str, column: str, wanted: Iterable[str]) -> dict[str | None, int | None]:
    """The numbers of these texts; a new text gets the next one. No text has none (an empty one is a text)."""
    found: dict[str | None, int | None] = {None: None}
    for text in wanted:
        row = db.execute(f"SELECT number FROM {table} WHERE {column} = ?", (text,)).fetchone()
        if row is None:
            row = (db.execute(f"INSERT INTO {table} ({column}) VALUES (?)", (text,)).lastrowid,)
        found[text] = row[0]
    return found


def _revert(db: sqlite3.Connection, event: Event) -> None:
    """Open and close spans of darkness where this revert, or one that it turns on or off, names events."""
    named = visibility.ranges(event)
    db.executemany("INSERT OR IGNORE INTO reverts VALUES (?, ?, ?)", [(lo, hi, event.lsn) for lo, hi in named])
    for lo, hi in _affected(db, event.lsn):
        _settle(db, lo, hi, at=event.lsn)


def _affected(db: sqlite3.Connection, lsn: int) -> list[tuple[int, int]]:
    """The ranges of this revert and of all reverts that count or stop to count by it.

    Whether a revert counts depends on newer ones only, so they are settled from the newest down.
    """
    affected: list[tuple[int, int]] = []
    waiting, seen = [-lsn], {lsn}
    while waiting:
        revert = -heappop(waiting)
        if revert != lsn and not _settle(db, revert, revert, at=lsn):
            continue
        for lo, hi in db.execute("SELECT lo, hi FROM reverts WHERE lsn = ?", (revert,)).fetchall():
            affected.append((lo, hi))
            inside = db.execute("SELECT DISTINCT lsn FROM reverts WHERE lsn BETWEEN ? AND ?", (lo, hi))
            for (older,) in inside.fetchall():
                if older not in seen:
                    seen.add(older)
                    heappush(waiting, -older)
    return affected


def _settle(db: sqlite3.Connection, lo: int, hi: int, *, at: int) -> bool:
    """Make the open spans of the events from `lo` to `hi` say whether they count; True if any changed."""
    where = {"lo": lo, "hi": hi, "at": at}
    lit = db.execute(
        "UPDATE dark SET until = :at WHERE until IS NULL AND lsn BETWEEN :lo AND :hi"
        f" AND NOT {_NAMED.format(lsn='dark.lsn')}",
        where,
    ).rowcount
    darkened = db.execute(
        "INSERT INTO dark SELECT e.lsn, :at, NULL FROM events e WHERE e.lsn BETWEEN :lo AND :hi"
        f" AND {_NAMED.format(lsn='e.lsn')}"
        " AND NOT EXISTS (SELECT 1 FROM dark o WHERE o.lsn = e.lsn AND o.until IS NULL)",
        where,
    ).rowcount
    return lit + darkened > 0
