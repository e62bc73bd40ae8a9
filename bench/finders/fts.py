"""SQLite FTS5 alone, as one would set it up: Porter's stemmer, the words of the question joined by OR, bm25."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bench.finders.task import Turn, batches

_TABLE = """CREATE VIRTUAL TABLE turns USING
fts5(text, turn UNINDEXED, scope UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2')"""
_FIND = "SELECT turn FROM turns WHERE turns MATCH ? AND scope = ? ORDER BY bm25(turns) LIMIT ?"


class FullText:
    """One table for all scopes."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "turns.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(_TABLE)

    def add(self, turns: Sequence[Turn]) -> None:
        """A transaction a batch; the day is text like any other."""
        for batch in batches(turns):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO turns VALUES (?, ?, ?)", [(t.dated, t.id, t.scope) for t in batch])
            self._db.execute("COMMIT")

    def find(self, scope: str, question: str, k: int) -> Sequence[str]:
        """By bm25, whose statistics are those of the table."""
        words = " OR ".join(f'"{word}"' for word in dict.fromkeys(re.findall(r"\w+", question.lower())))
        return [turn for (turn,) in self._db.execute(_FIND, (words, scope, k))] if words else []

    def close(self) -> None:
        """Close; the WAL is folded in."""
        self._db.close()
