"""`python -m bench [row ...] [--quick] [--full] [--json] [--write]`: measure, and say what was reached."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

import walnut
from bench import compared, comparison, concurrent, process, reading, report, sizes, writing
from bench.contenders import CONTENDERS
from bench.figure import Figure
from bench.findings import Comparison
from bench.ground import ROOT, Ground
from bench.machine import machine, versions

ROWS: dict[str, Callable[[Ground], Iterator[Figure]]] = {
    "remember": writing.remember,
    "append": writing.append,
    "concurrent": concurrent.concurrent,
    "slow": concurrent.slow_disk,
    "many": writing.many,
    "processes": concurrent.processes,
    "software": writing.software,
    "interpreted": writing.interpreted,
    "process": process.process,
    "scan": reading.scan,
    "replay": reading.replay,
    "reopen": reading.reopen,
    "recall": reading.recall,
    "bytes": sizes.bytes_per_event,
    "files": sizes.files,
    "create": sizes.create,
    "start": sizes.start,
}


#: The last run, for programs and to write it into the pages again.
LAST = compared.RESULTS / "last.json"


def main(words: Sequence[str] | None = None) -> int:
    """Run the rows asked for (all), print the table; 0 whatever it says, 1 when a row failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Walnut beside peers.")
    parser.add_argument("row", nargs="*", help="of " + ", ".join([*ROWS, *comparison.ROWS]) + " (all)")
    parser.add_argument("--only", action="append", default=[], help="compare only this one; again for more")
    parser.add_argument("--again", action="store_true", help="show and write the last run again; measures nothing")
    parser.add_argument("--quick", action="store_true", help="a trial of the rows themselves; its figures mean nothing")
    parser.add_argument("--full", action="store_true", help="reopen a million events (minutes, and some GiB)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    asked = parser.parse_args(words)
    unknown = [row for row in asked.row if row not in ROWS and row not in comparison.ROWS]
    unknown += [name for name in asked.only if name not in {each.name for each in CONTENDERS}]
    if unknown:
        parser.error(f"no row or contender {', '.join(unknown)}")
    if asked.again:
        run = msgspec.json.decode(LAST.read_bytes(), type=report.Run)
    else:
        rows = asked.row or [*ROWS, *comparison.ROWS]
        run = _measure(rows, quick=asked.quick, full=asked.full, only=frozenset(asked.only))
    print(report.as_json(run) if asked.json else report.table(run))
    if not asked.quick:
        LAST.parent.mkdir(exist_ok=True)
        LAST.write_bytes(msgspec.json.encode(run))
    if run.compared.versions and not asked.quick:
        print(compared.draw(run.compared, run.machine, write=asked.write), file=sys.stderr)
    if asked.write:
        report.write_pages(run)
    return 1 if any(figure.note.startswith("failed: ") for figure in run.figures) else 0


def _measure(rows: Sequence[str], *, quick: bool, full: bool, only: frozenset[str]) -> report.Run:
    # Beside the code, not in the system's temporary folder: that may be another file system, or memory.
    parent = ROOT / ".cache"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    folder.chmod(0o755)  # a peer may run under another account
    started, load = time.monotonic(), os.getloadavg()[0]
    try:
        ground = Ground(folder, quick=quick, full=full, only=only)
        figures: list[Figure] = []
        for row in rows:
            if row in ROWS:
                figures += _row(row, ground)
        compared_rows = [row for row in rows if row in comparison.ROWS]
        found = comparison.compare(ground, compared_rows) if compared_rows else Comparison()
        how = "quick trial, the figures mean nothing" if quick else "full" if full else "usual"
        settings = (
            f"limit in {ground.limit.language}, medians of {ground.pairs} turns of {ground.seconds:g} s, "
            f"{time.monotonic() - started:.0f} s in all ({how}), "
            f"load of the machine before {load:.1f}, after {os.getloadavg()[0]:.1f}"
        )
        about = machine(folder)
        return report.Run(machine=about, versions=versions(), settings=settings, figures=tuple(figures), compared=found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _row(row: str, ground: Ground) -> list[Figure]:
    """Its figures; one that fails is said to have, and the others go on."""
    begun = time.monotonic()
    try:
        return list(ROWS[row](ground))
    except (subprocess.SubprocessError, walnut.WalnutError, OSError) as error:
        print(f"{row}: {error}", file=sys.stderr)
        return [Figure(row=row, name=row, value=None, unit="", note=f"failed: {type(error).__name__}")]
    finally:
        print(f"{row}: {time.monotonic() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    # Ended from outside it still ends its children and removes what it made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
