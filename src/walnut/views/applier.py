"""Applying: events from the log to rows, chunk by chunk, with the position in the same transaction (V2, V7)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from walnut.errors import ViewFailed
from walnut.model.event import Event
from walnut.ports import Log
from walnut.system import System
from walnut.views.damage import Damaged
from walnut.views.fold import Fold
from walnut.views.store import CLOSED, OPENED, WRITTEN, Stamp, read_stamp, signature

#: Events of one transaction.
CHUNK = 1_000

#: What a fold raises for an event it can't make sense of.
_UNFOLDABLE = (ViewFailed, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


class Failure(msgspec.Struct, frozen=True):
    """Where a view stopped, and why; never with content."""

    lsn: int
    reason: str


class Applier:
    """Folds events of one log into databases that it is handed; holds no state but the failure it met."""

    def __init__(self, system: System, log: Log, folds: Sequence[Fold], *, chunk: int = CHUNK) -> None:
        self._system = system
        self._log = log
        self.folds = tuple(folds)
        self._chunk = chunk
        self._boot = system.boot_id()
        self.failure: Failure | None = None

    def new_stamp(self) -> Stamp:
        """Of an empty view of this log."""
        return Stamp(self._log.log_id, signature(self.folds), 0, self._log.chain(0), self._boot, WRITTEN)

    def check(self, stamp: Stamp) -> None:
        """Raise Damaged unless a file with this stamp holds what this log says up to its position."""
        if stamp.log_id != self._log.log_id:
            raise Damaged("of another log")
        if stamp.folds != signature(self.folds):
            raise Damaged("of other folds")
        if stamp.boot_id != self._boot and stamp.clean != CLOSED:
            raise Damaged("not closed before the machine went down")
        if not 0 <= stamp.lsn <= self._log.durable_lsn():
            raise Damaged("ahead of the log")
        if stamp.chain != self._log.chain(stamp.lsn):
            raise Damaged("of another history")

    def apply(self, db: sqlite3.Connection, upto: int) -> int:
        """Apply all events up to `upto`, each chunk in one transaction; returns the position.

        Stops before an event that can't be folded and keeps the failure.
        """
        stamp = read_stamp(db)
        if stamp.lsn >= upto:
            return stamp.lsn
        if stamp.clean != WRITTEN or stamp.boot_id != self._boot:
            self._reopen(db)
        events = self._log.read(after=stamp.lsn, upto=upto)
        position = stamp.lsn
        for chunk in _chunks(events, self._chunk):
            if self._apply_chunk(db, chunk):
                position = chunk[-1].lsn
                continue
            for event in chunk:
                if not self._apply_chunk(db, (event,)):
                    return position
                position = event.lsn
        self.failure = None
        return position

    def _apply_chunk(self, db: sqlite3.Connection, chunk: Sequence[Event]) -> bool:
        db.execute("BEGIN IMMEDIATE")
        try:
            for fold in self.folds:
                fold.apply(db, chunk)
            last = chunk[-1].lsn
            db.execute("UPDATE walnut_view SET lsn = ?, chain = ?", (last, self._log.chain(last)))
            db.execute("COMMIT")
        except _UNFOLDABLE as error:
            db.execute("ROLLBACK")
            self.failure = Failure(chunk[0].lsn, _reason(error))
            return False
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return True

    def _reopen(self, db: sqlite3.Connection) -> None:
        """Note on disk that from here on a crash of the machine spoils the file; Damaged while others read from it.

        In the database file itself: later writes are not synced, and may take the note in its write-ahead log away
        while the old pages of the file are still there.
        """
        db.execute("PRAGMA synchronous = FULL")
        if self.note_opened(db):
            raise Damaged("others read from it, and it can't be noted that it is written to")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("UPDATE walnut_view SET clean = ?", (WRITTEN,))

    def note_opened(self, db: sqlite3.Connection) -> bool:
        """Note that it is opened, and bring the whole file to disk; whether readers were in the way.

        Always another number than the one there: SQLite writes nothing, and so syncs nothing, when nothing changes.
        """
        numbers = (OPENED, OPENED + 1, OPENED)
        statement = "UPDATE walnut_view SET clean = CASE clean WHEN ? THEN ? ELSE ? END, boot_id = ?"
        db.execute(statement, (*numbers, self._boot))
        return _kept_out(db)

    def close_clean(self, db: sqlite3.Connection) -> None:
        """Bring the file to disk, then the mark that it is there; left unmarked while others read from it."""
        if read_stamp(db).clean != WRITTEN:
            return
        db.execute("PRAGMA synchronous = FULL")
        if self.note_opened(db):
            return
        db.execute("UPDATE walnut_view SET clean = ?", (CLOSED,))
        if _kept_out(db):
            db.execute("UPDATE walnut_view SET clean = ?", (OPENED,))


def _kept_out(db: sqlite3.Connection) -> bool:
    """Bring all of the write-ahead log into the file, and both to disk; whether readers were in the way."""
    return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


def _reason(error: Exception) -> str:
    """Our own errors speak for themselves; of others the type, for their text may hold content."""
    return str(error) if isinstance(error, ViewFailed) else f"the event can't be folded ({type(error).__name__})"


def _chunks(events: Iterator[Event], size: int) -> Iterator[list[Event]]:
    while chunk := list(islice(events, size)):
        yield chunk
