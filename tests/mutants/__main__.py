"""Run every seeded bug, or those whose names are given: `python -m tests.mutants [name …]`."""

from __future__ import annotations

import sys

from tests.mutants.catalogue import MUTANTS
from tests.mutants.runner import caught


def main() -> int:
    """Exit code 1 when a seeded bug is not caught."""
    wanted = sys.argv[1:]
    missed = 0
    for mutant in MUTANTS:
        if wanted and mutant.name not in wanted:
            continue
        found = caught(mutant)
        missed += not found
        sys.stdout.write(f"{'caught' if found else 'MISSED'}  {mutant.name}\n")
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
