"""The reference page of the command line, made from the help of every verb.

`python -m walnut.cli.reference docs/reference/cli.md` writes it; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from walnut.cli.app import make_parser, overview
from walnut.cli.exits import MEANING
from walnut.cli.registry import VERBS

_TITLE = """# The command line

<!-- Made from the program itself: python -m walnut.cli.reference docs/reference/cli.md -->

`walnut VERB [OPTIONS]`. Every verb takes `--store`, `--scope`, `--actor` and `--json`, before or after its name.

The store is the folder named by `--store`, else by the variable `WALNUT_STORE`, else `./memory`; scope and actor
likewise by `WALNUT_SCOPE` (else `user:default`) and `WALNUT_ACTOR` (else `agent:default`). `remember`, `import` and
`mcp` make a store that is missing; every other verb refuses, and makes nothing.

Times are ISO 8601 with a zone (`2026-02-01T12:00:00Z`) or a bare date (00:00 UTC); one without a zone is refused.
`--as-of lsn:42` names a moment of the log exactly.

With `--json` each verb prints one JSON document with the field names of the Python results (`log` and `export`: JSON
lines). Colour and cut lines appear on a terminal only; `NO_COLOR` turns colour off. On a terminal, control characters
in what others wrote are shown, never sent.

An error is one line on standard error: `walnut: what happened [code at place] what to do`. Its code is one of
[these](errors.md), or of the command's own: `usage` (a word or option it does not understand), `os_error` (a file named
there can't be read or written), `not_installed` (an extra is missing), `interrupted`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_parts())


def _parts() -> Iterator[str]:
    yield _TITLE
    yield "## Exit codes\n"
    yield "| code | meaning |\n| --- | --- |"
    for code, meaning in MEANING.items():
        yield f"| {code} | {meaning} |"
    yield "\n## Verbs\n"
    yield f"```text\n{overview()}```\n"
    for name, entry in VERBS.items():
        yield f"### walnut {name}\n"
        yield f"{entry.summary[0].upper()}{entry.summary[1:]}.\n"
        yield f"```text\n{make_parser(name).format_help()}```\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
