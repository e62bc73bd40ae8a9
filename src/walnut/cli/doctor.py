"""The verb that checks this machine and a store on it: doctor."""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

import walnut
from walnut.cli.exits import NOTHING, OK
from walnut.cli.screen import Screen, safe
from walnut.cli.upkeep import size
from walnut.cli.verb import Verb
from walnut.errors import LogBusy, LogCorruption, WalnutError
from walnut.system import System

_LEAST_SQLITE = (3, 40)
_LITTLE_SPACE = 256 << 20
_SYNCS = 15
_TOO_QUICK = 20e-6
_PATIENCE = 2.0
_PAINT = {"ok": "green", "warn": "yellow", "fail": "red"}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: `status` is "ok", "warn" or "fail"."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All checks, and what Walnut can promise here. `ok`: none failed."""

    ok: bool
    checks: tuple[Check, ...]
    promises: tuple[str, ...]


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, status="ok", detail=detail)


def _warn(name: str, detail: str) -> Check:
    return Check(name=name, status="warn", detail=detail)


def _fail(name: str, detail: str) -> Check:
    return Check(name=name, status="fail", detail=detail)


def _software() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _ok("Python", version) if sys.version_info >= (3, 11) else _fail("Python", f"{version}: 3.11 is needed")
    supported = sys.platform in {"linux", "darwin"}
    yield (_ok if supported else _fail)("platform", sys.platform)
    enough = sqlite3.sqlite_version_info >= _LEAST_SQLITE
    yield (_ok if enough else _fail)("SQLite", sqlite3.sqlite_version + ("" if enough else ": 3.40 is needed"))
    yield _fts5()
    has_mcp = find_spec("mcp") is not None
    yield _ok("MCP server", "can be started" if has_mcp else "not installed: pip install 'walnut-memory[mcp]'")


def _fts5() -> Check:
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.Error:
        return _fail("FTS5", "this SQLite was built without it: text search can't work")
    finally:
        db.close()
    return _ok("FTS5", "built in")


def _place(store: Path) -> Iterator[Check]:
    """The folder, or the one it would be made in."""
    folder = store
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        yield _fail("folder", f"{folder} is a file")
        return
    network = System().network_file_system(str(folder.resolve()))
    if network is None:
        yield _ok("file system", "local")
    else:
        yield _fail("file system", f"{network}: locks and syncs can't be relied on over a network")
    free = shutil.disk_usage(folder).free
    yield (_ok if free > _LITTLE_SPACE else _warn)("free space", size(free))
    yield from _permissions(store)
    if os.access(folder, os.W_OK | os.X_OK):
        yield _sync(folder)
    else:
        yield _fail("writing", f"no permission to write in {folder}")


def _permissions(store: Path) -> Iterator[Check]:
    if not store.is_dir():
        return
    if not os.access(store, os.R_OK | os.X_OK):
        yield _fail("permissions", "no permission to read the folder")
        return
    open_to_others = [each.name for each in (store, store / "keys") if each.exists() and each.stat().st_mode & 0o077]
    if open_to_others:
        yield _warn("permissions", f"others may read: {', '.join(open_to_others)} (chmod go= mends it)")
    else:
        yield _ok("permissions", "the owner's alone")


def _sync(folder: Path) -> Check:
    """Write and sync a scratch file, which is removed."""
    system, times = System(), []
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".walnut-doctor-") as scratch:
            for _ in range(_SYNCS):
                os.pwrite(scratch.fileno(), os.urandom(512), 0)
                start = time.perf_counter()
                system.datasync(scratch.fileno())
                times.append(time.perf_counter() - start)
    except OSError as error:
        return _fail("sync", f"failed: {error.strerror}")
    median = statistics.median(times)
    told = f"works, {median * 1e3:.2f} ms (median of {_SYNCS})"
    if median < _TOO_QUICK:
        return _warn("sync", f"{told}: too quick for a disk; it may be memory, or a disk that answers early")
    return _ok("sync", told)


def _store(args: argparse.Namespace, store: Path) -> Iterator[Check]:
    """The store itself, opened as any reader opens it."""
    if not store.exists():
        yield _warn("store", f"none at {store} yet: `walnut remember` makes one")
        return
    try:
        with walnut.open(
            str(store), scope=args.scope, actor=args.actor, create=False, busy_timeout=_PATIENCE
        ) as memory:
            stats = memory.upkeep.stats()
    except LogBusy as error:
        yield _fail("locks", str(error))
        return
    except LogCorruption as error:
        yield _fail("log", str(error))
        return
    except WalnutError as error:
        yield _fail("store", str(error))
        return
    yield _ok("store", f"opens, format {stats.format}, {stats.last_lsn} events, {size(stats.log_bytes)}")
    yield _ok("locks", "free")
    for view in stats.views:
        told = f"{view.name} v{view.version} at LSN {view.applied_lsn}"
        yield _ok("view", told) if view.failure is None else _fail("view", f"{told}, stopped at {view.failed_at}")
    newest = max(stats.checkpoints, default=None)
    yield _ok("checkpoint", "none yet: one is made every 10,000 events" if newest is None else f"at LSN {newest}")


def _promises(checks: tuple[Check, ...]) -> tuple[str, ...]:
    status = {check.name: check.status for check in checks}
    found: list[str] = []
    if "fail" in (status.get(name) for name in ("permissions", "writing", "sync", "log", "store")):
        return ()  # until that is mended
    if status.get("sync") == "ok" and status.get("file system") == "ok":
        found.append("an acknowledged write survives a crash of the program and of the system")
        found.append("and a loss of power, as far as the disk keeps its word about a sync")
    elif status.get("file system") == "ok":
        found.append("an acknowledged write survives a crash of the program; not known: a loss of power")
    if status.get("file system") == "ok":
        found.append("several processes may use the store at once")
    if status.get("FTS5") == "ok":
        found.append("memories are found by their words")
    return tuple(found)


def _doctor(args: argparse.Namespace, screen: Screen) -> int:
    store = Path(args.store)
    checks = (*_software(), *_place(store), *_store(args, store))
    good = all(check.status != "fail" for check in checks)
    diagnosis = Diagnosis(ok=good, checks=checks, promises=_promises(checks))
    if screen.json:
        screen.document(diagnosis)
        return OK if good else NOTHING
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = screen.paint(f"{check.status:<4}", _PAINT[check.status])
        screen.line(f"{mark}  {check.name:<{width}}  {safe(check.detail)}")
    screen.line()
    screen.line("What can be promised here:" if diagnosis.promises else "Nothing can be promised here.")
    for promise in diagnosis.promises:
        screen.line(f"  - {promise}")
    return OK if good else NOTHING


def _arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but the common ones."""


VERBS = {
    "doctor": Verb(
        "doctor",
        """Check Python, SQLite, the file system, permissions, a sync, locks, views and checkpoints, and say what can be
        promised on this machine. Makes no store; a scratch file is written and removed. Ends with 1 when a check
        fails.""",
        ("walnut doctor", "walnut doctor --json"),
        _arguments,
        _doctor,
    ),
}
