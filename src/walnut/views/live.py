"""The live file of a view: looked at before it is believed, applied to, read from, and replaced when it is bad (V4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from walnut.system import System
from walnut.views.applier import Applier
from walnut.views.checkpoint import Checkpoints
from walnut.views.damage import UNREADABLE, Damaged, is_damage, translated
from walnut.views.gate import Gate
from walnut.views.reader import Snapshot
from walnut.views.store import ViewFile, create, read_stamp


class Live:
    """What of the file this process knows: which one it found good, and whether it has come to doubt it.

    Reading is for any thread; `apply`, `rebuild` and `close_clean` are for who holds the applier's lock.
    """

    def __init__(self, system: System, file: ViewFile, applier: Applier, checkpoints: Checkpoints | None) -> None:
        self.file, self.place = file, file.place
        self.gate = Gate(system) if file.path is None else None
        self._applier, self._checkpoints = applier, checkpoints
        self._good: tuple[object, int] = (None, 0)  # the file whose stamp was found good, and which good one it is
        self._counting = system.lock()
        self._doubted = False
        self._applied_to: object = None
        self._closed = False

    # -- reading -----------------------------------------------------------------------------------------------

    def peek(self) -> Snapshot:
        """What is applied now; Damaged when the file was not found good, or there is none."""
        ticket = self.gate.start_reading() if self.gate else 0
        try:
            generation, identity, db, lsn = self._begin()
        except BaseException:
            self._leave(ticket)
            raise
        done = lambda error: self._done(ticket, identity, db, error)  # noqa: E731 - as short as it gets
        return Snapshot(db, lsn, done=done, generation=generation)

    def _begin(self) -> tuple[int, object, sqlite3.Connection, int]:
        self._check_good(self.file.identity())
        with self._connection(keep=False) as (identity, db):
            generation = self._check_good(identity)
            db.execute("BEGIN")
            return generation, identity, db, read_stamp(db).lsn

    def _check_good(self, identity: object) -> int:
        """The generation of the file; Damaged unless it was found good."""
        good, generation = self._good
        if self._doubted or good is None or identity != good:
            raise Damaged("not looked at yet")
        return generation

    def _trust(self, identity: object) -> None:
        """The file was found good, or just built: nothing that was read from another one says anything about it."""
        with self._counting:
            self._good = (identity, self._good[1] + 1)

    def _done(self, ticket: int, identity: object, db: sqlite3.Connection, error: BaseException | None) -> None:
        try:
            if isinstance(error, UNREADABLE):
                db.close()
                self._doubted = self._doubted or is_damage(error)
                return
            db.execute("ROLLBACK")
            if self._closed:
                db.close()
            else:
                self.file.release(identity, db)
        finally:
            self._leave(ticket)

    def _leave(self, ticket: int) -> None:
        if self.gate:
            self.gate.stop_reading(ticket)

    @contextmanager
    def _connection(self, *, keep: bool = True) -> Iterator[tuple[object, sqlite3.Connection]]:
        """A connection, closed when the block fails; given back when it does not and `keep` says so."""
        with translated(self.place):
            identity, db = self.file.acquire()
            try:
                yield identity, db
            except BaseException as error:
                db.close()
                self._doubted = self._doubted or (identity == self._good[0] and is_damage(error))
                raise
            if keep:
                self.file.release(identity, db)

    def applied(self) -> int:
        """The LSN that is applied, 0 when there is no good file."""
        try:
            with self.peek() as snapshot:
                return snapshot.lsn
        except Damaged:
            return 0

    def adopt(self) -> bool:
        """Whether the file is a good one; looks at its stamp when it is not the one that was looked at."""
        if self._doubted:
            return False
        now = self.file.identity()
        if now is None or now == self._good[0]:
            return now is not None
        try:
            with self._connection() as (identity, db):
                self._applier.check(read_stamp(db))
                self._trust(identity)
        except Damaged:
            return False
        return True

    def doubt(self) -> None:
        """Have the file built anew before it is read or applied to again."""
        self._doubted = True

    # -- applying ----------------------------------------------------------------------------------------------

    def apply(self, target: int) -> int:
        """Apply up to `target`, to a new file if this one is not good; returns the position."""
        if not self.adopt():
            self._build(target)
        with self._connection() as (identity, db):
            applied = self._applier.apply(db, target)
            self._applied_to = identity
        return applied

    def _build(self, target: int) -> None:
        """A new file from the newest good checkpoint, or from nothing, and the log."""
        with translated(self.place), self.file.fresh() as db:
            restored = self._checkpoints and self._checkpoints.restore(db, self._applier, path=self.file.fresh_path)
            if not restored:
                create(db, self._applier.folds, self._applier.new_stamp())
            self._applier.apply(db, target)
        self._trust(self.file.identity())
        self._doubted = False

    def rebuild(self, target: int) -> int:
        """A new file from the log alone; returns its position."""
        with translated(self.place), self.file.fresh() as db:
            create(db, self._applier.folds, self._applier.new_stamp())
            applied = self._applier.apply(db, target)
        self._trust(self.file.identity())
        self._doubted = False
        self._applied_to = self._good[0]
        return applied

    # -- the end -----------------------------------------------------------------------------------------------

    def needs_care(self) -> bool:
        """Whether this process applied to the file at the path, so that it may not be on disk."""
        return self.file.path is not None and self._applied_to is not None and not self._doubted

    def close_clean(self) -> None:
        """Bring the file to disk and mark it, if this process applied to it."""
        self.file.close()
        with self._connection(keep=False) as (identity, db):
            if identity == self._applied_to == self._good[0]:
                self._applier.close_clean(db)
            db.close()

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        self.file.close()
