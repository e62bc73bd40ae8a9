"""The verb that checks this machine and a store on it: doctor. It changes neither."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec

from walnut.cli import ground, inspection, probes
from walnut.cli.checks import Check, fail, ok, warn
from walnut.cli.exits import NOTHING, OK
from walnut.cli.ground import Ground
from walnut.cli.screen import Screen, safe
from walnut.cli.verb import Verb

_LEAST_SQLITE = (3, 40)
_PAINT = {"ok": "green", "warn": "yellow", "fail": "red"}
#: Where one of these failed, an ack means nothing yet.
_VITAL = ("file system", "folder", "permissions", "writing", "sync", "rename", "log", "store")


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All checks, and what Walnut can promise here. `ok`: none failed."""

    ok: bool
    checks: tuple[Check, ...]
    verdict: str
    promises: tuple[str, ...]


def _software() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok("Python", version) if sys.version_info >= (3, 11) else fail("Python", f"{version}: 3.11 is needed")
    supported = sys.platform in {"linux", "darwin"}
    yield (ok if supported else fail)("platform", sys.platform)
    enough = sqlite3.sqlite_version_info >= _LEAST_SQLITE
    yield (ok if enough else fail)("SQLite", sqlite3.sqlite_version + ("" if enough else ": 3.40 is needed"))
    yield _fts5()
    has_mcp = find_spec("mcp") is not None
    yield ok("MCP server", "can be started" if has_mcp else "not installed: in a clone of Walnut, pip install '.[mcp]'")


def _fts5() -> Check:
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.Error:
        return fail("FTS5", "this SQLite was built without it: text search can't work")
    finally:
        db.close()
    return ok("FTS5", "built in")


def _place(store: Path) -> tuple[Ground, tuple[Check, ...]]:
    """The folder, or the one it would be made in: what it stands on, and what was tried there."""
    folder = store
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return Ground((), "unknown", "there is no folder"), (fail("folder", f"{folder} is a file"),)
    found = ground.survey(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        refused = fail("writing", f"no permission to write in {folder}")
        return found, (*found.checks, *_permissions(store), refused)
    tried = probes.probe(folder, in_memory=found.in_memory)
    return found, (*found.checks, *_permissions(store), *tried)


def _permissions(store: Path) -> Iterator[Check]:
    if not store.is_dir():
        return
    if not os.access(store, os.R_OK | os.X_OK):
        yield fail("permissions", "no permission to read the folder")
        return
    open_to_others = [each.name for each in (store, store / "keys") if each.exists() and each.stat().st_mode & 0o077]
    if open_to_others:
        yield warn("permissions", f"others may read: {', '.join(open_to_others)} (chmod go= mends it)")
    else:
        yield ok("permissions", "the owner's alone")


def verdict(checks: tuple[Check, ...], place: Ground) -> str:
    """What an ack at `disk` survives here, in a sentence."""
    status = {check.name: check.status for check in checks}
    broken = [name for name in _VITAL if status.get(name) == "fail"]
    if broken:
        return f"A `disk` ack here survives: nothing is promised until this is mended: {', '.join(broken)}."
    if place.power == "no":
        system = "no" if place.in_memory else "yes"
        return f"A `disk` ack here survives: process crash yes, system crash {system}, power loss no ({place.because})."
    if place.power == "unknown":
        return f"A `disk` ack here survives: process crash yes, power loss not known ({place.because})."
    if status.get("sync") == "warn":
        return "A `disk` ack here survives: process crash yes, power loss not known (syncs are suspiciously quick)."
    return (
        "A `disk` ack here survives: process crash yes, system crash yes, power loss yes"
        " (if the drive honours flushes)."
    )


def promises(checks: tuple[Check, ...]) -> tuple[str, ...]:
    """What else can be relied on."""
    status = {check.name: check.status for check in checks}
    found: list[str] = []
    if any(status.get(name) == "fail" for name in _VITAL):
        return ()
    if status.get("locks") == "ok":
        found.append("several processes may use the store at once")
    if status.get("FTS5") == "ok":
        found.append("memories are found by their words, and by meaning without a model")
    return tuple(found)


def _doctor(args: argparse.Namespace, screen: Screen) -> int:
    store = Path(args.store)
    place, tried = _place(store)
    checks = (*_software(), *tried, *inspection.inspect(store))
    good = all(check.status != "fail" for check in checks)
    told = verdict(checks, place)
    diagnosis = Diagnosis(ok=good, checks=checks, verdict=told, promises=promises(checks))
    if screen.json:
        screen.document(diagnosis)
        return OK if good else NOTHING
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = screen.paint(f"{check.status:<4}", _PAINT[check.status])
        screen.line(f"{mark}  {check.name:<{width}}  {safe(check.detail)}")
    screen.line()
    screen.line(diagnosis.verdict)
    for promise in diagnosis.promises:
        screen.line(f"  - {promise}")
    return OK if good else NOTHING


def _arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but the common ones."""


VERBS = {
    "doctor": Verb(
        "doctor",
        """Check Python, SQLite, the file system and its device, permissions, space and clock; try syncs, renames, locks
        and shared memory in a scratch folder that is removed; look at the store without opening it. One sentence says
        what an acknowledged write survives here. Changes nothing. Ends with 1 when a check fails.""",
        ("walnut doctor", "walnut doctor --json"),
        _arguments,
        _doctor,
    ),
}
