"""The command line: `walnut VERB`, one file per group of verbs, imported when its verb is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` (None: the process's) is without the program's name."""
    from walnut.cli.app import run

    return run(list(sys.argv[1:] if argv is None else argv))
