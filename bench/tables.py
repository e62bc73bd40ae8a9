"""Tables of the comparison: rows of cells, for the terminal and for pages, and how numbers are written there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from bench.contenders import CONTENDERS
from bench.findings import Comparison, Count, Speed
from bench.persisted import ways
from bench.writers import BESIDE, TIMED

_LABELS = {contender.name: contender.label for contender in CONTENDERS} | {name: is_[0] for name, is_ in BESIDE.items()}


class Table(msgspec.Struct, frozen=True):
    """A title, the head of each column, and rows of as many cells."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def label(name: str) -> str:
    """What a contender is called."""
    return _LABELS[name]


def aligned(table: Table) -> str:
    """For a terminal."""
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    padded = (
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return "\n".join([f"{table.title}", "", *padded])


def markdown(table: Table) -> str:
    """For a page."""
    rule = ["---", *("---:" for _ in table.head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [table.head, rule, *table.rows])


def persisted(found: Comparison) -> Table:
    """Found again of acknowledged."""
    present = [way for way in ways() if any(way in each.counts for each in found.persisted)]
    rows = []
    for each in found.persisted:
        counts = [each.counts[way] for way in present if way in each.counts]
        cells = [_count(each.counts.get(way)) for way in present]
        syncs = "-" if each.syncs is None else f"{each.syncs:.1f}"
        lost = sum(count.lost for count in counts)
        rows.append([label(each.name), *cells, f"**{lost:,}**" if lost else "0", syncs])
    head = ["found again / acknowledged", *present, "lost", "syncs a write"]
    return Table("Acknowledged and persisted", head, rows)


def _count(count: Count | None) -> str:
    if count is None:
        return "-"
    refused = f" ({count.refused:,} refused)" if count.refused else ""
    return f"{count.found:,} / {count.acknowledged:,}{refused}"


def writers(found: Comparison) -> Table:
    """Commits a second."""
    counts = sorted({count for speed in found.speeds for count in speed.rates})
    rows = [
        [label(speed.name), *(thousands(rate(speed, count)) for count in counts)]
        for speed in found.speeds
        if speed.rates
    ]
    return Table("Commits a second, by number of writers", ["writers", *map(str, counts)], rows)


def latency(found: Comparison) -> Table:
    """Milliseconds a write."""
    names = ("p50", "p95", "p99", "p99.9")
    head = ["ms a write", *(f"{count}: {name}" for count in TIMED for name in names)]
    rows = [
        [label(speed.name), *(cell for count in TIMED for cell in _milliseconds(speed.percentiles.get(count)))]
        for speed in found.speeds
        if speed.percentiles
    ]
    return Table("Latency with one writer and with 64", head, rows)


def _milliseconds(values: Sequence[float] | None) -> list[str]:
    return ["-"] * 4 if values is None else [significant(value) for value in values]


def batches(found: Comparison) -> Table:
    """Events a second in batches."""
    rows = [[label(speed.name), thousands(median(speed.batches))] for speed in found.speeds if speed.batches]
    return Table("Events a second, one writer, 100 in a commit", ["store", "events/s"], rows)


def reopened(found: Comparison) -> Table:
    """Milliseconds to the first read."""
    sizes = sorted({size for each in found.reopened for size in each.closed})
    head = ["ms to the first read", *(f"{size:,} {how}" for size in sizes for how in ("closed", "killed"))]
    rows = [
        [label(each.name), *(_median(how.get(size)) for size in sizes for how in (each.closed, each.killed))]
        for each in found.reopened
    ]
    return Table("Reopening, by events held", head, rows)


def _median(seconds: Sequence[float] | None) -> str:
    return significant(median(seconds) * 1_000) if seconds else "-"


def sizes(found: Comparison) -> Table:
    """Bytes on the disk an event."""
    counts = sorted({size for each in found.reopened for size in each.bytes})
    rows = [[label(each.name), *(_bytes(each.bytes.get(count)) for count in counts)] for each in found.reopened]
    title = f"Bytes on the disk an event (its text: {found.text_bytes:.0f})"
    return Table(title, ["bytes an event", *(f"of {count:,}" for count in counts)], rows)


def _bytes(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def all_of(found: Comparison) -> list[Table]:
    """Those that have rows."""
    makers: tuple[Callable[[Comparison], Table], ...] = (persisted, writers, latency, batches, reopened, sizes)
    return [table for make in makers if (table := make(found)).rows]


def rate(speed: Speed, count: int) -> float | None:
    """The median of a speed's turns."""
    return median(speed.rates[count]) if count in speed.rates else None


def thousands(value: float | None) -> str:
    """A whole number for people."""
    return "-" if value is None else f"{value:,.0f}"


def significant(value: float) -> str:
    """Two figures that mean something."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
