"""The SQLite recorder of eventsourcing as it comes: one stored event for each text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from bench.workers.load import Refusals, Write


class Recorder:
    """One recorder with its pool of connections; every `insert_events` commits."""

    refusals: Refusals = (PersistenceError, TimeoutError)

    def __init__(self, at: Path) -> None:
        self._datastore = SQLiteDatastore(str(at))
        self._recorder = SQLiteApplicationRecorder(self._datastore)
        self._recorder.create_table()

    def writers(self, count: int) -> Sequence[Write]:
        """`insert_events` of the one recorder."""
        return [self._write] * count

    def _write(self, text: str) -> object:
        return self.write_many([text])

    def write_many(self, texts: Sequence[str]) -> object:
        """One transaction."""
        return self._recorder.insert_events([StoredEvent(uuid4(), 1, "bench:Noted", text.encode()) for text in texts])

    def texts(self) -> list[str]:
        """Every notification."""
        found: list[str] = []
        start: int | None = 1
        while start is not None:
            page = self._recorder.select_notifications(start, 1_000)
            found += [each.state.decode() for each in page]
            start = page[-1].id + 1 if page else None
        return found

    def last(self, name: str) -> str:  # noqa: ARG002 - the highest position is the last
        """The notification of the highest position."""
        (latest,) = self._recorder.select_notifications(self._recorder.max_notification_id(), 1)
        return str(latest.state.decode())

    def close(self) -> None:
        """Close the pool."""
        self._datastore.close()
