"""The verb that shows the log: log."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterable, Iterator

from walnut.cli import options
from walnut.cli.exits import NOTHING, OK
from walnut.cli.screen import Screen, cells, clip, moment, one_line
from walnut.cli.verb import Verb
from walnut.model.event import Event
from walnut.model.times import from_ns
from walnut.model.words import counted

#: A terminal with fewer columns shows no actors.
_ROOMY = 80


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--after", metavar="LSN", type=options.whole, default=0, help="only what comes after this LSN")
    add("--upto", metavar="LSN", type=options.whole, help="only up to this LSN")
    add("--kind", action="append", default=[], help="only this kind of event; may be given several times")
    add("--last", "-n", metavar="N", type=options.whole, help="only the last N of them")
    add("--follow", "-f", action="store_true", help="go on as events come, from any process, until Ctrl-C")
    add("--timeout", metavar="SECONDS", type=options.number, help="with --follow: end when none came for so long")


def _log(args: argparse.Namespace, screen: Screen) -> int:
    count = 0
    with options.open_store(args) as memory:
        newest = memory.log.durable_lsn
        upto = newest if args.upto is None else args.upto
        found: Iterable[Event] = _of_kind(memory.log.read(after=args.after, upto=upto), args.kind)
        if args.last is not None:
            found = deque(found, maxlen=args.last)
        for event in found:
            _show(screen, event, first=not count)
            count += 1
        if args.follow:
            screen.flush()
            for event in _of_kind(memory.log.tail(after=max(args.after, newest), timeout=args.timeout), args.kind):
                _show(screen, event, first=not count)
                screen.flush()
                count += 1
    return OK if count or args.follow else NOTHING


def _of_kind(events: Iterable[Event], kinds: list[str]) -> Iterator[Event]:
    return (event for event in events if not kinds or event.kind in kinds)


def _show(screen: Screen, event: Event, *, first: bool) -> None:
    if screen.json:
        screen.document(as_json(event))
        return
    roomy = not screen.terminal or screen.width >= _ROOMY
    if first:
        who = f"{'ACTOR':<16}  " if roomy else ""
        screen.line(screen.paint(f"{'LSN':>6}  {'RECORDED':<17}  {'KIND':<16}  {who}WHAT", "bold"))
    actor = "" if event.content is None else clip(one_line(event.content.actor), 16)
    who = actor + " " * (18 - cells(actor)) if roomy else ""
    told = f"{event.lsn:>6}  {moment(from_ns(event.recorded_at))}  {event.kind:<16}  {who}{_what(event)}"
    screen.line(clip(told, screen.width) if screen.terminal else told)


def _what(event: Event) -> str:
    if event.content is None:
        return "(erased)"
    payload = event.content.payload
    if isinstance(text := payload.get("text"), str):
        return one_line(text)
    if isinstance(shown := payload.get("shown"), list):
        return f"shown: {counted(len(shown), 'version')}"
    if isinstance(ranges := payload.get("ranges"), list):
        names = [f"{low}" if low == high else f"{low} to {high}" for low, high in ranges]  # type: ignore[misc,str-unpack]
        return "undone: LSN " + ", ".join(names)
    return " ".join(event.touches)


def as_json(event: Event) -> dict[str, object]:
    """An event for machines: times as ISO strings, hashes as hex, ids as other commands print them."""
    content = None if event.content is None else {
        name: getattr(event.content, name) for name in event.content.__struct_fields__
    }  # fmt: skip
    if content is not None:
        content["request_hash"] = content["request_hash"] and content["request_hash"].hex()
        for name in ("occurred_at", "valid_from", "valid_until"):
            content[name] = None if content[name] is None else from_ns(content[name])
    return {
        "lsn": event.lsn,
        "id": event.id,
        "recorded_at": from_ns(event.recorded_at),
        "kind": event.kind,
        "op": event.op,
        "txn": event.txn,
        "schema": event.schema,
        "touches": event.touches,
        "before_lsn": event.before_lsn,
        "idem": event.idem and event.idem.hex(),
        "commitment": event.commitment.hex(),
        "content": content,
    }


VERBS = {
    "log": Verb(
        "log",
        """Show the events of the scope and of the scopes below it, oldest first. With --json each event is a line.

        LSNs that are missing belong to other scopes.""",
        (
            "walnut log --last 20",
            "walnut log --scope global --kind memory.write --json",
            "walnut log --follow --timeout 1",
            "walnut log --scope global --json | head -n 1",
        ),
        _arguments,
        _log,
    ),
}
