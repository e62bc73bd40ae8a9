"""Seed each bug, or those whose names are given, and run its test: `python -m tests.mutants [name …]`.

Exit code 1 when a bug is not caught, or a test fails without any bug.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Stale
from tests.mutants.page import PAGE, page
from tests.mutants.runner import Outcome, run, sound


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Seed bugs; each must be caught.")
    parser.add_argument("names", nargs="*", metavar="name", help="bugs to seed; all when none is named")
    parser.add_argument("--list", action="store_true", help="tell the bugs, seed none")
    parser.add_argument("--page", action="store_true", help="write the page of the documentation, seed none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there, too")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    parser.add_argument("--trust", action="store_true", help="don't run the tests without any bug first")
    asked = parser.parse_args(arguments)
    if asked.page:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    unknown = {*asked.names} - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no bug is called {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in MUTANTS if not asked.names or mutant.name in asked.names]
    if asked.list:
        sys.stdout.writelines(f"{mutant.name:60} {mutant.promise:8} {mutant.breaks}\n" for mutant in chosen)
        return 0
    return _run(chosen, jobs=asked.jobs, trust=asked.trust, file=asked.json)


def _run(chosen: Sequence[Mutant], *, jobs: int, trust: bool, file: Path | None) -> int:
    found: list[dict[str, object]] = []
    with ThreadPoolExecutor(jobs) as pool:
        tests = [] if trust else list(dict.fromkeys(mutant.test for mutant in chosen))
        broken = [test for test, outcome in zip(tests, pool.map(sound, tests), strict=True) if outcome.caught]
        for mutant, outcome in zip(chosen, pool.map(_one, chosen), strict=True):
            true = outcome
            if mutant.test in broken:
                true = outcome._replace(caught=False, by=(), why="its test fails without it, too")
            sys.stdout.write(_line(mutant, true))
            sys.stdout.flush()
            found.append({**mutant._asdict(), **true._asdict(), "seconds": round(true.seconds, 1)})
    missed = sum(not each["caught"] for each in found)
    sys.stdout.write(f"{len(found)} seeded bugs, {len(found) - missed} caught\n")
    if file is not None:
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if missed else 0


def _one(mutant: Mutant) -> Outcome:
    try:
        return run(mutant)
    except Stale as error:
        return Outcome(caught=False, by=(), seconds=0, why=str(error))


def _line(mutant: Mutant, outcome: Outcome) -> str:
    verdict = "caught" if outcome.caught else "MISSED"
    told = ", ".join(outcome.by) if outcome.caught else outcome.why
    return f"{verdict}  {outcome.seconds:5.1f} s  {mutant.promise:8} {mutant.name}\n        {mutant.file}: {told}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
