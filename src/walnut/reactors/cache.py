"""The cache of embeddings: vectors by model and by a keyed hash of the text, which replays and rebuilds leave alone.

Beside them it notes which versions the texts belong to, which still wait for a vector, and up to where the log was
read for each model. Texts are not in it. It is a SQLite file, for any number of threads and processes.
"""

# ruff: noqa: S608 - statements are put together from fragments of our own; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

import google_crc32c
import msgspec

from walnut.system import System
from walnut.views.damage import UNREADABLE, Damaged, is_damage

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

_FORM = 3
_FLOAT = "<f4"
_FLOAT_BYTES = 4
#: How long to wait for another process's transaction (seconds).
_PATIENCE = 10.0
_SCHEMA = (
    # taken goes up when rows are taken away
    "CREATE TABLE about (log_id BLOB NOT NULL, taken INTEGER NOT NULL)",
    """
    CREATE TABLE models (
        number INTEGER PRIMARY KEY, -- a hash of name and dimensions
        lsn INTEGER NOT NULL, chain BLOB NOT NULL, failures INTEGER NOT NULL, failure TEXT
    )
    """,
    """
    CREATE TABLE vectors (
        model INTEGER NOT NULL, hash BLOB NOT NULL,
        vector BLOB NOT NULL,       -- little-endian 32-bit floats, of length 1, then a CRC32C of model, hash and floats
        PRIMARY KEY (model, hash)
    )
    """,
    """
    CREATE TABLE placed (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        model INTEGER NOT NULL, lsn INTEGER NOT NULL, scope TEXT NOT NULL, hash BLOB NOT NULL,
        sum BLOB NOT NULL,          -- a CRC32C of these four
        UNIQUE (model, lsn)
    )
    """,
    "CREATE INDEX placed_by_scope ON placed (model, scope, seq)",
    "CREATE INDEX placed_by_hash ON placed (hash)",
    """
    CREATE TABLE waiting (
        model INTEGER NOT NULL, lsn INTEGER NOT NULL, scope TEXT NOT NULL, hash BLOB NOT NULL, sum BLOB NOT NULL,
        attempts INTEGER NOT NULL, PRIMARY KEY (model, lsn)
    )
    """,
    "CREATE INDEX waiting_by_attempts ON waiting (model, attempts, lsn)",
    "CREATE INDEX waiting_by_hash ON waiting (model, hash)",
)


_ROW = (int, str, bytes, bytes)


class Row(msgspec.Struct, frozen=True):
    """A version of a memory: its LSN, its scope's path, and the hash of what is embedded of it."""

    lsn: int
    scope: str
    hash: bytes


class Standing(msgspec.Struct, frozen=True):
    """Where a model stands: see `walnut.Embedding`; `chain` is the log's chain hash at `lsn`."""

    lsn: int
    chain: bytes
    failures: int
    failure: str | None


class Cache:
    """The file at `path` (None: in memory), of one log. `close` lets go of it. Errors: sqlite3.Error, OSError."""

    def __init__(self, system: System, path: str | None, *, log_id: bytes) -> None:
        self._system, self._path, self._log_id = system, path, log_id
        self._lock = system.lock()
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            db, self._db = self._db, None
        if db is not None:
            db.close()

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """One transaction; a file that is damaged, of another log or another form is begun anew the next time."""
        with self._lock:
            try:
                db = self._db
                if db is None:
                    db = self._db = self._opened()
                db.execute(f"BEGIN {kind}")
                yield db
                db.execute("COMMIT")
            except BaseException as error:
                if self._db is not None and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, (*UNREADABLE, Damaged)) and is_damage(error):
                    self._throw_away()
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._path is not None:
            folder = self._path.rpartition("/")[0]
            if not self._system.is_folder(folder):
                self._system.make_folder(folder)
            self._system.close_file(self._system.open_file(self._path, create=True))  # none but its owner may read it
        db = sqlite3.connect(self._path or ":memory:", isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "trusted_schema = OFF", "secure_delete = ON"):
                db.execute(f"PRAGMA {pragma}")
            self._check_form(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check_form(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")  # of two that find it empty, one makes the tables
        (form,) = db.execute("PRAGMA user_version").fetchone()
        if form == 0:
            for statement in _SCHEMA:
                db.execute(statement)
            begins_at = int.from_bytes(self._system.random(6))  # not where a cache that was thrown away stood
            db.execute("INSERT INTO about VALUES (?, ?)", (self._log_id, begins_at))
            db.execute(f"PRAGMA user_version = {_FORM}")
        ours = form in (0, _FORM) and db.execute("SELECT log_id FROM about").fetchone() == (self._log_id,)
        db.execute("COMMIT")
        if not ours:  # hashes are keyed, so nothing in it fits
            raise Damaged("the cache of embeddings is another log's, or of another form")

    def _throw_away(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                if self._system.exists(self._path + suffix):
                    self._system.remove(self._path + suffix)

    # -- models ------------------------------------------------------------------------------------------------

    def model(self, name: str, dimensions: int) -> int:
        """The number of a model; a new one begins at the log's beginning."""
        named = f"{dimensions} {name}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(blake2b(named, digest_size=8).digest(), signed=True)
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO models VALUES (?, 0, x'', 0, NULL)", (number,))
        return number

    def standing(self, model: int) -> Standing:
        """Where a model stands."""
        with self._transaction("DEFERRED") as db:
            query = "SELECT lsn, chain, failures, failure FROM models WHERE number = ?"
            found = db.execute(query, (model,)).fetchone()
            return Standing(*_checked(found, (int, bytes, int, (str, type(None)))))

    def counts(self, model: int, *, most: int) -> tuple[int, int, int]:
        """Numbers of vectors, of versions that wait for one, and of those that wait no longer after `most` attempts."""
        with self._transaction("DEFERRED") as db:
            (vectors,) = db.execute("SELECT count(*) FROM vectors WHERE model = ?", (model,)).fetchone()
            query = "SELECT count(*) FILTER (WHERE attempts < ?), count(*) FILTER (WHERE attempts >= ?) FROM waiting"
            waiting, given_up = db.execute(query + " WHERE model = ?", (most, most, model)).fetchone()
            return vectors, waiting, given_up

    def start_over(self) -> None:
        """Forget which versions there are, and keep all vectors: the log is not the one that was read."""
        with self._transaction() as db:
            db.execute("DELETE FROM placed")
            db.execute("DELETE FROM waiting")
            db.execute("UPDATE models SET lsn = 0, chain = x''")
            db.execute("UPDATE about SET taken = taken + 1")

    # -- versions ----------------------------------------------------------------------------------------------

    def read(self, model: int, rows: Iterable[Row], *, gone: Iterable[int], upto: int, chain: bytes) -> None:
        """The log was read up to here: these versions are to have vectors, those `gone` (LSNs) none any more."""
        with self._transaction() as db:
            _drop(db, gone)
            for row in rows:
                known = "SELECT 1 FROM vectors WHERE model = ? AND hash = ?"
                if db.execute(known, (model, row.hash)).fetchone():
                    _place(db, model, row)
                elif not db.execute("SELECT 1 FROM placed WHERE model = ? AND lsn = ?", (model, row.lsn)).fetchone():
                    insert = "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?, 0)"
                    db.execute(insert, (model, row.lsn, row.scope, row.hash, _row_sum(model, row)))
            db.execute("UPDATE models SET lsn = ?, chain = ? WHERE number = ?", (upto, chain, model))

    def due(self, model: int, *, size: int, most: int) -> list[Row]:
        """Versions to embed next: those tried least, of them the oldest; fewer at a time the oftener they were tried.

        So one text that a model can't take ends up alone. Those tried `most` times are left.
        """
        with self._transaction("DEFERRED") as db:
            query = "SELECT min(attempts) FROM waiting WHERE model = ? AND attempts < ?"
            (attempts,) = db.execute(query, (model, most)).fetchone()
            if attempts is None:
                return []
            query = "SELECT lsn, scope, hash, sum FROM waiting WHERE model = ? AND attempts = ? ORDER BY lsn LIMIT ?"
            found = db.execute(query, (model, attempts, max(1, size >> attempts))).fetchall()
            return [_row(model, each) for each in found]

    def learn(self, model: int, rows: Sequence[Row], vectors: NDArray[np.float32]) -> None:
        """Keep the vectors of these versions, for all that say the same."""
        with self._transaction() as db:
            for row, vector in zip(rows, vectors, strict=True):
                same = _waiting(db, model, row.hash)
                if same:  # else all were forgotten meanwhile
                    floats: bytes = vector.astype(_FLOAT).tobytes()
                    values = (model, row.hash, floats + _sum(model, row.hash, floats))
                    db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", values)
                for each in same:
                    _place(db, model, each)
            db.execute("UPDATE models SET failures = 0, failure = NULL WHERE number = ?", (model,))

    def fail(self, model: int, rows: Sequence[Row], failure: str, *, blame: bool) -> None:
        """Note that the model failed; `blame`: that was an attempt on each of these versions."""
        with self._transaction() as db:
            if blame:
                update = "UPDATE waiting SET attempts = attempts + 1 WHERE model = ? AND lsn = ?"
                db.executemany(update, [(model, row.lsn) for row in rows])
            update = "UPDATE models SET failures = failures + 1, failure = ? WHERE number = ?"
            db.execute(update, (failure, model))

    def try_again(self, model: int) -> None:
        """Have what was given up tried again."""
        with self._transaction() as db:
            db.execute("UPDATE waiting SET attempts = 0 WHERE model = ?", (model,))

    def drop(self, lsns: Iterable[int]) -> int:
        """Take away what is kept of these versions, for all models, and the vectors that no other version has.

        Returns how many vectors went. Their bytes are overwritten; the write-ahead log holds them until its next
        checkpoint, which an erasure has to ask for.
        """
        with self._transaction() as db:
            return _drop(db, lsns)

    # -- vectors -----------------------------------------------------------------------------------------------

    def taken(self) -> int:
        """Goes up whenever rows that were read once may be gone."""
        with self._transaction("DEFERRED") as db:
            (taken,) = _checked(db.execute("SELECT taken FROM about").fetchone(), (int,))
            return int(taken)

    def rows(
        self, model: int, scope: str, *, dimensions: int, after: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """Vectors in a scope that came after a mark, their LSNs (in any order), and the mark to go on from."""
        import numpy as np  # takes long to load

        with self._transaction("DEFERRED") as db:
            query = (
                "SELECT p.seq, p.lsn, p.hash, p.sum, v.vector FROM placed p"
                " JOIN vectors v ON v.model = p.model AND v.hash = p.hash"
                " WHERE p.model = ? AND p.scope = ? AND p.seq > ? ORDER BY p.seq"
            )
            found = db.execute(query, (model, scope, after)).fetchall()
            placed = [_row(model, (lsn, scope, hashed, told)) for _, lsn, hashed, told, _ in found]
            size = dimensions * _FLOAT_BYTES
            floats = [_floats(model, row.hash, each[-1], size) for row, each in zip(placed, found, strict=True)]
        mark = found[-1][0] if found else after
        lsns = np.fromiter((row.lsn for row in placed), np.int64, len(found))
        vectors = np.frombuffer(b"".join(floats), _FLOAT)
        return mark, lsns, vectors.reshape(len(found), dimensions).astype(np.float32, copy=False)


def _waiting(db: sqlite3.Connection, model: int, hashed: bytes) -> list[Row]:
    query = "SELECT lsn, scope, hash, sum FROM waiting INDEXED BY waiting_by_hash WHERE model = ? AND hash = ?"
    return [_row(model, found) for found in db.execute(query, (model, hashed)).fetchall()]


def _checked(found: Sequence[Any] | None, types: tuple[Any, ...]) -> tuple[Any, ...]:
    """What was read, if it is of the types that were written: in a damaged file anything may stand anywhere."""
    if found is None or not all(map(isinstance, found, types)):
        raise Damaged("the cache of embeddings holds what was never written")
    return tuple(found)


def _row(model: int, found: Sequence[Any]) -> Row:
    """A row, if it is what was written: a flipped bit would give a memory the vector of another."""
    lsn, scope, hashed, checksum = _checked(found, _ROW)
    row = Row(lsn, scope, hashed)
    if checksum != _row_sum(model, row):
        raise Damaged("the cache of embeddings holds a row that was never written")
    return row


def _row_sum(model: int, row: Row) -> bytes:
    return _sum(model, row.hash, row.lsn.to_bytes(8, "little", signed=True) + row.scope.encode())


def _floats(model: int, hashed: bytes, vector: object, size: int) -> bytes:
    """The floats of a vector, if they are what was written: a flipped bit makes another, which no one would see."""
    if not isinstance(vector, bytes) or vector[size:] != _sum(model, hashed, vector[:size]):
        raise Damaged("the cache of embeddings holds a vector that was never written")
    return vector[:size]


def _sum(model: int, hashed: bytes, held: bytes) -> bytes:
    checksum: int = google_crc32c.value(model.to_bytes(8, "little", signed=True) + hashed + held)
    return checksum.to_bytes(4, "little")


def _place(db: sqlite3.Connection, model: int, row: Row) -> None:
    insert = "INSERT OR IGNORE INTO placed (model, lsn, scope, hash, sum) VALUES (?, ?, ?, ?, ?)"
    db.execute(insert, (model, row.lsn, row.scope, row.hash, _row_sum(model, row)))
    db.execute("DELETE FROM waiting WHERE model = ? AND lsn = ?", (model, row.lsn))


def _drop(db: sqlite3.Connection, lsns: Iterable[int]) -> int:
    gone = [(lsn,) for lsn in lsns]
    there = "WHERE model IN (SELECT number FROM models) AND lsn = ?"
    found = (row for lsn in gone for row in db.execute("SELECT model, lsn, scope, hash, sum FROM placed " + there, lsn))
    hashes = {(_row(model, row).hash,) for model, *row in found}
    db.executemany("DELETE FROM placed " + there, gone)
    db.executemany("DELETE FROM waiting " + there, gone)
    delete = "DELETE FROM vectors WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM placed WHERE placed.hash = vectors.hash)"
    count = sum(db.execute(delete, hashed).rowcount for hashed in hashes)
    if hashes:
        db.execute("UPDATE about SET taken = taken + 1")
    return count
