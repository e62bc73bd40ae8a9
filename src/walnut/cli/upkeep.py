"""Verbs of upkeep: stats, checkpoint, rebuild."""

from __future__ import annotations

import argparse

from walnut.cli import options
from walnut.cli.exits import DAMAGE, OK
from walnut.cli.screen import Screen, safe
from walnut.cli.verb import Verb
from walnut.model.results import Stats
from walnut.model.words import counted


def _none(parser: argparse.ArgumentParser) -> None:
    """No arguments but the common ones."""


def size(count: int) -> str:
    """Bytes as people read them.

    >>> size(1536)
    '1.5 KiB'
    """
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _stats(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        stats = memory.upkeep.stats()
    if screen.json:
        screen.document(stats)
    else:
        screen.facts(
            [
                ("memories", f"{stats.memories:,}"),
                ("scopes", f"{stats.scopes:,}"),
                ("events", f"{stats.last_lsn:,}"),
                ("log", f"{size(stats.log_bytes)} in {counted(stats.segments, 'segment')}, format {stats.format}"),
                ("views", size(stats.view_bytes)),
                ("checkpoints", _checkpoints(stats)),
            ]
        )
        for index in stats.indexes:
            told = f"the first {counted(index.rows, 'vector')} of {safe(index.scope)}, up to LSN {index.lsn:,}"
            screen.facts([("index", f"{told}, {size(index.bytes)}")])
        for view in stats.views:
            state = f"stopped at LSN {view.failed_at}: {view.failure}" if view.failure else "works"
            screen.facts([(f"view {view.name} v{view.version}", f"at LSN {view.applied_lsn}, {state}")])
    return DAMAGE if any(view.failure for view in stats.views) else OK


def _checkpoints(stats: Stats) -> str:
    if not stats.checkpoints:
        return "none yet"
    return f"{size(stats.checkpoint_bytes)}, at LSN {', '.join(f'{lsn:,}' for lsn in stats.checkpoints)}"


def _checkpoint(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        lsn = memory.upkeep.checkpoint()
    screen.document({"lsn": lsn}) if screen.json else screen.line(f"checkpoint written at LSN {lsn}")
    return OK


def _rebuild(args: argparse.Namespace, screen: Screen) -> int:
    with options.open_store(args) as memory:
        lsn = memory.upkeep.rebuild()
    screen.document({"lsn": lsn}) if screen.json else screen.line(f"views built anew up to LSN {lsn}")
    return OK


VERBS = {
    "stats": Verb(
        "stats",
        """Show counts of the scope and the scopes below it, the sizes of the store, and where its views stand.""",
        ("walnut stats", "walnut stats --scope global --json"),
        _none,
        _stats,
    ),
    "checkpoint": Verb(
        "checkpoint",
        """Write a verified snapshot of the views, so that the next rebuild starts from there. This happens by itself
        every 10,000 events.""",
        ("walnut checkpoint",),
        _none,
        _checkpoint,
    ),
    "rebuild": Verb(
        "rebuild",
        """Build the views anew from the log. They hold nothing that is not in the log, so no answer changes.""",
        ("walnut rebuild",),
        _none,
        _rebuild,
    ),
}
