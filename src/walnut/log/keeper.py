"""The keeper: a quiet thread that prepares the next segment, syncs what was left at `process`, and the mark."""

from __future__ import annotations

from collections.abc import Callable

from walnut.errors import DurabilityUnknown, WalnutError
from walnut.log import segment
from walnut.log.shared import State
from walnut.system import System, Thread

#: Seconds between looks; also the longest that a write at `process` stays unsynced.
INTERVAL = 1.0


class Keeper:
    """Looks once a second while the log is written to, and sleeps when it is not."""

    def __init__(
        self,
        system: System,
        *,
        folder: str,
        lock_fd: int,
        written: Callable[[], State | None],
        capacity: Callable[[int], int],
        tidy: Callable[[], None],
    ) -> None:
        self._system = system
        self._folder = folder
        self._lock_fd = lock_fd
        self._written = written
        self._capacity = capacity
        self._tidy = tidy
        self._signal = system.condition()
        self._asleep = True
        self._closed = False
        self._thread: Thread | None = None

    def ping(self) -> None:
        """Something was written: wake up if asleep. Cheap when awake."""
        if self._asleep and not self._closed:
            with self._signal:
                if self._thread is None:
                    try:
                        self._thread = self._system.start_thread(self._loop, name="walnut-keeper")
                    except RuntimeError:
                        return  # no more threads to be had: writers and `close` do all that must be done
                self._asleep = False
                self._signal.notify()

    def _loop(self) -> None:
        seen = -1
        while True:
            with self._signal:
                if not self._closed:
                    self._signal.wait(INTERVAL)
            if self._closed:
                return
            state = self._written()
            if state is None:
                return
            try:
                self._prepare(state)
                if state.lsn == seen and not self._rest():
                    return
            except DurabilityUnknown:
                return  # poisoned: every caller hears of it
            except (WalnutError, OSError):
                continue  # a lock that is stuck, a disk that is full: look again later, callers hear of it
            seen = state.lsn

    def _rest(self) -> bool:
        """Nothing came for a while: settle and sleep until pinged. False when closed."""
        with self._signal:
            self._asleep = True  # before settling: whatever is written meanwhile wakes us up again
        self._tidy()
        with self._signal:
            while self._asleep and not self._closed:
                self._signal.wait()
        return not self._closed

    def _prepare(self, state: State) -> None:
        """Have a spare ready once the live segment is half full; without space the writer will say so."""
        size = segment.capacity(state.segment + 1)
        if state.end * 2 < self._capacity(state.segment):
            return
        spare = f"{self._folder}/{segment.SPARE}"
        if self._system.exists(spare) and self._system.path_size(spare) == size:
            return
        if not self._system.try_lock_file(self._lock_fd):
            return
        temporary = f"{spare}.{self._system.random(4).hex()}.tmp"
        try:
            segment.prepare(self._system, temporary, size)
            self._system.rename(temporary, spare)
        except OSError:
            if self._system.exists(temporary):
                self._system.remove(temporary)
        finally:
            self._system.unlock_file(self._lock_fd)

    def close(self) -> None:
        """End the thread."""
        with self._signal:
            self._closed = True
            self._signal.notify()
        if self._thread is not None:
            self._thread.join()
