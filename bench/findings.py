"""What the comparison found: plain data for the tables, the plots and programs."""

from __future__ import annotations

import msgspec


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Writes that were asked for, acknowledged, and of those found again; and those refused, with one reason."""

    asked: int = 0
    acknowledged: int = 0
    found: int = 0
    refused: int = 0
    refusal: str = ""
    rounds: int = 1

    @property
    def lost(self) -> int:
        """Acknowledged and gone."""
        return self.acknowledged - self.found


class Persisted(msgspec.Struct, frozen=True, kw_only=True):
    """One contender: each way of writing, by its name; `syncs` are those of the disk for one write of one writer."""

    name: str
    counts: dict[str, Count]
    syncs: float | None = None


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """One contender's commits a second by number of writers (a figure for each turn), and what a write took.

    `percentiles` are milliseconds by number of writers: p50, p95, p99, p99.9, and of how many writes. `batches` are
    events a second of one writer with 100 in a commit.
    """

    name: str
    rates: dict[int, list[float]] = {}
    percentiles: dict[int, list[float]] = {}
    writes: dict[int, int] = {}
    batches: list[float] = []
    refused: int = 0
    refusal: str = ""


class Reopened(msgspec.Struct, frozen=True, kw_only=True):
    """One contender's seconds from nothing to the first read, by events held, and bytes on disk an event.

    `parts` are those bytes at the largest size, folder by folder, of a store that has folders.
    """

    name: str
    closed: dict[int, list[float]] = {}
    killed: dict[int, list[float]] = {}
    bytes: dict[int, float] = {}
    parts: dict[str, float] = {}
    notes: dict[int, str] = {}


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `missing` says by contender why something was not measured."""

    versions: dict[str, str] = {}
    persisted: list[Persisted] = []
    speeds: list[Speed] = []
    reopened: list[Reopened] = []
    missing: dict[str, str] = {}
    text_bytes: float = 0.0
