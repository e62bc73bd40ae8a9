"""PostgreSQL through psycopg: one connection for each writer, every statement its own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from bench.workers.load import Refusals, Write


class Table:
    """A table of its own in a running server; `at` is the folder of the server's socket, then the table's name."""

    refusals: Refusals = (psycopg.Error,)

    def __init__(self, at: Path) -> None:
        self._where = f"host={at.parent} user=walnut dbname=postgres"
        self._connections = [psycopg.connect(self._where, autocommit=True)]
        self._table = at.name
        self._insert = f"INSERT INTO {at.name} (at, text) VALUES (now(), %s)"
        self._first = self._connections[0]
        if not self._first.execute("SELECT to_regclass(%s)", (at.name,)).fetchone()[0]:
            self._first.execute(
                f"CREATE TABLE IF NOT EXISTS {at.name} (id bigserial PRIMARY KEY, at timestamptz, text text)"
            )

    def writers(self, count: int) -> Sequence[Write]:
        """A connection each."""
        while len(self._connections) < count:
            self._connections.append(psycopg.connect(self._where, autocommit=True))
        return [self._writer(connection) for connection in self._connections[:count]]

    def _writer(self, connection: psycopg.Connection[tuple[object, ...]]) -> Write:
        return lambda text: connection.execute(self._insert, (text,))

    def write_many(self, texts: Sequence[str]) -> object:
        """One transaction, one round trip."""
        with self._first.transaction(), self._first.cursor() as cursor:
            return cursor.executemany(self._insert, [(text,) for text in texts])

    def texts(self) -> list[str]:
        """Every row."""
        return [str(text) for (text,) in self._first.execute(f"SELECT text FROM {self._table} ORDER BY id")]

    def last(self, name: str) -> str:  # noqa: ARG002 - the highest id is the last
        """The row of the highest id."""
        row = self._first.execute(f"SELECT text FROM {self._table} ORDER BY id DESC LIMIT 1").fetchone()
        return str(row[0])

    def size(self) -> int:
        """Bytes of the table and its index."""
        return int(self._first.execute("SELECT pg_total_relation_size(%s)", (self._table,)).fetchone()[0])

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()
