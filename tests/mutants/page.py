"""The page of the documentation that lists the seeded bugs, made from the catalogue."""

from __future__ import annotations

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Mutant
from tests.promises import PROMISES

PAGE = ROOT / "docs" / "reference" / "seeded-bugs.md"

_HEAD = """# Seeded bugs

A test that can't fail shows nothing. So each of the {count} bugs below was put into Walnut on purpose: one place of
the source is changed so that one promise no longer holds, and the test named beside it must fail. Where none did, one
was written.

| command | does |
| --- | --- |
| `make mutants` | seeds every bug, each in a copy of the tree in a temporary folder, and runs its test there |
| `.venv/bin/python -m tests.mutants ack-before-the-sync` | the same for one bug, or for several |
| `.venv/bin/python -m tests.mutants --list` | tells them |

A bug counts as caught when its test passes without it and fails with it: not because the changed code could not run,
and not by a time limit, but for those few bugs whose harm is that somebody waits for ever. Each `make test` tries a
few, and checks that the source still has every place that is to be changed. The bugs are written down in
`tests/mutants/bugs`; this page is made from them.
"""

_COLUMNS = "| bug | what it does | breaks | file | caught by |\n| --- | --- | --- | --- | --- |\n"
_TITLES = {
    "log": "The log",
    "views": "The views",
    "engine": "Requests",
    "recall": "Recall",
    "reactors": "Embedders",
    "undo": "Undo",
    "model": "Scopes",
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD.format(count=len(MUTANTS))]
    for folder, title in _TITLES.items():
        found = [mutant for mutant in MUTANTS if mutant.file.partition("/")[0] == folder]
        parts.append(
            f"\n## {title}\n\n| bug | what it does | breaks | file | caught by |\n| --- | --- | --- | --- | --- |\n"
        )
        parts += [_row(mutant) for mutant in found]
    named = {each for mutant in MUTANTS for each in mutant.promise.split()}
    parts.append("\n## The promises they break\n\n| promise | says |\n| --- | --- |\n")
    parts += [f"| {each} | {says} |\n" for each, says in PROMISES.items() if each in named]
    return "".join(parts)


def _row(mutant: Mutant) -> str:
    nodes = [word for word in mutant.test.split() if "::" in word]
    tests = "<br>".join(f"`{node.rpartition('::')[2]}`" for node in nodes)
    cells = (f"`{mutant.name}`", mutant.breaks, mutant.promise, f"`{mutant.file}`", tests)
    return f"| {' | '.join(cells)} |\n"
