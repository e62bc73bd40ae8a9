"""Prints which branches of each module the tests took, and fails when too few were: see `make coverage`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

#: Percent of all branches, and of all lines, that must be taken.
LEAST = 95.0


class Summary(msgspec.Struct):
    """The counts of one module, or of all."""

    num_statements: int
    covered_lines: int
    num_branches: int
    covered_branches: int


class Module(msgspec.Struct):
    """One module of the report."""

    summary: Summary
    missing_lines: list[int]
    missing_branches: list[tuple[int, int]]


class Report(msgspec.Struct):
    """What `coverage json` writes, as far as it is needed here."""

    files: dict[str, Module]
    totals: Summary


def share(covered: int, number: int) -> float:
    """Percent; all of nothing is everything."""
    return 100.0 * covered / number if number else 100.0


def row(name: str, counts: Summary) -> str:
    """One line of the table."""
    lines = share(counts.covered_lines, counts.num_statements)
    branches = share(counts.covered_branches, counts.num_branches)
    return f"{name:36}{lines:8.1f}{counts.covered_branches:8}/{counts.num_branches:<6}{branches:6.1f}"


def missing(module: Module) -> str:
    """Lines that did not run, and jumps from lines that did (`12->15`; to a negative line: out of the function)."""
    lines = set(module.missing_lines)
    jumps = [(start, end) for start, end in module.missing_branches if start not in lines and end not in lines]
    return ", ".join([*map(str, module.missing_lines), *(f"{start}->{end}" for start, end in jumps)])


def main() -> int:
    """Read the report named by the argument; exit code 1 when a total is below LEAST."""
    report = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Report)
    table = [f"{'module':36}{'lines %':>8}{'branches':>12}{'%':>9}   not reached"]
    for name, module in sorted(report.files.items()):
        table.append(f"{row(name.removeprefix('src/walnut/'), module.summary)}   {missing(module)}".rstrip())
    totals = report.totals
    sys.stdout.write("\n".join([*table, row("in all", totals), ""]))
    least = min(share(totals.covered_lines, totals.num_statements), share(totals.covered_branches, totals.num_branches))
    if least < LEAST:
        sys.stderr.write(f"below {LEAST} %\n")
    return int(least < LEAST)


if __name__ == "__main__":
    sys.exit(main())
