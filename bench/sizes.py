"""Rows about what a store takes: bytes, files, making one, and starting up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import walnut
from bench.figure import Figure
from bench.ground import ROOT, Ground
from bench.texts import texts
from walnut.system import MappedFile, System


class CountingSystem(System):
    """The real machine, that counts how often something was synced."""

    def __init__(self) -> None:
        self.syncs = 0

    def datasync(self, fd: int) -> None:
        """Count and do."""
        self.syncs += 1
        super().datasync(fd)

    def sync(self, fd: int) -> None:
        """Count and do."""
        self.syncs += 1
        super().sync(fd)

    def sync_directory(self, path: str) -> None:
        """Count and do."""
        self.syncs += 1
        super().sync_directory(path)

    def map_file(self, fd: int, length: int, *, write: bool = False) -> MappedFile:
        """A map whose flushes count too."""
        return _CountingMap(self, super().map_file(fd, length, write=write))


class _CountingMap:
    """A mapped file that counts its flushes."""

    def __init__(self, system: CountingSystem, mapped: MappedFile) -> None:
        self._system = system
        self._mapped = mapped

    def __getitem__(self, index: slice) -> bytes:
        return self._mapped[index]

    def __setitem__(self, index: slice, value: bytes) -> None:
        self._mapped[index] = value

    def flush(self) -> None:
        """Count and do."""
        self._system.syncs += 1
        self._mapped.flush()

    def close(self) -> None:
        """Unmap it."""
        self._mapped.close()


def bytes_per_event(ground: Ground) -> Iterator[Figure]:
    """Bytes of log an event, its text taken off, for events that come alone and by the hundred."""
    notes = texts(ground.scaled(2_000, quick=200))
    text = sum(len(note.encode()) for note in notes) / len(notes)
    for name, batch, at_least, aim in (("lone", 1, 350, 250), ("batched by 100", 100, 250, 120)):
        with walnut.open(ground.fresh(), durability="process") as memory:
            empty = memory.upkeep.stats().log_bytes
            for start in range(0, len(notes), batch):
                memory.remember_many([{"text": note} for note in notes[start : start + batch]])
            each = (memory.upkeep.stats().log_bytes - empty) / len(notes)
        yield Figure(
            row="bytes",
            name=f"log bytes of an event beyond its text, {name}",
            value=each - text,
            unit="bytes",
            at_least=at_least,
            aim=aim,
            lower=True,
            beside=f"{each:.0f} bytes in all, text {text:.0f}",
        )


def files(ground: Ground) -> Iterator[Figure]:
    """All files of a store over the text in it."""
    count = ground.scaled(100_000, quick=500)
    path = ground.store(count)
    text = sum(len(note.encode()) for note in texts(count))
    with walnut.open(path, create=False) as memory:
        log_bytes = memory.upkeep.stats().log_bytes
    sizes = {each: each.stat().st_size for each in path.rglob("*") if each.is_file()}
    prepared = sum(size for each, size in sizes.items() if each.name.startswith("seg-")) - log_bytes

    def total(folder: str) -> int:
        return sum(size for each, size in sizes.items() if folder in each.relative_to(path).parts)

    spare = sum(size for each, size in sizes.items() if each.name.startswith("spare"))
    kept = sum(sizes.values()) - total("checkpoints") - spare - prepared
    yield Figure(
        row="files",
        name=f"files of {count:,} memories over their text",
        value=kept / text,
        unit="x the text",
        at_least=6,
        aim=4,
        lower=True,
        beside=f"text {_mib(text)}, log {_mib(log_bytes)}, views {_mib(total('views'))}",
        note=f"left out: checkpoints {_mib(total('checkpoints'))}, spare and prepared space {_mib(spare + prepared)}",
    )


def _mib(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def create(ground: Ground) -> Iterator[Figure]:
    """Making a store, and opening one that is there: time and syncs."""
    times: dict[str, list[float]] = {}
    syncs: dict[str, int] = {}
    for _ in range(ground.pairs):
        path = ground.fresh()
        for name in ("create a store", "open a small store"):
            system = CountingSystem()
            start = time.perf_counter()
            memory = walnut.open(path, system=system)
            times.setdefault(name, []).append((time.perf_counter() - start) * 1e3)
            syncs[name] = system.syncs
            memory.remember("A first note")
            start, before = time.perf_counter(), system.syncs
            memory.close()
            closing = f"{name}: closing it after one write"
            times.setdefault(closing, []).append((time.perf_counter() - start) * 1e3)
            syncs[closing] = system.syncs - before
    for name, found in times.items():
        yield Figure(row="create", name=name, value=median(found), unit="ms", lower=True, beside=f"{syncs[name]} syncs")


_START = "import time{}\nprint(time.monotonic_ns())\n{}"
_SCRIPTS = {
    "bare": _START.format("", ""),
    "import": _START.format(", walnut", ""),
    "open": _START.format(", sys, walnut\nmemory = walnut.open(sys.argv[1], create=False)", "memory.close()"),
    "recall": _START.format(
        ", sys, walnut\nmemory = walnut.open(sys.argv[1], create=False)\nmemory.recall('note')", "memory.close()"
    ),
}


def start(ground: Ground) -> Iterator[Figure]:
    """What importing and opening add to bare Python, each in new processes that take turns."""
    path = ground.fresh()
    with walnut.open(path) as memory:
        memory.remember_many([{"text": note} for note in texts(100)])
        memory.wait()
    found: dict[str, list[float]] = {name: [] for name in _SCRIPTS}
    for _ in range(4 * ground.pairs):
        for name, script in _SCRIPTS.items():
            found[name].append(_until_said(script, path))
    bare = median(found["bare"])
    for name, what, at_least in (
        ("import", "import", None),
        ("open", "import and open a small store", 60),
        ("recall", "import, open, first recall", None),
    ):
        added = median(b - a for a, b in zip(found["bare"], found[name], strict=True))
        yield Figure(
            row="start",
            name=f"{what}, over bare Python",
            value=added,
            unit="ms",
            at_least=at_least,
            lower=True,
            beside=f"bare Python {bare:.0f} ms",
        )


def _until_said(script: str, path: Path) -> float:
    """Milliseconds from before the process exists until its script says what time it is."""
    before = time.monotonic_ns()
    command = [sys.executable, "-c", script, os.fspath(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    return (int(done.stdout) - before) / 1e6
