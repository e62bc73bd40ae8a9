"""Work: what the processes of a simulated machine do with one store, step by step, and what they tell the book."""

from __future__ import annotations

import msgspec

from tests.simulation.oracle import Book, Witness
from tests.simulation.requests import Request
from tests.simulation.tally import Tally
from walnut.errors import (
    DurabilityUnknown,
    IdempotencyConflict,
    InvalidArgument,
    LogBusy,
    LogCorruption,
    StorageFailed,
    StorageFull,
    StoreClosed,
    VersionConflict,
    ViewLag,
)
from walnut.log.file_log import FileLog
from walnut.log.repair import repair_folder
from walnut.system import System
from walnut.views.runner import Views

STORE = "/store"
#: Seconds that locks are waited for; nobody waits in earnest.
PATIENCE = 3.0
_OPENINGS = 4


class Append(msgspec.Struct, frozen=True, tag="append"):
    """Ask for one append."""

    request: Request


class Sync(msgspec.Struct, frozen=True, tag="sync"):
    """Have everything written made durable."""


class Read(msgspec.Struct, frozen=True, tag="read"):
    """Read the newest `last` events."""

    last: int = 8


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Wait until what this process has written is durable, whoever syncs it."""

    timeout: float = 0.5


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Do nothing for so many seconds: the keeper prepares a spare, syncs, and puts the mark on disk."""

    seconds: float = 1.5


class Reopen(msgspec.Struct, frozen=True, tag="reopen"):
    """Close the store and open it again."""


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Bring a view up to date, and write a checkpoint of it."""


class Repair(msgspec.Struct, frozen=True, tag="repair"):
    """Close the store, run a repair (there is nothing to mend, or others have it open), open it again."""


Step = Append | Sync | Read | Wait | Pause | Reopen | Look | Repair


class Script(msgspec.Struct, frozen=True):
    """What one process does: the steps of its threads, and whether it closes the store at the end or just ends."""

    threads: tuple[tuple[Step, ...], ...]
    closes: bool = True


class Process:
    """A process at work. It opens the store; its threads share the handle."""

    def __init__(self, system: System, book: Book, tally: Tally) -> None:
        self._system, self._book, self._tally = system, book, tally
        self._opening = system.lock()
        self._log: FileLog | None = None
        self._views: Views | None = None
        self._gave_up = False

    def run(self, script: Script) -> None:
        """Do all of it; what the log refuses is noted, what it must not do is raised."""
        if self._handle() is None:
            return
        others = [
            self._system.start_thread(lambda steps=steps: self._thread(steps), name=f"t{number}")  # type: ignore[misc]
            for number, steps in enumerate(script.threads[1:], 2)
        ]
        for steps in script.threads[:1]:
            self._thread(steps)
        for thread in others:
            thread.join()
        if script.closes:
            self._close()

    def _thread(self, steps: tuple[Step, ...]) -> None:
        step: Step | None = None
        try:
            for step in steps:
                log = self._handle()
                if log is None:
                    return
                self._one(log, step)
        except LogCorruption as error:
            self._book.witnesses.append(Witness("false-alarm", error.first_lsn or 0, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever else comes out of the log is a leak, and a witness
            self._book.witnesses.append(Witness("leaked-error", 0, f"{type(step).__name__}: {error!r}"))

    def _one(self, log: FileLog, step: Step) -> None:
        try:
            match step:
                case Append():
                    self._append(log, step.request)
                case Sync():
                    self._book.synced(log.sync())
                case Read():
                    self._read(log, step.last)
                case Wait():
                    self._wait(log, step.timeout)
                case Pause():
                    self._system.sleep(step.seconds)
                case Reopen():
                    self._replace(log)
                case Look():
                    self._look(log)
                case Repair():
                    self._repair(log)
        except (DurabilityUnknown, StoreClosed):
            self._replace(log)
        except (LogBusy, StorageFull, StorageFailed, ViewLag):
            pass  # said clearly: that is all that is asked for

    # -- the handle ----------------------------------------------------------------------------------------------

    def _handle(self) -> FileLog | None:
        """The store; None when it can't be opened."""
        with self._opening:
            if self._log is None and not self._gave_up:
                self._log = self._open()
                self._gave_up = self._log is None
            return self._log

    def _open(self) -> FileLog | None:
        for _ in range(_OPENINGS):
            try:
                return FileLog.open(self._system, STORE, busy_timeout=PATIENCE)
            except (LogBusy, StorageFull, StorageFailed, DurabilityUnknown):
                self._system.sleep(0.1)
            except LogCorruption as error:
                self._book.witnesses.append(Witness("false-alarm", error.first_lsn or 0, str(error)))
                return None
            except Exception as error:  # noqa: BLE001 - as in `_thread`
                self._book.witnesses.append(Witness("leaked-error", 0, f"opening: {error!r}"))
                return None
        return None

    def _replace(self, log: FileLog) -> None:
        """Another thread may have done so already."""
        with self._opening:
            if self._log is log:
                self._let_go()

    def _close(self) -> None:
        with self._opening:
            self._let_go()

    def _let_go(self) -> None:
        log, views, self._log, self._views = self._log, self._views, None, None
        if views is not None:
            views.close()
        if log is None:
            return
        try:
            log.close()
        except (DurabilityUnknown, LogBusy, StorageFull, StorageFailed):
            return

    # -- steps ---------------------------------------------------------------------------------------------------

    def _append(self, log: FileLog, request: Request) -> None:
        book, after = self._book, 0
        if request.expects != "none":
            after = log.last_touch(request.touch)
            if request.expects == "stale":
                after = max(after - 1, 0)
        attempt = book.asked(request, after)
        self._tally.frames += 1
        try:
            answer = log.append(request.batch(after))
        except VersionConflict as error:
            book.conflicted(attempt, error.current)
        except IdempotencyConflict:
            book.refused(attempt)
        except InvalidArgument:
            book.refused(attempt)
            if not request.times:  # those may come too late
                raise
        except (LogBusy, StorageFull, StorageFailed, StoreClosed):
            book.refused(attempt)
            raise
        else:
            self._tally.events += sum(not each.replayed for each in answer)
            book.acknowledged(attempt, answer)

    def _read(self, log: FileLog, last: int) -> None:
        durable = log.durable_lsn()
        self._book.synced(durable)
        self._book.shown(list(log.read(after=max(durable - last, 0))))

    def _wait(self, log: FileLog, timeout: float) -> None:
        written = log.written_lsn()
        if written and log.wait(written, timeout=timeout):
            self._book.synced(written)

    def _look(self, log: FileLog) -> None:
        with self._opening:
            if self._views is None and self._log is log:
                self._views = Views.open(log, self._system, folder=STORE, checkpoint_every=0)
            views = self._views
        if views is not None:
            views.catch_up()
            views.checkpoint()

    def _repair(self, log: FileLog) -> None:
        with self._opening:
            if self._log is not log:
                return
            self._let_go()
            try:
                report = repair_folder(self._system, STORE, accept_loss=True)
            except (LogBusy, StorageFull, StorageFailed, OSError):
                return
        if report.repaired:
            self._book.witnesses.append(Witness("false-alarm", 0, "a repair found something to mend"))
