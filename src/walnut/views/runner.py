"""The runner: keeps the views at the log's end, hands out snapshots of them, and replaces a file gone bad.

One process at a time applies (an flock on `applier.lock`), in the thread that needs the events: there is no
applier to wait for or to lose. Whatever is wrong with a file, it is built anew from the newest good checkpoint
and the log; a reader only ever sees errors of the log, ViewLag and ViewFailed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from walnut.errors import StoreClosed, ViewFailed, ViewLag, WalnutError
from walnut.model.results import ViewCheck, ViewStatus
from walnut.ports import Log
from walnut.system import System, Thread
from walnut.views import folds as all_folds
from walnut.views.applier import Applier
from walnut.views.check import check_view
from walnut.views.checkpoint import Checkpoints
from walnut.views.damage import Damaged, is_damage, translated
from walnut.views.fold import Fold
from walnut.views.reader import Snapshot
from walnut.views.store import ViewFile, create, file_lock, read_stamp

NAME, VERSION = "memories", 1

#: How long a read that needs nothing newer waits for whoever is applying (seconds).
_COURTESY = 0.2


class Views:
    """The views of one log; safe for any number of threads, and of processes when there is a `folder`.

    `folder` is the store's (None: all in memory). `checkpoint_every`: events between automatic checkpoints, 0 for
    none. `timeout`: seconds to wait for an LSN.
    """

    def __init__(
        self,
        log: Log,
        system: System,
        *,
        folder: str | None = None,
        folds: Sequence[Fold] | None = None,
        checkpoint_every: int = 0,
        timeout: float = 10.0,
        chunk: int = 1_000,
    ) -> None:
        self._log, self._system, self._timeout = log, system, timeout
        self._applier = Applier(system, log, all_folds.default() if folds is None else folds, chunk=chunk)
        self._folder = None if folder is None else f"{folder}/views"
        self._file = ViewFile(system, f"{self._folder}/{NAME}-v{VERSION}.db" if self._folder else None)
        self._checkpoints = Checkpoints(system, f"{folder}/checkpoints") if folder is not None else None
        self._every = checkpoint_every
        self._lock = system.lock()
        self._checked: object = None  # the identity of the file whose stamp was found good
        self._suspect = False
        self._distrusted_at = -1
        self._saving: Thread | None = None
        self._saved_at: int | None = None
        self._wrote = False
        self._closed = False

    @classmethod
    def open(
        cls, log: Log, system: System, *, folder: str | None, checkpoint_every: int, timeout: float = 10.0
    ) -> Self:
        """The views of a store; files are looked at when first read."""
        return cls(log, system, folder=folder, checkpoint_every=checkpoint_every, timeout=timeout)

    # -- reading -----------------------------------------------------------------------------------------------

    def snapshot(self, min_lsn: int | None = None) -> Snapshot:
        """A consistent state that holds everything durable now; at least `min_lsn`, whoever applies (V5, V6).

        Errors: ViewLag when it does not get to `min_lsn` in time, ViewFailed when a view stopped before.
        """
        self._check_open()
        durable, needed = self._log.durable_lsn(), min_lsn or 0
        for _ in range(3):
            with self._healing():
                found = self._snapshot()
                if found.lsn >= max(durable, needed):
                    return found
                found.__exit__(None, None, None)
                self._reach(max(durable, needed), needed)
                found = self._snapshot()
                if found.lsn >= needed:
                    return found
                found.__exit__(None, None, None)
        raise ViewLag("the views do not get ahead", where=self._file.place, applied=self.applied())

    def _snapshot(self) -> Snapshot:
        """What is applied; Damaged when the file is not a good one (or there is none yet)."""
        with translated(self._file.place):
            if self._suspect or self._file.identity() != self._checked or self._checked is None:
                raise Damaged("not looked at yet")
            identity, db = self._file.acquire()
            try:
                db.execute("BEGIN")
                lsn = read_stamp(db).lsn
            except BaseException:
                db.close()
                raise
        return Snapshot(db, lsn, done=lambda error: self._done(identity, db, error))

    def _done(self, identity: object, db: sqlite3.Connection, error: BaseException | None) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            db.close()
            self._suspect = self._suspect or is_damage(error)
            return
        db.execute("ROLLBACK")
        if self._closed:
            db.close()
        else:
            self._file.release(identity, db)

    # -- applying ----------------------------------------------------------------------------------------------

    def catch_up(self, lsn: int | None = None, *, timeout: float | None = None) -> int:
        """Apply up to `lsn` (None: all that is durable), or wait for whoever does; returns the LSN applied.

        Errors: ViewLag after `timeout` seconds, ViewFailed when a view stopped before `lsn`.
        """
        self._check_open()
        target = self._log.durable_lsn() if lsn is None else lsn
        for _ in range(3):
            with self._healing():
                return self._reach(target, target, timeout=timeout)
        raise ViewLag("the views do not get ahead", where=self._file.place, applied=self.applied())

    def applied(self) -> int:
        """The LSN that is applied, 0 when that can't be told."""
        try:
            with self._snapshot() as snapshot:
                return snapshot.lsn
        except Damaged:
            return 0

    def _reach(self, target: int, needed: int, *, timeout: float | None = None) -> int:
        """Apply up to `target`; when others apply, wait for `needed` only (and a little for the rest)."""
        wait = self._timeout if timeout is None else timeout
        start, pause = self._system.monotonic(), 0.000_2
        while True:
            with self._applying(pause) as held:
                if held:
                    return self._apply(target, needed)
            applied, waited = self._look(), self._system.monotonic() - start
            if applied >= target or (needed <= applied > 0 and waited >= min(wait, _COURTESY)):
                return applied
            if waited >= wait:
                raise ViewLag(
                    f"LSN {needed or target} is not applied yet",
                    where=self._file.place,
                    hint="another process or thread is applying",
                    applied=applied,
                )
            pause = min(pause * 2, 0.02)

    @contextmanager
    def _applying(self, patience: float) -> Iterator[bool]:
        """The applier's lock, between threads and between processes; False when it is not free."""
        if not self._lock.acquire(timeout=patience):
            yield False
            return
        try:
            if self._folder is None:
                yield True
                return
            self._system.make_folder(self._folder)
            with file_lock(self._system, f"{self._folder}/applier.lock", patience=patience) as held:
                yield held
        finally:
            self._lock.release()

    def _look(self) -> int:
        """What others have applied, for one who does not hold the lock: a file not looked at yet counts too."""
        if self._checked is None or self._file.identity() != self._checked:
            self._adopt()
        return self.applied()

    def _adopt(self) -> bool:
        """Look at the file at the path: whether its stamp is good; then it may be read."""
        try:
            with translated(self._file.place):
                identity, db = self._file.acquire()
                try:
                    self._applier.check(read_stamp(db))
                except BaseException:
                    db.close()
                    raise
        except Damaged:
            return False
        self._file.release(identity, db)
        self._checked = identity
        return True

    def _apply(self, target: int, needed: int) -> int:
        """Under the applier's lock: make sure of the file, then apply."""
        if self._suspect or not (
            (self._checked is not None and self._file.identity() == self._checked) or self._adopt()
        ):
            self._build(target)
        with translated(self._file.place):
            identity, db = self._file.acquire()
            try:
                applied = self._applier.apply(db, target)
            except BaseException:
                db.close()
                raise
            self._file.release(identity, db)
        self._wrote = True
        self._stop_if_failed(max(needed, applied + 1) if applied < target else needed, applied)
        self._save_sometimes(applied)
        return applied

    def _stop_if_failed(self, needed: int, applied: int) -> None:
        failure = self._applier.failure
        if failure is not None and applied < needed:
            raise ViewFailed(f"the view stopped at LSN {failure.lsn}: {failure.reason}", where=f"LSN {failure.lsn}")

    def _build(self, target: int) -> None:
        """Under the applier's lock: a new file from the newest good checkpoint, or from nothing, and the log."""
        with translated(self._file.place), self._file.fresh() as db:
            if self._checkpoints is None or not self._checkpoints.restore(db, self._applier):
                create(db, self._applier.folds, self._applier.new_stamp())
            self._applier.apply(db, target)
        self._checked, self._suspect = self._file.identity(), False

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """A damaged file is not the caller's error: it is looked at, and built anew if need be, under the lock."""
        try:
            yield
        except Damaged:
            if self._checked is not None:
                self._suspect = self._suspect or self._file.identity() == self._checked
            self._reach(0, 0)

    # -- care --------------------------------------------------------------------------------------------------

    def distrust(self) -> None:
        """Have the file built anew before the next read: it said what the log does not (V4).

        Heard once for each LSN the log ends at, so that a fold's error does not become a rebuild for each read.
        """
        durable = self._log.durable_lsn()
        if durable != self._distrusted_at:
            self._distrusted_at, self._suspect = durable, True

    def rebuild(self) -> int:
        """Replay the whole log into a fresh file, which then takes the old one's place; returns its LSN."""
        self._check_open()
        target = self._log.durable_lsn()
        with self._exclusively(), translated(self._file.place):
            with self._file.fresh() as db:
                create(db, self._applier.folds, self._applier.new_stamp())
                applied = self._applier.apply(db, target)
            self._checked, self._suspect, self._wrote = self._file.identity(), False, True
        self._stop_if_failed(target, applied)
        return applied

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with self._applying(self._timeout) as held:
            if not held:
                raise ViewLag("another process or thread is applying", where=self._file.place, hint="try again")
            yield

    def verify(self) -> tuple[ViewCheck, ...]:
        """Compare the live file with a replay of the log up to its position (V3); a damaged one is reported."""
        self._check_open()
        if self._file.identity() is None:
            self.catch_up()
        return (check_view(f"{NAME}-v{VERSION}", self._file, self._applier),)

    def status(self) -> tuple[ViewStatus, ...]:
        """Where the view stands."""
        self._check_open()
        self._look()
        failure = self._applier.failure
        return (
            ViewStatus(
                name=NAME,
                version=VERSION,
                applied_lsn=self.applied(),
                failed_at=failure.lsn if failure else None,
                failure=failure.reason if failure else None,
            ),
        )

    # -- checkpoints -------------------------------------------------------------------------------------------

    def checkpoint(self) -> int:
        """Write a checkpoint of what is durable now; returns its LSN (in memory there is none to write)."""
        self.catch_up()
        with self.snapshot() as snapshot:
            if self._checkpoints is not None:
                self._checkpoints.write(snapshot.db, self._applier)
            self._saved_at = snapshot.lsn
            return snapshot.lsn

    def checkpoints(self) -> tuple[int, ...]:
        """LSNs of the checkpoints there are, oldest first."""
        return self._checkpoints.lsns() if self._checkpoints is not None else ()

    def sizes(self) -> tuple[int, int]:
        """Bytes of the view's files and of the checkpoints."""
        if self._folder is None or self._checkpoints is None:
            return 0, 0
        names = self._system.list_folder(self._folder) if self._system.is_folder(self._folder) else []
        sizes = [self._size(f"{self._folder}/{name}") for name in names if not name.endswith(".lock")]
        return sum(sizes), sum(self._size(path) for path in self._checkpoints.paths())

    def _size(self, path: str) -> int:
        with suppress(FileNotFoundError):
            return self._system.path_size(path)
        return 0

    def _save_sometimes(self, applied: int) -> None:
        """Every so many events, have a thread write a checkpoint, off everybody's way. Under the lock."""
        if not self._every or self._checkpoints is None or (self._saving is not None and self._saving.is_alive()):
            return
        if self._saved_at is None:
            self._saved_at = max(self._checkpoints.lsns(), default=0)
        if applied - self._saved_at >= self._every:
            self._saved_at = applied
            self._saving = self._system.start_thread(self._save, name="walnut-checkpoint")

    def _save(self) -> None:
        """A checkpoint that fails is only one that is missing: the next one tries again."""
        if self._checkpoints is None:
            return
        with suppress(WalnutError, sqlite3.Error, Damaged, OSError), self._snapshot() as snapshot:
            self._checkpoints.write(snapshot.db, self._applier)

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish a checkpoint under way, bring the file to disk, let go of it; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._saving is not None:
            self._saving.join()
        if self._wrote and self._folder is not None and self._checked is not None:
            with suppress(WalnutError, sqlite3.Error, Damaged, OSError), self._applying(0.1) as held:
                if held and self._file.identity() == self._checked:
                    self._close_clean()
        self._file.close()

    def _close_clean(self) -> None:
        self._file.close()
        _, db = self._file.acquire()
        try:
            self._applier.close_clean(db)
        finally:
            db.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the views are closed", hint="open the store again")
