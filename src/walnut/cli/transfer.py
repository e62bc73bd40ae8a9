"""Verbs that move memories between files and stores: import, export."""

from __future__ import annotations

import argparse
import sys

from walnut.cli import options
from walnut.cli.exits import OK
from walnut.cli.progress import Progress
from walnut.cli.screen import Screen
from walnut.cli.upkeep import size
from walnut.cli.verb import Verb
from walnut.interchange.report import ImportReport, Left
from walnut.model.words import counted

_FORMATS = ("jsonl", "chat", "markdown", "mcp", "walnut")


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", help="the file to take in; - reads standard input")
    add("--format", choices=_FORMATS, help=f"what it is, instead of a guess: {', '.join(_FORMATS)}")
    add("--skip-bad", action="store_true", help="leave out lines that are not understood, instead of refusing the file")
    add("--assume-utc", action="store_true", help="take times without a zone as UTC")


def _import(args: argparse.Namespace, screen: Screen) -> int:
    from walnut.interchange import import_file
    from walnut.interchange.source import Source

    stream = sys.stdin.buffer if args.file == "-" else None
    if stream is None:
        Source(args.file).close()  # a missing file is no reason to make a store
    with options.open_store(args, create=True) as memory, Progress("import") as progress:
        report = import_file(
            memory,
            args.file if stream is None else "stdin",
            format=args.format,
            skip_bad=args.skip_bad,
            assume_utc=args.assume_utc,
            stream=stream,
            progress=progress,
        )
    screen.document(report) if screen.json else _tell(screen, report)
    return OK


def _tell(screen: Screen, report: ImportReport) -> None:
    found = ", ".join(_held(count, kind) for kind, count in report.found.items()) or "nothing"
    screen.line(f"{report.file}: {report.format}, holds {found}")
    kept = ", with its LSNs, ids and times" if report.adopted and report.written else ""
    screen.line(f"{screen.paint(f'{report.written:,} written', 'green')}{kept}, {report.already:,} were there already")
    _tell_left(screen, "skipped", report.unit, report.skipped, report.skipped_count)
    _tell_left(screen, "not understood", report.unit, report.bad, report.bad_count)


def _held(count: int, kind: str) -> str:
    """Kinds are plurals, or kinds of events.

    >>> _held(1, "memories"), _held(1, "notes"), _held(2, "notes"), _held(1, "memory.write")
    ('1 memory', '1 note', '2 notes', '1 memory.write')
    """
    one = f"{kind[:-3]}y" if kind.endswith("ies") else kind.removesuffix("s")
    return f"{count:,} {kind if count != 1 or '.' in kind else one}"


def _tell_left(screen: Screen, title: str, unit: str, left: tuple[Left, ...], count: int) -> None:
    if count:
        screen.line(f"{count:,} {title}:")
    for each in left[:10]:
        screen.line(f"  {unit} {each.number}: {each.reason}")
    if count > 10:
        screen.line(f"  and {count - 10:,} more")


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="the file to write; - (default) prints it")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def _export(args: argparse.Namespace, screen: Screen) -> int:
    from walnut.interchange import export_file
    from walnut.interchange.exporting import export_lines

    with options.open_store(args) as memory, Progress("export") as progress:
        if args.file == "-":
            for line in export_lines(memory, progress=progress):
                screen.out.write(line.decode())
            return OK
        try:
            report = export_file(memory, args.file, force=args.force, progress=progress)
        except OSError as error:
            error.filename = error.filename or args.file  # a full disk names no file
            raise
    if screen.json:
        screen.document(report)
    else:
        whole = "the whole store, with its secret" if report.whole else f"scope {report.scope} and below"
        screen.line(f"{report.file}: {counted(report.events, 'event')}, {size(report.bytes_written)}, {whole}")
    return OK


VERBS = {
    "import": Verb(
        "import",
        """Take in a file and say what was taken: generic JSONL (objects with text or content), lists of chat messages
        (role and content, as JSON or JSONL), Markdown memory files (CLAUDE.md, MEMORY.md), the memory file of the MCP
        reference server, or an export of Walnut. The store is made if there is none.

        The file is checked whole before anything is written: lines that are not understood refuse it, unless
        --skip-bad. Importing it again adds nothing twice, also after half of it was written.

        An export of a whole store makes an empty store the same store, with its LSNs, ids and times, at --scope
        global; any other store appends its events under new LSNs.""",
        (
            "walnut import MEMORY.md",
            "walnut import chat.jsonl --json",
            "cat notes.jsonl | walnut import - --format jsonl",
        ),
        _import_arguments,
        _import,
    ),
    "export": Verb(
        "export",
        """Write every event of the scope and below as lines of JSON, which import to equal views. At --scope global it
        is the whole store with the secret that its hashes are keyed with: keep that file as you keep the store.

        The file appears complete or not at all, readable by its owner only.""",
        (
            "walnut export --scope global backup.jsonl",
            "walnut export --scope global --force backup.jsonl --json",
            "walnut import backup.jsonl --scope global --store copy",
            "walnut export > everything.jsonl",
        ),
        _export_arguments,
        _export,
    ),
}
