"""What a seeded bug is: one place of the source, changed so that one promise no longer holds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Mutant(NamedTuple):
    """In `file` (below `src/walnut`) `old` becomes `new`, and each pair of `more` likewise.

    `test` (pytest arguments) must fail. `promise` holds the ids of what is broken, `breaks` says how, as a user would
    be hurt by it. `hangs`: somebody waits for ever, so that the test fails by its time limit.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    promise: str = ""
    breaks: str = ""
    more: tuple[tuple[str, str], ...] = ()
    hangs: bool = False


class Stale(Exception):
    """The source has changed: a bug can't be seeded as it is written down."""


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """The file with the bug in it; Stale unless each text to replace is there exactly once."""
    path = root / "src" / "walnut" / mutant.file
    if not path.is_file():
        raise Stale(f"{mutant.name}: there is no src/walnut/{mutant.file}")
    source = path.read_text(encoding="utf-8")
    for old, new in ((mutant.old, mutant.new), *mutant.more):
        if source.count(old) != 1:
            raise Stale(f"{mutant.name}: src/walnut/{mutant.file} has it {source.count(old)} times, not once:\n{old}")
        source = source.replace(old, new)
    try:
        compile(source, mutant.file, "exec")
    except SyntaxError as error:
        raise Stale(f"{mutant.name}: what src/walnut/{mutant.file} becomes is no Python: {error}") from None
    return source
