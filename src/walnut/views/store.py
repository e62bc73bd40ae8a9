"""The file of a view: its connections, its stamp, and how another file takes its place while readers read on.

The file is never changed under another name's log: a reader that opened the old file reads on in it and notices
at its next snapshot that the path holds another. Connections are opened under a shared lock on `open.lock`; a
swap takes it alone, so that nobody pairs the database of one file with the write-ahead log of the other.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

import msgspec

from walnut.errors import ViewLag
from walnut.system import System
from walnut.views.damage import Damaged
from walnut.views.fold import Fold

#: Idle reading connections that are kept.
_POOL = 8
#: How long SQLite waits for a lock of its own (seconds). In memory a writer waits for every reader.
_PATIENCE = 0.5
_SWAP_PATIENCE = 10.0
#: What a connection keeps of the file, at most. With SQLite's usual 2 MB, searches read the same pages again and again.
_CACHE_KIB = 16 * 1024
_STAMP = (
    "CREATE TABLE walnut_view (one INTEGER PRIMARY KEY CHECK (one = 1), log_id BLOB, folds TEXT, lsn INTEGER,"
    " chain BLOB, boot_id BLOB, clean INTEGER)"
)
#: What `clean` says.
WRITTEN, CLOSED, OPENED = range(3)
_SUFFIXES = ("-wal", "-shm", "-journal")
#: Counts the files of the process: SQLite finds what is in memory by name, for as long as any connection is open.
_made = itertools.count()


class Stamp(msgspec.Struct, frozen=True):
    """Whose view it is and where it stands: log, folds, the LSN applied and the log's chain hash there.

    `boot_id` and `clean`: who writes without syncing notes the boot it happens in; the file is good after a
    reboot only if it was closed (`clean` is CLOSED) since. While it is OPENED (that or any higher number), or
    being closed, the database file itself may still say CLOSED on disk, with only the write-ahead log to contradict
    it: nothing is applied before the file says otherwise.
    """

    log_id: bytes
    folds: str
    lsn: int
    chain: bytes
    boot_id: bytes
    clean: int


def signature(folds: Sequence[Fold]) -> str:
    """Names and versions of the folds."""
    return " ".join(f"{fold.name}-v{fold.version}" for fold in folds)


def read_stamp(db: sqlite3.Connection) -> Stamp:
    """The stamp; Damaged when there is none, sqlite3.DatabaseError when it can't be read."""
    row = db.execute("SELECT log_id, folds, lsn, chain, boot_id, clean FROM walnut_view").fetchone()
    if row is None:
        raise Damaged("no stamp")
    log_id, folds, lsn, chain, boot_id, clean = row
    if (
        isinstance(log_id, bytes)
        and isinstance(folds, str)
        and isinstance(lsn, int)
        and isinstance(chain, bytes)
        and isinstance(boot_id, bytes)
        and isinstance(clean, int)
    ):
        return Stamp(log_id, folds, lsn, chain, boot_id, clean)
    raise Damaged("the stamp is not one")


def create(db: sqlite3.Connection, folds: Sequence[Fold], stamp: Stamp) -> None:
    """Make all tables in an empty database, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    for statement in (_STAMP, *(statement for fold in folds for statement in fold.schema)):
        db.execute(statement)
    values = (stamp.log_id, stamp.folds, stamp.lsn, stamp.chain, stamp.boot_id, stamp.clean)
    db.execute("INSERT INTO walnut_view VALUES (1, ?, ?, ?, ?, ?, ?)", values)
    db.execute("COMMIT")


class ViewFile:
    """The database file of a view (`path` None: in memory, shared by the threads of the process)."""

    def __init__(self, system: System, path: str | None) -> None:
        self.path = path
        self.place = path.rpartition("/")[2] if path else "memory"
        self._system = system
        self._memory = 0
        self._keeper: sqlite3.Connection | None = None
        self._name = f"{system.random(8).hex()}-{next(_made)}"  # simulated machines may draw the same
        self._idle: list[tuple[object, sqlite3.Connection]] = []
        self._pool_lock = system.lock()

    # -- connections -------------------------------------------------------------------------------------------

    def identity(self) -> object:
        """What is different after a swap; None when there is no file."""
        if self.path is None:
            return self._memory or None
        return self._system.path_identity(self.path)

    def connect(self) -> tuple[object, sqlite3.Connection]:
        """A new connection to the file at the path, and its identity; Damaged when there is none."""
        with self._opening(shared=True):
            identity = self.identity()
            if identity is None:
                raise Damaged("no file")
            db = _connect(self._address(self.path, self._memory, create=False))
            try:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the write-ahead log, too
            except BaseException:
                db.close()
                raise
            return identity, db

    def acquire(self) -> tuple[object, sqlite3.Connection]:
        """A pooled connection to the file that is at the path now."""
        now = self.identity()
        while True:
            with self._pool_lock:
                found = self._idle.pop() if self._idle else None
            if found is None:
                return self.connect()
            if found[0] == now:
                return found
            found[1].close()

    def release(self, identity: object, db: sqlite3.Connection) -> None:
        """Give a connection back, outside any transaction."""
        with self._pool_lock:
            if len(self._idle) < _POOL:
                self._idle.append((identity, db))
                return
        db.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._pool_lock:
            idle, self._idle = self._idle, []
        for _, db in idle:
            db.close()
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    # -- another file ------------------------------------------------------------------------------------------

    @property
    def fresh_path(self) -> str | None:
        """Where the database of `fresh` lies, None when it is in memory."""
        return None if self.path is None else f"{self.path}.new"

    @contextmanager
    def fresh(self) -> Iterator[sqlite3.Connection]:
        """An empty database beside the file; at the end of the block it takes the file's place."""
        db, number = self.beside("new")
        try:
            yield db
            if self.path is not None:
                db.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            db.close()
            self.discard("new")
            raise
        if self.path is None:
            old, self._keeper, self._memory = self._keeper, db, number
            if old is not None:
                old.close()
            return
        db.close()
        with self._opening(shared=False):
            self._remove(self.path, keep=True)
            self._system.rename(f"{self.path}.new", self.path)

    @contextmanager
    def scratch(self) -> Iterator[sqlite3.Connection]:
        """An empty database that is gone at the end of the block; one at a time among all processes."""
        with self._locked("verify.lock", shared=False, what="checked"):
            db, _ = self.beside("verify")
            try:
                yield db
            finally:
                db.close()
                self.discard("verify")

    def beside(self, suffix: str) -> tuple[sqlite3.Connection, int]:
        """A connection to an empty database that nobody else knows of."""
        self.discard(suffix)
        number = self._memory + 1
        if self.path is None:
            address = self._address(None, number, create=True) if suffix == "new" else ":memory:"
        else:
            address = self._address(f"{self.path}.{suffix}", 0, create=True)
            self._system.close_file(self._system.open_file(f"{self.path}.{suffix}", create=True))
        db = _connect(address)
        db.execute("PRAGMA journal_mode = MEMORY")
        return db, number

    def discard(self, suffix: str) -> None:
        """Remove what `beside` made."""
        if self.path is not None:
            self._remove(f"{self.path}.{suffix}")

    def _remove(self, path: str, *, keep: bool = False) -> None:
        for each in (*(() if keep else (path,)), *(path + suffix for suffix in _SUFFIXES)):
            with suppress(FileNotFoundError):
                self._system.remove(each)

    def _address(self, path: str | None, number: int, *, create: bool) -> str:
        if path is None:
            return f"file:/walnut-{self._name}-{number}?vfs=memdb"
        escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        return f"file:{escaped}?mode={'rwc' if create else 'rw'}"

    def _opening(self, *, shared: bool) -> AbstractContextManager[None]:
        return self._locked("open.lock", shared=shared, what="replaced")

    @contextmanager
    def _locked(self, name: str, *, shared: bool, what: str) -> Iterator[None]:
        if self.path is None:
            yield
            return
        lock = f"{self.path.rpartition('/')[0]}/{name}"
        with file_lock(self._system, lock, shared=shared, patience=_SWAP_PATIENCE) as held:
            if not held:
                raise ViewLag(f"the view's file is being {what}", where=self.place, hint="try again")
            yield


@contextmanager
def file_lock(system: System, path: str, *, shared: bool = False, patience: float = 0.0) -> Iterator[bool]:
    """Whether the flock on this file could be had within `patience` seconds; held until the end of the block."""
    fd = system.open_file(path, create=True)
    try:
        deadline, pause = system.monotonic() + patience, 0.000_5
        while not (held := system.try_lock_file(fd, shared=shared)) and system.monotonic() < deadline:
            system.sleep(pause)
            pause = min(pause * 2, 0.02)
        try:
            yield held
        finally:
            if held:
                system.unlock_file(fd)  # closing would leave it with a child forked meanwhile
    finally:
        system.close_file(fd)


def _connect(address: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        address, uri=True, isolation_level=None, check_same_thread=False, timeout=_PATIENCE, cached_statements=256
    )
    try:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except BaseException:
        db.close()
        raise
    return db
