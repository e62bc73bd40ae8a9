"""Fuzz every decoder: `python -m tests.fuzz [TARGET ...] [--minutes 10] [--seed N] [--json FILE]`; FILE reruns one."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

import msgspec

from tests.crash.stores import say
from tests.fuzz.loop import Row, limit_memory, run
from tests.fuzz.registry import NAMES, targets, trial

SAVED = Path(".cache/fuzz")


def main() -> int:
    """1 when any input did what none may."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help=f"some of: {', '.join(NAMES)}; or a saved input, to run it again")
    parser.add_argument("--minutes", type=float, default=1.0, help="in all, shared between the targets")
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="at most so many for each target")
    parser.add_argument("--seed", type=int, default=None, help="the same seed tries the same inputs")
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    given = parser.parse_args()
    saved = [Path(name) for name in given.target if name not in NAMES]
    if saved:
        return _again(saved)
    seed = secrets.randbits(32) if given.seed is None else given.seed
    say(f"seed {seed}")
    names = given.target or NAMES
    say(f"{'decoder':<20}{'inputs':>10}{'refused':>10}{'read':>10}{'crashes':>9}{'hangs':>7}{'lies':>6}")
    known = targets()
    limit_memory()
    rows: list[Row] = []
    for name in names:
        row = run(known[name], seconds=given.minutes * 60 / len(names), inputs=given.inputs, seed=seed, save=SAVED)
        rows.append(row)
        counts = f"{row.tried:>10}{row.refused:>10}{row.accepted:>10}{row.crashes:>9}{row.hangs:>7}{row.lies:>6}"
        say(f"{name:<20}{counts}")
        for told in row.failures:
            say(f"    {told}")
    failed = sum(row.crashes + row.hangs + row.lies for row in rows)
    say(f"{sum(row.tried for row in rows)} inputs, {failed} failures")
    if given.json:
        report = {"seed": seed, "minutes": given.minutes, "decoders": rows}
        Path(given.json).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 1 if failed else 0


def _again(paths: list[Path]) -> int:
    """Run saved inputs, each named by its target's folder."""
    failed = 0
    for path in paths:
        one = trial(path.parent.name)
        signed = one.target.sign is not None or not one.target.sealed
        failure = one(path.read_bytes(), signed=signed)
        say(f"{path}: {'fine' if failure is None else f'{failure.kind}: {failure.told}'}")
        failed += failure is not None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
