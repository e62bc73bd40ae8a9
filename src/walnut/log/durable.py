"""Durability: one sync for all that is written, and the watermark that tells every process how far it got."""

from __future__ import annotations

from walnut.errors import LogBusy, LogCorruption, StorageFailed
from walnut.log import failures, recovery
from walnut.log.segments import Segments
from walnut.log.shared import FileLock, Shared, State
from walnut.system import System

_SHORTEST_POLL, _LONGEST_POLL = 0.001, 0.05


class Durable:
    """The durable end of the log. No lock that a writer needs is held while the disk works."""

    def __init__(
        self,
        system: System,
        *,
        segments: Segments,
        shared: Shared,
        lock: FileLock,
        epoch: int,
    ) -> None:
        self.lock = lock
        self.one_at_a_time = system.lock()
        self._system = system
        self._segments = segments
        self._shared = shared
        self._epoch = epoch
        self._changed = system.condition()
        self._waiting = 0

    def state(self) -> State:
        """The durable end as any process of this epoch has published it; DurabilityUnknown when that is lost."""
        mark = self._shared.mark.load()
        if mark is None:  # a failed flush may have given its page up; a recovery mends it
            self._shared.poison(self._epoch)
            raise failures.poisoned("the mark is damaged")
        if mark.epoch != self._epoch:  # what was written in ours may be lost, and another event have its LSN
            raise failures.poisoned("a sync failed, and the log was recovered since")
        if mark.segment > self._segments.last:
            self._segments.discover()
        return mark

    def check(self) -> None:
        """DurabilityUnknown once a sync has failed in any process."""
        if not self._shared.healthy(self._epoch):
            raise failures.poisoned()

    def sync(self, lsn: int | None) -> State:
        """Return when everything up to `lsn` (None: all that is written) is on disk.

        The written end is read before the disk is asked: what was written before the sync began is what it
        covers. Predecessors of that segment were synced before it began. A failed sync is final for all.
        """
        system, segments = self._system, self._segments
        with self.one_at_a_time:
            mark = self.state()
            if lsn is not None and mark.lsn >= lsn:
                return mark
            self.check()
            written = self._shared.written.load()
            if written is None:
                raise LogCorruption("the shared state is damaged", file="log/shared", offset=0)
            if written.lsn <= mark.lsn:
                return mark
            if written.segment > segments.last:
                segments.discover()
            try:
                if written.segment not in segments.taken_up:
                    recovery.take_up(system, segments, self._shared, written)
                place = segments.get(written.segment)
                system.datasync(place.fd)
                found = system.named_identity(place.fd)
            except OSError:
                self._shared.poison(self._epoch)
                raise failures.poisoned("the sync failed") from None
            except StorageFailed as error:  # a segment that can't be opened: nothing was asked of the disk yet
                raise failures.unconfirmed(error) from None
            if found is None:
                raise StorageFailed("the log's file was deleted", hint="restore the folder; nothing was acknowledged")
            segments.refuse_other(place, found)
            return self._publish(written)

    def confirm(self, lsn: int) -> None:
        """`sync` for who has written: DurabilityUnknown where nobody can be told that the disk has it."""
        try:
            self.sync(lsn)
        except LogBusy as error:
            raise failures.unconfirmed(error) from None

    def refuse_lost(self, error: Exception) -> None:
        """DurabilityUnknown, for everybody, when this is damage behind the durable end.

        Whole frames were written there: a failed sync has given them up, and nobody may go on from them.
        """
        if isinstance(error, LogCorruption) and (error.first_lsn or 0) > self.state().lsn:
            self._shared.poison(self._epoch)
            raise failures.poisoned("what was written is not whole any more") from None

    def _publish(self, written: State) -> State:
        mark = self._shared.mark.load()
        if mark is not None and mark.lsn >= written.lsn:  # another process's sync has covered it, and it said so
            self.check()
        else:
            mark = self._store(written)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()
        return mark

    def _store(self, written: State) -> State:
        try:
            with self.lock:
                self.check()  # a recovery takes this lock too: nobody of the old epoch touches the mark after it
                mark = self._shared.mark.load() or self.state()
                if written.lsn > mark.lsn:
                    self._shared.mark.store(written, mark.seq + 1)
                    mark = written
                return mark
        except KeyboardInterrupt:
            self.lock.release()
            raise

    def wait(self, lsn: int, timeout: float | None) -> bool:
        """Wait until any process has made `lsn` durable; False after `timeout` seconds."""
        deadline = None if timeout is None else self._system.monotonic() + timeout
        pause = _SHORTEST_POLL
        while self.state().lsn < lsn:
            self.check()
            left = _LONGEST_POLL if deadline is None else deadline - self._system.monotonic()
            if left <= 0:
                return False
            with self._changed:
                self._waiting += 1
                self._changed.wait(min(pause, left))
                self._waiting -= 1
            pause = min(pause * 2, _LONGEST_POLL)
        return True
