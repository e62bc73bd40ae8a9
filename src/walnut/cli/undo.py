"""The verb that undoes: revert."""

from __future__ import annotations

import argparse
import sys

from walnut.cli import options
from walnut.cli.exits import NOTHING, OK, Usage
from walnut.cli.screen import Screen
from walnut.cli.trees import draw_plan
from walnut.cli.verb import Verb
from walnut.model.words import counted


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--event", metavar="ID", action="append", default=[], help="this event: an LSN, evt_…, or mem_… (its version)")
    add("--from-actor", metavar="ACTOR", help="what this actor wrote")
    add(
        "--source", metavar="KEY=VALUE", action="append", default=[], help="what came from there; several must all hold"
    )
    add("--session", metavar="ID", help="what came from this session or conversation")
    add("--since", metavar="WHEN", help="what was recorded then or later")
    add("--until", metavar="WHEN", help="what was recorded before")
    add("--kind", action="append", default=[], help="events of this kind")
    add("--include-suspects", action="store_true", help="also what was written after a reverted memory was shown")
    add("--dry-run", action="store_true", help="show the plan and end")
    add("--yes", "-y", action="store_true", help="do not ask")


def _revert(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        plan = memory.plan_revert(
            events=[options.event(each) for each in args.event],
            actor=args.from_actor,
            source=options.source(args.source),
            session=args.session,
            since=args.since,
            until=args.until,
            kinds=args.kind,
            include_suspects=args.include_suspects,
        )
        if screen.json and (args.dry_run or not plan.ranges):
            screen.document(plan)
        elif not screen.json:
            draw_plan(screen, plan)
            undone = sum(item.reverts for item in plan.items)
            what = f"{counted(undone, 'event')} of {counted(len(plan.memory_ids), 'memory')}"
            screen.line(f"{what} would be undone" if undone else "nothing to undo")
        if not plan.ranges:
            return NOTHING
        if args.dry_run:
            return OK
        if not args.yes and not _agreed(screen):
            screen.line("nothing was done")
            return NOTHING
        ack = memory.apply(plan)
    if screen.json:
        screen.document(ack)
    else:
        screen.line(f"{screen.paint('undone', 'green')} [{ack.event_id}] as LSN {ack.lsn}, on disk")
        screen.line(f"to take it back: walnut revert --event {ack.lsn}")
    return OK


def _agreed(screen: Screen) -> bool:
    if screen.json or not (sys.stdin.isatty() and screen.terminal):
        raise Usage("nobody to ask", where="walnut revert", hint="pass --yes to undo it, or --dry-run to see the plan")
    try:
        return input("Undo this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


VERBS = {
    "revert": Verb(
        "revert",
        """Undo events and everything that was derived from them. Shows what would be undone as a tree and asks first;
        nothing is ever removed, and an undo is an event that can be undone itself.

        All selectors that are given must hold. What the same actor wrote after it was shown an undone memory is
        listed as suspect, and undone with --include-suspects.""",
        (
            "walnut revert --source conversation_id=c1 --dry-run",
            "walnut revert --session c1 --yes",
            "walnut revert --kind memory.reverted --yes",
            "walnut revert --from-actor agent:default --since 2026-01-01 --dry-run --json",
        ),
        _arguments,
        _revert,
    ),
}
