"""Small stores made once, of which a target replaces one file at a time and opens the rest as it is."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import walnut
from tests.crash.stores import small_segments
from tests.golden.make import FixedSystem, events
from walnut import Memory
from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.model.event import Event

#: Of the test stores; the last one stays live.
SEGMENT = 8 * 1024

#: So many times as fast time goes for who only waits.
_HURRY = 50


class HurriedSystem(FixedSystem):
    """Time passes quickly while it is waited for: whoever waits for a second does so for some 50 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / _HURRY)
        self._ahead += seconds


@cache
def scratch() -> Path:
    """A folder that goes with the process; in memory where the machine has such a place, as nothing is to last."""
    folder = Path(tempfile.mkdtemp(prefix="walnut-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    process = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == process else None)
    return folder


@cache
def log_store() -> Path:
    """A closed store of a few small segments, the same bytes each time."""
    folder = scratch() / "log-store"
    with small_segments(SEGMENT, SEGMENT), FileLog.open(FixedSystem(), str(folder)) as log:
        while log.size()[0] < 3:
            for batch in events():
                if log.size()[0] < 3:
                    log.append(batch)
        log.append(events()[1])
    for path in folder.glob("log/spare*"):
        path.unlink()
    return folder


@cache
def view_store() -> Path:
    """A closed store with views and two checkpoints: keys, tags, forgets, an undo, two scopes."""
    folder = scratch() / "view-store"
    with walnut.open(folder, scope="global") as m:
        remember(m)
    return folder


def remember(m: Memory) -> None:
    """A few events of every kind that there is."""
    for number in range(12):
        handle = m.bind(scope="user:a") if number % 3 else m
        handle.remember(
            f"invoice {number} in format csv",
            key=f"key{number % 4}" if number % 2 else None,
            tags=["red", "green"][: number % 3],
            confidence=0.5 if number % 2 else None,
            source={"session": f"s{number % 3}", "speaker": "ann", "turn": number},
            ttl="90d" if number == 5 else None,
            idempotency_key=f"once {number}",
        )
    m.upkeep.checkpoint()
    m.recall("invoice format")
    m.forget(m.list(limit=1).items[0].memory_id)
    undone = m.apply(m.plan_revert(session="s1"))
    m.apply(m.plan_revert(events=[undone]))
    m.upkeep.checkpoint()


def variant(store: Path, name: str) -> Path:
    """A fresh copy of a store, in the place of the one before."""
    folder = scratch() / f"variant-{name}"
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(store, folder)
    return folder


def told(event: Event) -> tuple[object, ...]:
    """The event with all that can be asked of it; an event that passed as valid answers."""
    assert len(event.raw_id) == 16
    assert all(len(touch) == 17 for touch in event.touch_keys())
    assert event.idem is None or len(event.idem) == 16
    assert 0 < event.txn <= event.lsn < 2**63
    assert 0 <= event.recorded_at < 2**63
    return event.id, event.touches, event


def all_events(folder: Path) -> list[tuple[object, ...]]:
    """Open the log, ask everything; what a second opening and an offline check say is the same."""
    with FileLog.open(FixedSystem(), str(folder), busy_timeout=0.2) as log:
        found = [told(event) for event in log.read()]
        assert [event.lsn for event in log.read()] == list(range(1, len(found) + 1))
        for lsn in range(1, len(found) + 1):
            event = log.get(lsn)
            for touch in event.touch_keys():
                assert log.last_touch(touch) >= lsn
                assert lsn in log.stream(touch)
            if event.idem is not None:
                log.find_idem(event.idem)
    return found


def sized(data: bytes, size: int) -> bytes:
    """A segment's bytes with the zeros behind them, which inputs leave out."""
    return data.ljust(size, b"\0")


def segments(store: Path) -> list[Path]:
    """Segment files, oldest first."""
    return sorted(path for path in store.glob("log/seg-*") if segment.parse_name(path.name))


def with_file(store: Path, name: str, *, without: tuple[str, ...] = ()) -> Callable[[bytes], Path]:
    """Make a store that differs in this one file from `store`, and lacks those of `without` (patterns)."""

    def made(data: bytes) -> Path:
        folder = variant(store, store.name)
        for pattern in without:
            for path in folder.glob(pattern):
                path.unlink()
        folder.joinpath(name).write_bytes(data)
        return folder

    return made
