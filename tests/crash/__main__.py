"""Do real harm to real processes, files and file systems, and count what came of it: `python -m tests.crash`.

`python -m tests.crash [fault …] [--rounds N] [--json FILE]`: all faults in their long forms, or those named, each tried
N times. Ends with a table; exit code 1 when anything was lost, silently wrong, or otherwise not as it must be.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.crash import full, mounts, outage, refusals, rot, storm
from tests.crash.tally import Tally, table

#: Each fault: how often it is tried, and what tries it so often.
FAULTS: dict[str, tuple[int, Callable[[int], Tally]]] = {
    "storm": (500, lambda rounds: storm.run(rounds=rounds)),
    "power": (500, lambda rounds: outage.run(images=rounds)),
    "power-writeback": (200, lambda rounds: outage.run(images=rounds, kind="ext4 data=writeback")),
    "power-xfs": (100, lambda rounds: outage.run(images=rounds, kind="xfs")),
    "power-btrfs": (100, lambda rounds: outage.run(images=rounds, kind="btrfs")),
    "failing-disk": (300, lambda rounds: outage.run(images=rounds, failing=True)),
    "rot": (5000, lambda rounds: rot.run(rounds=rounds)),
    "full": (100, lambda rounds: full.run(rounds=rounds)),
    "refusals": (1000, lambda rounds: refusals.run(rounds=rounds)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Try faults and count what is lost.")
    parser.add_argument("fault", nargs="*", choices=[[], *FAULTS], help=", ".join(FAULTS))
    parser.add_argument("--rounds", type=int, help="how often to try each, instead of its long form")
    parser.add_argument("--json", type=Path, help="write the counts there, too")
    args = parser.parse_args()
    mounts.own_namespace()
    tallies = []
    for name in args.fault or FAULTS:
        rounds, work = FAULTS[name]
        tallies.append(work(args.rounds or rounds))
        if args.json:
            args.json.write_bytes(msgspec.json.format(msgspec.json.encode(tallies)) + b"\n")
    sys.stdout.write(f"{platform.platform()}, Python {platform.python_version()}\n{table(tallies)}\n")
    return int(any(each.lost or each.silent or each.problems for each in tallies))


if __name__ == "__main__":
    sys.exit(main())
