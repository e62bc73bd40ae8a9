"""A gate before a database in memory, where SQLite lets nobody write while anybody reads.

A thread that waits to write holds back new readers, so that it is not kept out for ever; a thread that reads
already may read once more, and is refused at once as a writer, since it would wait for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from walnut.system import System


class Gate:
    """Many readers or one writer, between threads."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._changed = system.condition()
        self._readers = Counter[int]()
        self._writers = 0

    def start_reading(self) -> int:
        """Wait for who writes or waits to; returns what `stop_reading` wants."""
        thread = self._system.thread_id()
        with self._changed:
            self._changed.wait_for(lambda: not self._writers or thread in self._readers)
            self._readers[thread] += 1
        return thread

    def stop_reading(self, thread: int) -> None:
        """The reader that came in is gone."""
        with self._changed:
            self._readers[thread] -= 1
            if not self._readers[thread]:
                del self._readers[thread]
            self._changed.notify_all()

    @contextmanager
    def writing(self, patience: float) -> Iterator[bool]:
        """Whether all readers left within `patience` seconds; nobody reads until the end of the block."""
        with self._changed:
            self._writers += 1
            alone = self._system.thread_id() not in self._readers
            alone = alone and self._changed.wait_for(lambda: not self._readers, patience)
        try:
            yield alone
        finally:
            with self._changed:
                self._writers -= 1
                self._changed.notify_all()
