"""A store looked at without opening it: nothing is recovered, applied, made or written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from walnut.cli import nearness
from walnut.cli.checks import Check, fail, ok, warn
from walnut.cli.upkeep import size
from walnut.errors import LogCorruption, WalnutError
from walnut.log import keys, segment
from walnut.log.shared import State
from walnut.log.verify import end_of
from walnut.model.words import counted
from walnut.system import System
from walnut.views import folds
from walnut.views.checkpoint import Checkpoints
from walnut.views.damage import Damaged
from walnut.views.runner import NAME, VERSION
from walnut.views.store import read_stamp, signature

#: Seconds to wait for the lock of a writer.
_PATIENCE = 2.0
#: How far the newest event may lie ahead of the clock (seconds).
_AHEAD = 60
_HOLDER = 264


def inspect(store: Path) -> Iterator[Check]:
    """Log, locks, views and checkpoints of the store in a folder, or that there is none yet."""
    if not store.exists():
        yield warn("store", f"none at {store} yet: `walnut remember` makes one")
        return
    system, folder = System(), str(store)
    try:
        identity = keys.load(system, folder)
        if system.exists(f"{folder}/{segment.REPAIRING}"):
            yield fail("store", "a repair was interrupted: run `walnut repair` again")
            return
        end = end_of(system, folder)
    except LogCorruption as error:
        yield fail("log", str(error))
        return
    except WalnutError as error:
        yield fail("store", str(error))
        return
    except OSError as error:
        yield fail("store", f"can't be read: {error.strerror}")
        return
    used = sum(path.stat().st_size for path in store.glob("log/*") if path.is_file())
    read = "; `walnut verify` reads every bit"
    yield ok("store", f"format {keys.FORMAT}, {counted(end.lsn, 'event')}, {size(used)}{read}")
    if end.recorded_at > time.time_ns() + _AHEAD * 10**9:
        yield warn("times", "the newest event lies in the future: this clock was set back, or another one was wrong")
    yield _writer(system, folder)
    yield _view(store, identity.log_id, end)
    yield from nearness.inspect(store / "views", store / "views" / f"{NAME}-v{VERSION}.db")
    newest = max(Checkpoints(system, f"{folder}/checkpoints").lsns(), default=None)
    yield ok("checkpoint", "none yet: one is made every 10,000 events" if newest is None else f"at LSN {newest}")


def _writer(system: System, folder: str) -> Check:
    """Whether the lock of writers can be had: who holds it for seconds is stopped or stuck."""
    path = f"{folder}/log/lock.write"
    if not system.exists(path):
        return ok("writer", "nobody has written yet")
    fd = system.open_file(path, write=False)
    try:
        end = time.monotonic() + _PATIENCE
        while not system.try_lock_file(fd):
            if time.monotonic() > end:
                return fail("writer", f"the write lock is held{_by(system, folder)}: it is stopped or stuck")
            time.sleep(0.005)
        system.unlock_file(fd)
    finally:
        system.close_file(fd)
    return ok("writer", "nobody is stuck with the write lock")


def _by(system: System, folder: str) -> str:
    fd = system.open_file(f"{folder}/log/shared", write=False)
    try:
        holder = int.from_bytes(system.read_at(fd, 4, _HOLDER), "little")
    finally:
        system.close_file(fd)
    return f" by process {holder}" if holder else ""


def _view(store: Path, log_id: bytes, end: State) -> Check:
    """Where the view stands, read from a file that nobody has open; else that it is in use."""
    path = store / "views" / f"{NAME}-v{VERSION}.db"
    if not path.exists():
        return ok("view", "none yet: the first read makes it")
    wal = Path(f"{path}-wal")
    if wal.exists() and wal.stat().st_size:
        return ok("view", f"{NAME} v{VERSION} is in use, or was not closed: the next read sees to it")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            stamp = read_stamp(db)
    except (sqlite3.Error, Damaged):
        return warn("view", f"{NAME} v{VERSION} can't be read: the next read builds it anew")
    if stamp.log_id != log_id or stamp.lsn > end.lsn or stamp.folds != signature(folds.default()):
        return warn("view", f"{NAME} v{VERSION} is not of this log and version: the next read builds it anew")
    behind = end.lsn - stamp.lsn
    lag = f", {counted(behind, 'event')} behind" if behind else ""
    return ok("view", f"{NAME} v{VERSION} at LSN {stamp.lsn}{lag}")
