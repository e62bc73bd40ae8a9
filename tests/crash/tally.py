"""What a fault did, counted: how often it was tried, and what came of it."""

from __future__ import annotations

import msgspec


class Tally(msgspec.Struct, kw_only=True):
    """One line of the table of faults."""

    fault: str
    #: How often the fault was injected, and how many acknowledged events were looked for afterwards.
    tried: int = 0
    acknowledged: int = 0
    #: Acknowledged and not there; wrong without an error.
    lost: int = 0
    silent: int = 0
    #: What else was counted, by name.
    counts: dict[str, int] = {}
    #: What must not be, in words: one for each that was lost or silent, and for whatever else went wrong.
    problems: list[str] = []
    #: Why it could not be tried here.
    skipped: str = ""
    seconds: float = 0

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of the other counts."""
        self.counts[name] = self.counts.get(name, 0) + number


HEADER = ("fault", "tried", "acks checked", "lost", "silent", "seconds")


def table(tallies: list[Tally]) -> str:
    """The lines of the table."""
    rows = [HEADER, *map(_row, tallies)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for each in tallies:
        more = each.skipped or ", ".join(f"{name} {number:,}" for name, number in sorted(each.counts.items()))
        lines += [f"  {each.fault}: {more}"] if more else []
        lines += [f"    {problem}" for problem in each.problems]
    return "\n".join(lines)


def _row(each: Tally) -> tuple[str, ...]:
    numbers = f"{each.tried:,}", f"{each.acknowledged:,}", f"{each.lost:,}", f"{each.silent:,}", f"{each.seconds:.0f}"
    return each.fault, *(("skipped", "", "", "", "") if each.skipped else numbers)
