"""The tables of docs/why/durability.md, from what the long runs have counted: `python -m tests.evidence`.

Reads `.cache/evidence/`: simulation.json, crash-FAULT.json, fuzz.json and seeded-bugs.json, which the runs write with
`--json` (`make evidence` runs them all). What is missing leaves no row.
"""

from __future__ import annotations

import datetime as dt
import platform
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".cache/evidence"
PAGE = ROOT / "docs/why/durability.md"


def rows() -> Iterator[tuple[str, str, str, str]]:
    """What was tried, how often, what came of it, and the command that does it again."""
    yield from _simulated()
    for file in sorted(FOLDER.glob("crash-*.json")):
        for each in _read(file):
            if not each["skipped"]:
                yield _harmed(each, file.stem.removeprefix("crash-"))
    for report in map(_read, FOLDER.glob("fuzz.json")):
        tried = sum(each["tried"] for each in report["decoders"])
        bad = [sum(each[name] for each in report["decoders"]) for name in ("crashes", "hangs", "lies")]
        yield (
            f"arbitrary and mutated bytes to {len(report['decoders'])} decoders",
            f"{tried:,} inputs",
            f"{bad[0]} crashes, {bad[1]} hangs, {bad[2]} passed as valid",
            f"make fuzz MINUTES={report['minutes']:g}",
        )
    for bugs in map(_read, FOLDER.glob("seeded-bugs.json")):
        caught = sum(bool(each["caught"]) for each in bugs)
        yield "bugs seeded on purpose", f"{len(bugs)} bugs", f"{caught} caught", "make mutants"


def _simulated() -> Iterator[tuple[str, str, str, str]]:
    for found in map(_read, FOLDER.glob("simulation.json")):
        command = f"make simulate MINUTES={max(1, round(found['seconds'] / 60))}"
        outcome = f"{found['anomalies']} anomalies (lost, doubled, changed, out of order, false alarms)"
        yield (
            "simulation: schedules",
            f"{found['schedules']:,} schedules, {found['frames']:,} appends of {found['events']:,} events",
            outcome,
            command,
        )
        points = found["process_deaths"] + found["power_cuts"]
        yield (
            "simulation: crashes",
            (
                f"{points:,}: {found['process_deaths']:,} deaths, {found['power_cuts']:,} power cuts;"
                f" {found['double']:,} of them during a recovery"
            ),
            outcome,
            command,
        )
        faults = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found["faults"].items()))
        yield "simulation: refused calls and clocks", faults, outcome, command
        yield "simulation: views beside a replay", f"{found['views']:,}", f"{found['anomalies']} differ", command


def _harmed(each: dict[str, Any], name: str) -> tuple[str, str, str, str]:
    tried = f"{each['tried']:,}"
    if each["acknowledged"]:
        tried += f", {each['acknowledged']:,} acks checked"
    return each["fault"], tried, f"{each['lost']} lost, {each['silent']} silent", f'make crash ARGS="{name}"'


def _read(file: Path) -> Any:
    return msgspec.json.decode(file.read_bytes())


def table() -> str:
    """Markdown."""
    lines = ["| what | how often | what came of it | again |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {tried} | {outcome} | `{command}` |" for what, tried, outcome, command in rows()]
    return "\n".join(lines)


def machine() -> str:
    """One line."""
    return (
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, two processors, {dt.datetime.now(tz=dt.UTC):%d %B %Y}."
    )


def put(page: str, name: str, text: str) -> str:
    """The page with this text between its markers."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(put(page, "evidence", table()), "machine", machine()), encoding="utf-8")
    sys.stdout.write(table() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
