"""Verbs that write single memories: remember, forget."""

from __future__ import annotations

import argparse
import sys

from walnut.cli import options
from walnut.cli.exits import OK, Usage
from walnut.cli.screen import Screen
from walnut.cli.verb import Verb
from walnut.model.results import Ack


def _remember_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("text", metavar="TEXT", nargs="*", help="what to remember; `-`, or nothing, reads it from standard input")
    add("--key", help="a name of its own: the same key again is a new version of the same memory")
    add("--memory-id", metavar="ID", help="write a new version of this memory")
    add("--tag", action="append", default=[], help="a label; may be given several times")
    add("--confidence", metavar="X", type=options.number, help="how sure it is, 0 to 1")
    add("--ttl", help="how long it lives: a whole number and s, m, h, d or w, as in 90d")
    add("--data", metavar="JSON", help="anything that belongs to it")
    add("--source", metavar="KEY=VALUE", action="append", default=[], help="where it comes from; KEY:=JSON for numbers")
    add("--subject", help="whose personal data it is")
    add("--occurred-at", metavar="WHEN", help="when it happened: 2026-02-01, or 2026-02-01T12:00:00Z")
    add("--valid-from", metavar="WHEN", help="since when it is true (else: since it occurred)")
    add("--valid-until", metavar="WHEN", help="until when it is true")
    add("--caused-by", metavar="ID", action="append", default=[], help="what it was derived from: an LSN or an id")
    add("--idempotency-key", metavar="KEY", help="the same key with the same arguments writes once")
    add("--expected-version", metavar="N", type=options.whole, help="refuse if it changed since; 0: must not exist")
    add("--durability", choices=("disk", "process"), help="disk (default), or process: in the operating system only")


def _text(words: list[str]) -> str:
    if words and words != ["-"]:
        return " ".join(words)
    if not words and sys.stdin.isatty():
        raise Usage("no text", where="walnut remember", hint='walnut remember "Prefers CSV exports"')
    try:
        return sys.stdin.read().strip()
    except UnicodeDecodeError:
        raise Usage("standard input is not UTF-8", where="TEXT") from None


def _remember(args: argparse.Namespace, screen: Screen) -> int:
    text = _text(args.text)
    data = None if args.data is None else options.json_value(args.data, where="--data")
    source = options.source(args.source)
    with options.open_store(args, create=True) as memory:
        ack = memory.remember(
            text,
            key=args.key,
            memory_id=args.memory_id,
            tags=args.tag,
            confidence=args.confidence,
            ttl=args.ttl,
            data=data,
            source=source,
            subject=args.subject,
            occurred_at=args.occurred_at,
            valid_from=args.valid_from,
            valid_until=args.valid_until,
            caused_by=[options.event(each) for each in args.caused_by],
            idempotency_key=args.idempotency_key,
            expected_version=args.expected_version,
            durability=args.durability,
        )
    tell(screen, "already remembered" if ack.replayed else "remembered", ack)
    return OK


def tell(screen: Screen, done: str, ack: Ack) -> None:
    """Print an ack."""
    if screen.json:
        screen.document(ack)
        return
    reached = "on disk" if ack.durability == "disk" else "in the operating system"
    since = ", since undone" if ack.reverted else ""
    what = f" {ack.memory_id}" if ack.memory_id else ""
    screen.line(f"{screen.paint(done, 'green')}{what} [{ack.event_id}] as LSN {ack.lsn}, {reached}{since}")


def _forget_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_memory(parser)
    parser.add_argument(
        "--expected-version", metavar="N", type=options.whole, help="refuse if it changed after this version"
    )


def _forget(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        memory_id = options.memory_id(memory, args)
        ack = memory.forget(memory_id, expected_version=args.expected_version)
    tell(screen, "forgotten", ack)
    return OK


VERBS = {
    "remember": Verb(
        "remember",
        """Store a memory in the scope and return when it is on disk. The store is made if there is none.

        Without --key or --memory-id it is always a new memory; with one it is a new version, which inherits no
        field from the old one.""",
        (
            'walnut remember "Prefers CSV exports; PDF invoices cause delays" --tag preference --confidence 0.8',
            'walnut remember "The invoice goes out as CSV" --key invoice-format --source conversation_id=c1',
            "echo 'Lives in Paris' | walnut remember - --key city --valid-from 2026-02-01",
            'walnut remember "Call back on Monday" --ttl 7d --idempotency-key telegram:m7 --json',
        ),
        _remember_arguments,
        _remember,
    ),
    "forget": Verb(
        "forget",
        """Retract a memory: it is no longer found, its history stays, and `walnut revert` brings it back.""",
        ("walnut forget --key city", "walnut revert --kind memory.delete --dry-run"),
        _forget_arguments,
        _forget,
    ),
}
