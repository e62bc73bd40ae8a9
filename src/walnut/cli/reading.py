"""Verbs that read memories: recall, context, get, list, history, why."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from walnut.cli import options
from walnut.cli.exits import NOTHING, OK
from walnut.cli.screen import Screen, moment
from walnut.cli.trees import draw_steps
from walnut.cli.verb import Verb
from walnut.errors import NotFound
from walnut.model.results import Hit, MemoryRecord, Related, Version


def _search_arguments(parser: argparse.ArgumentParser, *, k: int | None) -> None:
    parser.add_argument("query", metavar="QUERY", nargs="+", help="what to look for; any text will do")
    parser.add_argument("-k", metavar="N", type=options.whole, default=k,
                        help=f"at most so many hits ({k or 'as many as the budget could hold'})")  # fmt: skip
    parser.add_argument("--mode", choices=("hybrid", "keyword", "vector", "recent"), default="hybrid", help="hybrid "
                        "(default), keyword, vector, or recent: the newest that match")  # fmt: skip
    options.add_filters(parser)
    options.add_moment(parser)


def _recall_arguments(parser: argparse.ArgumentParser) -> None:
    _search_arguments(parser, k=10)
    parser.add_argument("--explain", action="store_true", help="show the parts that sum to each score")


def _recall(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        hits = options.at_moment(memory, args).recall(
            " ".join(args.query),
            k=args.k,
            mode=args.mode,
            tags=args.tag,
            since=args.since,
            until=args.until,
            min_confidence=args.min_confidence,
            below=args.below,
            explain=args.explain,
        )
    if screen.json:
        screen.document(hits)
    else:
        for hit in hits:
            said = f"said {hit.said} times" if hit.said > 1 else ""
            screen.card(f"{hit.score:.3f}", hit.text, [*_foot(hit), said])
            _show_related(screen, "from", hit.evidence)
            _show_related(screen, "led to", hit.facts)
            _show_related(screen, "but", hit.conflicts)
            _show_parts(screen, hit)
        _or_nothing(screen, found=bool(hits))
    return OK if hits else NOTHING


def _show_related(screen: Screen, how: str, events: Sequence[Related]) -> None:
    for event in events:
        said = f"({event.state})" if event.text is None else event.text
        screen.card(" " * 5, f"{how} [{event.event_id}] {said}", [moment(event.occurred_at) if event.text else ""])


def _show_parts(screen: Screen, hit: Hit) -> None:
    for part in hit.parts:
        detail = f"  {part.detail}" if part.detail else ""
        screen.line(f"       {part.value:+.3f} {part.name}{detail}")


def _or_nothing(screen: Screen, *, found: bool) -> None:
    if not found:
        screen.line("nothing found")


def _foot(record: MemoryRecord) -> list[str]:
    source = record.source or {}
    place = [str(source[name]) for name in ("channel", "conversation_id", "session", "speaker") if name in source]
    return [
        record.memory_id,
        moment(record.occurred_at),
        record.actor,
        " ".join(place),
        ", ".join(record.tags),
        "" if record.key is None else f"key {record.key}",
    ]


def _context_arguments(parser: argparse.ArgumentParser) -> None:
    _search_arguments(parser, k=None)
    parser.add_argument("--budget", metavar="TOKENS", type=options.whole, default=1500, help="at most so many (1500)")
    parser.add_argument("--order", choices=("relevance", "time"), default="relevance", help="relevance: best first "
                        "(default); time: by day, as the conversation went")  # fmt: skip
    parser.add_argument("--neighbours", metavar="N", type=options.whole, default=0,
                        help="turns before and after each hit, of its session (0)")  # fmt: skip


def _context(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        context = options.at_moment(memory, args).context(
            " ".join(args.query),
            budget=args.budget,
            order=args.order,
            neighbours=args.neighbours,
            k=args.k,
            mode=args.mode,
            tags=args.tag,
            since=args.since,
            until=args.until,
            min_confidence=args.min_confidence,
            below=args.below,
        )
    if screen.json:
        screen.document(context)
    elif context.hits:
        screen.raw(context.text)
    else:
        _or_nothing(screen, found=bool(context.left_out))
    if context.left_out and not screen.json:
        fitting = "" if context.hits else f"nothing fits a budget of {context.budget}; "
        screen.aside(f"{fitting}left out: {context.because}")
    return OK if context.hits else NOTHING


def _get_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_memory(parser)
    parser.add_argument("--text", action="store_true", help="print its text alone, as it was given")
    options.add_moment(parser)


def _get(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        reader = options.at_moment(memory, args)
        by_key = args.key is not None and args.memory_id is None
        record = reader.get(key=args.key) if by_key else reader.get(options.memory_id(reader, args))
    if screen.json:
        screen.document(record)
    elif args.text:
        screen.raw(record.text)
    else:
        screen.raw(record.text)
        screen.line()
        screen.facts(_fields(record))
    return OK


def _fields(record: MemoryRecord) -> list[tuple[str, object]]:
    source = " ".join(f"{name}={value}" for name, value in (record.source or {}).items())
    return [
        ("memory_id", record.memory_id),
        ("version", record.version),
        ("event", f"{record.event_id} (LSN {record.lsn})"),
        ("key", record.key),
        ("scope", record.scope),
        ("actor", record.actor),
        ("tags", ", ".join(record.tags)),
        ("confidence", record.confidence),
        ("source", source),
        ("subject", record.subject),
        ("data", record.data),
        ("occurred_at", moment(record.occurred_at)),
        ("recorded_at", moment(record.recorded_at)),
        ("valid_from", moment(record.valid_from)),
        ("valid_until", record.valid_until and moment(record.valid_until)),
        ("expires_at", record.expires_at and moment(record.expires_at)),
        ("caused_by", ", ".join(map(str, record.caused_by))),
    ]


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="N", type=options.whole, default=50, help="at most so many (50)")
    parser.add_argument("--cursor", help="go on where the last page ended")
    options.add_filters(parser)
    options.add_moment(parser)


def _list(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        page = options.at_moment(memory, args).list(
            limit=args.limit,
            cursor=args.cursor,
            tags=args.tag,
            since=args.since,
            until=args.until,
            min_confidence=args.min_confidence,
            below=args.below,
        )
    if screen.json:
        screen.document(page)
    else:
        for record in page.items:
            screen.card("•", record.text, _foot(record), lines=2)
        _or_nothing(screen, found=bool(page.items))
        if page.cursor is not None:
            screen.line(screen.paint(f"more: --cursor {page.cursor}", "dim"))
    return OK if page.items else NOTHING


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_memory(parser)
    options.add_moment(parser)


def _history(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        reader = options.at_moment(memory, args)
        options.one_of(args)
        versions = reader.history(args.memory_id, key=args.key)
    if screen.json:
        screen.document(versions)
    else:
        rows = [_version_row(version) for version in versions]
        screen.table(
            ("LSN", "RECORDED", "WHAT", "STATE", "VALID FROM", "ACTOR", "TEXT"), rows, spare=("ACTOR", "VALID FROM")
        )
    return OK


def _version_row(version: Version) -> tuple[object, ...]:
    memory = version.memory
    begins = None if memory is None else f"{memory.valid_from:%Y-%m-%d}"
    what = version.kind.removeprefix("memory.")
    text = None if memory is None else memory.text
    return (version.lsn, moment(version.recorded_at), what, version.state, begins, version.actor, text)


def _why_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("memory_id", metavar="ID", nargs="?", help="mem_…, evt_… or an LSN, as other commands print it")
    parser.add_argument("--key", help="the key it was remembered with, instead of its id")
    parser.add_argument("--influenced", action="store_true", help="what it led to, instead of what it rests on")
    options.add_moment(parser)


def _why(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        reader = options.at_moment(memory, args)
        what = options.memory_id(reader, args)
        try:
            explanation = reader.why(options.event(what), direction="influenced" if args.influenced else "from")
        except NotFound as error:
            error.where = "ID"
            raise
    if screen.json:
        screen.document(explanation)
    else:
        draw_steps(screen, explanation.root)
    return OK


_SEEN = """Which memories were shown is noted in the log with the next write or at the end of the command: an undo
        lists what was written after a bad memory was shown."""

VERBS = {
    "recall": Verb(
        "recall",
        f"""Search the scope and its ancestors, best hits first. Ends with 1 when nothing is found.

        {_SEEN}""",
        (
            "walnut recall which export format",
            "walnut recall invoice -k 3 --explain",
            "walnut recall invoice --as-of lsn:2 --json",
            "walnut recall where she lives --valid-at 2026-06-01",
        ),
        _recall_arguments,
        _recall,
    ),
    "context": Verb(
        "context",
        f"""Print what is known about a question as text for a prompt, with citations, within a budget of tokens
        (estimated on the safe side). How many memories were left out, and why, is told on standard error.

        {_SEEN}""",
        (
            'walnut context "prepare the invoice" --budget 500',
            "walnut context which export format --order time --neighbours 1 --json",
        ),
        _context_arguments,
        _context,
    ),
    "get": Verb(
        "get",
        """Show one memory as it is now, or as it was. Of several scopes with the same key, the nearest counts.""",
        ("walnut get --key city", "walnut get --key invoice-format --text", "walnut get --key city --as-of lsn:4"),
        _get_arguments,
        _get,
    ),
    "list": Verb(
        "list",
        """Show the memories of the scope and its ancestors, newest first, page by page.""",
        ("walnut list --limit 5", "walnut list --tag preference --json"),
        _list_arguments,
        _list,
    ),
    "history": Verb(
        "history",
        """Show every version of a memory, every forget and every undo that touched it, oldest first.""",
        ("walnut history --key city", "walnut history --key city --json"),
        _history_arguments,
        _history,
    ),
    "why": Verb(
        "why",
        """Explain a memory: the chain of evidence down to the events it rests on, or with --influenced what it led
        to. What lies outside the scope shows as a stub.""",
        ("walnut why --key invoice-format", "walnut why --key invoice-format --influenced --json"),
        _why_arguments,
        _why,
    ),
}
