"""The runner: keeps the views at the log's end, hands out snapshots of them, and sees to their files.

One process at a time applies (an flock on `applier.lock`), in the thread that needs the events: there is no
applier to wait for or to lose. Whatever is wrong with a file, it is built anew from the newest good checkpoint
and the log; a reader only ever sees errors of the log, ViewLag and ViewFailed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar

from walnut.errors import StoreClosed, ViewFailed, ViewLag, WalnutError
from walnut.log.failures import storage_error
from walnut.model.results import ViewCheck, ViewStatus
from walnut.ports import Log
from walnut.system import System, Thread
from walnut.views import folds as all_folds
from walnut.views.applier import CHUNK, Applier
from walnut.views.check import check_view
from walnut.views.checkpoint import Checkpoints
from walnut.views.damage import Damaged, translated
from walnut.views.fold import Fold
from walnut.views.live import Live
from walnut.views.reader import Snapshot
from walnut.views.store import ViewFile, file_lock

NAME, VERSION = "memories", 1

#: How long a read that needs nothing newer waits for whoever is applying (seconds).
_COURTESY = 0.2
#: How often a file is looked at anew within one call before it gives up.
_ATTEMPTS = 3

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _told(
    work: Callable[Concatenate[Views, _P], _T],
) -> Callable[Concatenate[Views, _P], _T]:
    """What the system refuses, and files that can't be mended, as errors of ours."""

    @wraps(work)
    def telling(self: Views, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return work(self, *args, **kwargs)
        except OSError as error:
            raise storage_error(error, "keeping the views", where=self.place) from error
        except Damaged as error:
            hint = "the log is intact: delete the folders views and checkpoints, and read again"
            raise ViewFailed("the view's file can't be made or read", where=self.place, hint=hint) from error

    return telling


class Views:
    """The views of one log; safe for any number of threads, and of processes when there is a `folder`.

    `folder` is the store's (None: all in memory); the attribute is that of the files. `checkpoint_every`: events
    between automatic checkpoints, 0 for none. `timeout`: seconds to wait for an LSN. `chunk`: events of one
    transaction.
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
        chunk: int = CHUNK,
    ) -> None:
        self._log, self._system, self._timeout = log, system, timeout
        self._applier = Applier(system, log, all_folds.default() if folds is None else folds, chunk=chunk)
        self.folder = None if folder is None or system.databases_in_memory else f"{folder}/views"
        self._checkpoints = None if folder is None else Checkpoints(system, f"{folder}/checkpoints")
        self.place = self.folder or "memory"
        file = ViewFile(system, None if self.folder is None else f"{self.folder}/{NAME}-v{VERSION}.db")
        self._live = Live(system, file, self._applier, self._checkpoints)
        self._lock = system.lock()
        self._distrusted_at = -1
        self._comparing = system.lock()
        self._compared = (-1, False)
        self._every = checkpoint_every
        self._saving: Thread | None = None
        self._saved_at: int | None = None
        self._closed = False

    @classmethod
    def open(
        cls, log: Log, system: System, *, folder: str | None, checkpoint_every: int, timeout: float = 10.0
    ) -> Self:
        """The views of a store; files are looked at when first read."""
        return cls(log, system, folder=folder, checkpoint_every=checkpoint_every, timeout=timeout)

    # -- reading -----------------------------------------------------------------------------------------------

    @_told
    def snapshot(self, min_lsn: int | None = None, *, upto: int | None = None) -> Snapshot:
        """A consistent state that holds everything durable now; at least `min_lsn`, whoever applies (V5, V6).

        `upto`: nothing later matters to this read. Errors: ViewLag when it does not get to `min_lsn` in time,
        ViewFailed when the view stopped before what the read is to see.
        """
        self._check_open()
        needed = min_lsn or 0
        durable = self._durable(needed, self._timeout)
        target = durable if upto is None else max(needed, min(durable, upto))
        for _ in range(_ATTEMPTS):
            with self._healing():
                found = self._at_least(target)
                if found is not None:
                    return found
                try:
                    self._reach(target, needed)
                except ViewLag:  # what is applied will do, if it is enough
                    found = self._at_least(needed)
                    if found is None:
                        raise
                    return found
                found = self._at_least(needed)
                if found is not None:
                    return found
        raise self._lag(needed)

    def _at_least(self, lsn: int) -> Snapshot | None:
        found = self._live.peek()
        if found.lsn >= lsn:
            return found
        found.__exit__(None, None, None)
        return None

    def _durable(self, needed: int, patience: float) -> int:
        """What is durable, once it is at least what is needed: another process may have written that."""
        durable = self._log.durable_lsn()
        if durable < needed:
            if not self._log.wait(needed, timeout=patience):
                raise self._lag(needed)
            durable = self._log.durable_lsn()
        return durable

    def _lag(self, needed: int) -> ViewLag:
        applied = self._live.applied()
        return ViewLag(f"LSN {needed} is not applied yet", where=self._live.place, hint="try again", applied=applied)

    # -- applying ----------------------------------------------------------------------------------------------

    @_told
    def catch_up(self, lsn: int | None = None, *, timeout: float | None = None) -> int:
        """Apply up to `lsn` (None: all that is durable), or wait for whoever does; returns the LSN applied.

        Errors: ViewLag after `timeout` seconds, ViewFailed when a view stopped before `lsn`.
        """
        self._check_open()
        wait = self._timeout if timeout is None else timeout
        durable = self._durable(lsn or 0, wait)
        target = durable if lsn is None else lsn
        for _ in range(_ATTEMPTS):
            with self._healing():
                return self._reach(target, target, timeout=wait)
        raise self._lag(target)

    def _reach(self, target: int, needed: int, *, timeout: float | None = None) -> int:
        """Apply up to `target`; when others apply, wait for `needed` only (and a little for the rest)."""
        wait = self._timeout if timeout is None else timeout
        start, pause = self._system.monotonic(), 0.000_2
        while True:
            with self._applying(pause) as held:
                if held:
                    applied = self._live.apply(target)
                    self._stop_if_failed(target, applied)
                    self._save_sometimes(applied)
                    return applied
            good, waited = self._live.adopt(), self._system.monotonic() - start
            applied = self._live.applied() if good else 0
            if good and (applied >= target or (applied >= needed and waited >= min(wait, _COURTESY))):
                return applied
            if waited >= wait:
                raise self._lag(needed or target)
            pause = min(pause * 2, 0.02)

    @contextmanager
    def _applying(self, patience: float) -> Iterator[bool]:
        """The applier's lock, between threads and between processes; False when it is not free."""
        if not self._lock.acquire(timeout=patience):
            yield False
            return
        try:
            if self._live.gate is not None:
                with self._live.gate.writing(patience) as held:
                    yield held
            else:
                if not self._system.is_folder(f"{self.folder}"):
                    self._system.make_folder(f"{self.folder}")
                with file_lock(self._system, f"{self.folder}/applier.lock", patience=patience) as held:
                    yield held
        finally:
            self._lock.release()

    def _stop_if_failed(self, needed: int, applied: int) -> None:
        failure = self._applier.failure
        if failure is not None and applied < needed:
            raise ViewFailed(f"the view stopped at LSN {failure.lsn}: {failure.reason}", where=f"LSN {failure.lsn}")

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """A bad file is not the caller's error: under the lock it is looked at, and built anew if need be."""
        try:
            yield
        except Damaged:
            self._reach(0, 0)

    # -- care --------------------------------------------------------------------------------------------------

    def distrust(self) -> None:
        """Have the file built anew before the next read: it said what the log does not (V4).

        Heard once for each LSN the log ends at, so that a fold's error does not become a rebuild for each read.
        """
        durable = self._log.durable_lsn()
        if durable != self._distrusted_at:
            self._distrusted_at = durable
            self._live.doubt()

    def differs(self) -> bool:
        """Whether the file is not what a replay gives (V3); it is then built anew before the next read.

        Asked once for each LSN the log ends at, so that an error of ours does not become a replay for each read.
        """
        with self._comparing:
            durable = self._log.durable_lsn()
            if self._compared[0] != durable:
                self._compared = durable, not all(check.ok for check in self.verify())
            return self._compared[1]

    @_told
    def rebuild(self) -> int:
        """Replay the whole log into a fresh file, which then takes the old one's place; returns its LSN."""
        self._check_open()
        target = self._log.durable_lsn()
        with self._applying(self._timeout) as held:
            if not held:
                raise ViewLag("others are applying or reading", where=self._live.place, hint="try again")
            applied = self._live.rebuild(target)
        self._stop_if_failed(target, applied)
        return applied

    @_told
    def verify(self) -> tuple[ViewCheck, ...]:
        """Compare the live file with a replay of the log up to its position (V3).

        A damaged file, or one that differs, is reported; the next read has it built anew.
        """
        self._check_open()
        if self._live.file.identity() is None:
            self.catch_up()
        gate = self._live.gate
        ticket = gate.start_reading() if gate else 0
        try:
            check = check_view(f"{NAME}-v{VERSION}", self._live.file, self._applier)
            if not check.ok:
                self._live.doubt()
            return (check,)
        finally:
            if gate:
                gate.stop_reading(ticket)

    @_told
    def status(self) -> tuple[ViewStatus, ...]:
        """Where the view stands."""
        self._check_open()
        applied, failure = self._live.applied() if self._live.adopt() else 0, self._applier.failure
        return (
            ViewStatus(
                name=NAME,
                version=VERSION,
                applied_lsn=applied,
                failed_at=failure.lsn if failure else None,
                failure=failure.reason if failure else None,
            ),
        )

    @_told
    def sizes(self) -> tuple[int, int]:
        """Bytes of the view's files and of the checkpoints."""
        if self.folder is None or self._checkpoints is None:
            return 0, 0
        names = self._system.list_folder(self.folder) if self._system.is_folder(self.folder) else []
        sizes = [self._size(f"{self.folder}/{name}") for name in names if not name.endswith(".lock")]
        return sum(sizes), sum(self._size(path) for path in self._checkpoints.paths())

    def _size(self, path: str) -> int:
        with suppress(FileNotFoundError):
            return self._system.path_size(path)
        return 0

    # -- checkpoints -------------------------------------------------------------------------------------------

    @_told
    def checkpoint(self) -> int:
        """Write a checkpoint of what is durable now; returns its LSN (in memory there is none to write)."""
        for attempt in range(_ATTEMPTS):
            try:
                with translated(self._live.place), self.snapshot(self._log.durable_lsn()) as snapshot:
                    if self._checkpoints is not None:
                        self._checkpoints.write(snapshot.db, self._applier)
                    self._saved_at = snapshot.lsn
                    return snapshot.lsn
            except Damaged:  # no copy is made of a bad file: it is built anew
                self._live.doubt()
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def checkpoints(self) -> tuple[int, ...]:
        """LSNs of the checkpoints there are, oldest first."""
        return self._checkpoints.lsns() if self._checkpoints is not None else ()

    def _save_sometimes(self, applied: int) -> None:
        """Every so many events, have a thread write a checkpoint, off everybody's way. Under the lock."""
        if not self._every or self._checkpoints is None or (self._saving is not None and self._saving.is_alive()):
            return
        if self._saved_at is None:
            self._saved_at = max((lsn for lsn in self._checkpoints.lsns() if lsn <= applied), default=0)
        if applied - self._saved_at >= self._every:
            self._saved_at = applied
            self._saving = self._system.start_thread(self._save, name="walnut-checkpoint")

    def _save(self) -> None:
        """A checkpoint that fails is only one that is missing: the next one tries again."""
        if self._checkpoints is not None:
            with suppress(WalnutError, sqlite3.Error, OSError):
                try:
                    with self._live.peek() as snapshot:
                        self._checkpoints.write(snapshot.db, self._applier)
                except Damaged:
                    self._live.doubt()

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish a checkpoint under way, bring the file to disk, let go of it; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._saving is not None:
            self._saving.join()
        if self._live.needs_care():
            with suppress(WalnutError, sqlite3.Error, Damaged, OSError), self._applying(0.1) as held:
                if held:
                    self._live.close_clean()
        self._live.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the views are closed", hint="open the store again")
