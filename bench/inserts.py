"""Peers of the rows about writing: SQLite with synchronous=FULL, and PostgreSQL driven by `pgbench`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figure import Rate
from bench.servers import Postgres, UnavailableError

_TABLE = "CREATE TABLE memory (id INTEGER PRIMARY KEY, at REAL, text TEXT)"


@contextmanager
def sqlite(folder: Path) -> Iterator[Callable[[str], object]]:
    """A function that commits one text: WAL, FULL, and one connection taken in turns.

    That is SQLite at its best: 64 connections would wait for one another in its busy handler.
    """
    folder.mkdir()
    db = sqlite3.connect(folder / "peer.db", isolation_level=None, check_same_thread=False)
    turn = threading.Lock()
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(_TABLE)

    def insert(text: str) -> None:
        with turn:
            db.execute("INSERT INTO memory (at, text) VALUES (julianday(), ?)", (text,))

    try:
        yield insert
    finally:
        db.close()


@contextmanager
def postgres(folder: Path, *, clients: int) -> Iterator[tuple[Callable[[float], Rate] | None, str]]:
    """A function that has `pgbench` insert for so many seconds; else None, and why."""
    try:
        server = Postgres(folder)
    except UnavailableError as error:
        yield None, str(error)
        return
    try:
        server.start()
        server.table()
    except UnavailableError as error:
        server.remove()
        yield None, str(error)
        return
    try:
        yield lambda seconds: server.insert(seconds, clients=clients), ""
    finally:
        server.remove()
