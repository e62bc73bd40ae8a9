"""What a fold is: tables of a view, and the deterministic way from events to their rows (V1)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from walnut.model.event import Event


class Fold(Protocol):
    """One part of a view. All folds of a view share a database, and one transaction for each chunk of events.

    A fold keeps no state between calls but what is in its tables (a rolled-back chunk must leave no trace), reads
    no clock, draws nothing at random, and ends in the same rows however a history is cut into chunks. It skips
    what it does not know of: kinds of a newer Walnut are refused before it is called (V7). `version` goes up with
    every change of tables or rows.
    """

    @property
    def name(self) -> str:
        """Unique within the view."""
        ...

    @property
    def version(self) -> int:
        """Of tables and rows."""
        ...

    @property
    def schema(self) -> tuple[str, ...]:
        """Statements that make its tables in an empty database."""
        ...

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Fold these events, in LSN order, inside the open transaction; never commits or rolls back."""
        ...

    def digest(self, db: sqlite3.Connection) -> str:
        """A hash of the logical rows: equal for equal histories, whatever the pages look like.

        Either one word, or `table=word` for each table, separated by blanks: then a difference names the table.
        """
        ...


def digests(folds: Sequence[Fold], db: sqlite3.Connection) -> dict[str, str]:
    """All parts of the folds' digests, by fold and table: `memories.versions` -> hash."""
    parts: dict[str, str] = {}
    for fold in folds:
        for part in fold.digest(db).split():
            table, separator, value = part.rpartition("=")
            parts[f"{fold.name}.{table}" if separator else fold.name] = value
    return parts
