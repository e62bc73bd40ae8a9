"""SQLite in WAL mode with synchronous=FULL: a commit for each text, or one for all that wait."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue

from bench.workers.load import Refusals, Write

_TABLE = "CREATE TABLE IF NOT EXISTS memory (id INTEGER PRIMARY KEY, at REAL, text TEXT)"
_INSERT = "INSERT INTO memory (at, text) VALUES (julianday(), ?)"
_MOST = 1_000


class PerCommit:
    """One connection taken in turns: SQLite at its best, since many would wait for one another in its busy handler."""

    refusals: Refusals = (sqlite3.Error,)

    def __init__(self, at: Path) -> None:
        self._db = sqlite3.connect(at, isolation_level=None, check_same_thread=False, timeout=30)
        self._turn = threading.Lock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_TABLE)

    def writers(self, count: int) -> Sequence[Write]:
        """The one connection, taken in turns."""
        return [self._write] * count

    def _write(self, text: str) -> None:
        with self._turn:
            self._db.execute(_INSERT, (text,))

    def write_many(self, texts: Sequence[str]) -> object:
        """One transaction."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_INSERT, [(text,) for text in texts])
            return self._db.execute("COMMIT")

    def texts(self) -> list[str]:
        """Every row."""
        return [str(text) for (text,) in self._db.execute("SELECT text FROM memory ORDER BY id")]

    def last(self, name: str) -> str:  # noqa: ARG002 - the highest id is the last
        """The row of the highest id."""
        return str(self._db.execute("SELECT text FROM memory ORDER BY id DESC LIMIT 1").fetchone()[0])

    def close(self) -> None:
        """Close; the last to leave folds the WAL into the database."""
        self._db.close()


class Grouped(PerCommit):
    """Writers hand their texts to one thread, which commits all that wait in one transaction before it answers."""

    def __init__(self, at: Path) -> None:
        super().__init__(at)
        self._waiting: SimpleQueue[tuple[str, Future[None]] | None] = SimpleQueue()
        self._committer = threading.Thread(target=self._commit, daemon=True)
        self._committer.start()

    def _write(self, text: str) -> None:
        done: Future[None] = Future()
        self._waiting.put((text, done))
        done.result()

    def _commit(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            try:
                while len(group) < _MOST and (more := self._waiting.get_nowait()) is not None:
                    group.append(more)
            except Empty:
                pass
            try:
                self.write_many([text for text, _ in group])
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                for _, done in group:
                    done.set_exception(error)
            else:
                for _, done in group:
                    done.set_result(None)

    def close(self) -> None:
        """End the thread, then close."""
        self._waiting.put(None)
        self._committer.join()
        super().close()
