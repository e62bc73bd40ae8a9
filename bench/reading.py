"""Rows about reading: scanning the log, replaying it, reopening, and recall."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles

import google_crc32c

import walnut
from bench.figure import Figure, Rate, cpu, speed
from bench.ground import ROOT, Ground, timed
from bench.texts import endless, queries, texts
from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.log.segments import Segments
from walnut.model.requests import Mode
from walnut.system import System
from walnut.views import folds
from walnut.views.runner import Views

_GIB = 1 << 30
_CHUNK = 1 << 20
_MODES: tuple[Mode, ...] = ("hybrid", "keyword")


def scan(ground: Ground) -> Iterator[Figure]:
    """GiB a second of log that are checked, in frames of a hundred events and of one."""
    batched, lone = ground.fresh(), ground.fresh()
    notes = endless()
    with walnut.open(batched, durability="process") as memory:
        for _ in range(ground.scaled(600, quick=5)):
            memory.remember_many([{"text": next(notes)} for _ in range(100)])
    with walnut.open(lone, durability="process") as memory:
        for _ in range(ground.scaled(20_000, quick=200)):
            memory.remember(next(notes))
    for path, what in ((batched, "frames of 100"), (lone, "frames of 1")):
        yield from _scanned(ground, path, what)


def _scanned(ground: Ground, path: Path, what: str) -> Iterator[Figure]:
    with FileLog.open(System(), str(path)) as log:
        size = log.size()[1]
        rates = ground.alternate(
            {
                "bytes": lambda: _once(lambda: _plain_bytes(path, size), size),
                "CRC": lambda: _once(lambda: _walk(log, path, chain=False), size),
                "with chain": lambda: _once(lambda: _walk(log, path, chain=True), size),
                "with commitments": lambda: _once(log.verify, size),
            }
        )
        events = log.durable_lsn()
    for name, at_least in (("CRC", 1.0), ("with chain", 0.4), ("with commitments", 0.2)):
        yield Figure(
            row="scan",
            name=f"scan, {name}, {what}",
            value=median(rate.per_second for rate in rates[name]) / _GIB,
            unit="GiB/s",
            at_least=at_least,
            aim=2 * at_least,
            beside=f"pread and CRC of {size >> 20} MiB in large pieces: "
            f"{median(rate.per_second for rate in rates['bytes']) / _GIB:.1f} GiB/s",
            cpu_us=cpu(rates[name]) * size / events,
        )


def _once(work: Callable[[], object], size: int) -> Rate:
    return timed(work, 0, events=size)


def _plain_bytes(path: Path, size: int) -> None:
    left = size
    for file in sorted((path / "log").glob("seg-*.g0")):
        with file.open("rb", buffering=0) as opened:
            while left > 0 and (data := opened.read(min(left, _CHUNK))):
                google_crc32c.value(data)
                left -= len(data)


def _walk(log: FileLog, path: Path, *, chain: bool) -> None:
    """Read every frame; its checksums are always checked."""
    end = log.locate(log.durable_lsn())
    segments = Segments(System(), str(path / "log"), log.log_id, write=False)
    try:
        for number in segments.discover():
            place = segments.get(number)
            sealed = segments.sealed_end(number)
            stop = sealed[0] if sealed else end.offset + end.length
            for frame in segments.frames(place, start=segment.HEADER_SIZE, end=stop, lsn=place.header.first_lsn):
                if chain:
                    frame.chain()
    finally:
        segments.close()


def replay(ground: Ground) -> Iterator[Figure]:
    """Events a second from the log into fresh views, with vectors and without, beside reading them alone."""
    count = ground.scaled(20_000, quick=500)
    system, store, beside = System(), ground.store(count), ground.fresh()
    beside.mkdir()
    with FileLog.open(system, str(store)) as log:
        without = [fold for fold in folds.default() if fold.name in ("memories", "text")]
        lean = Views(log, system, folder=str(beside / "lean"), folds=without)
        whole = Views(log, system, folder=str(beside / "whole"))
        rates = ground.alternate(
            {
                "lean": lambda: timed(lean.rebuild, 0, events=count),
                "whole": lambda: timed(whole.rebuild, 0, events=count),
                "read": lambda: timed(lambda: sum(1 for _ in log.read()), 0, events=count),
            }
        )
        lean.close()
        whole.close()
    for name, what, least, aim in (
        ("lean", "memories and text", 20_000, 40_000),
        ("whole", "all views, with vectors", 10_000, None),
    ):
        yield Figure(
            row="replay",
            name=f"replay of {count:,} events into {what}",
            value=median(rate.per_second for rate in rates[name]),
            unit="events/s",
            at_least=least,
            aim=aim,
            beside=f"the log's read alone {speed(rates['read'])}",
            cpu_us=cpu(rates[name]),
        )


_REOPEN = """
import json, sys, time
import walnut
start = time.perf_counter()
with walnut.open(sys.argv[1], create=False) as memory:
    opened = time.perf_counter()
    hits = memory.recall(sys.argv[2])
    done = time.perf_counter()
    print(json.dumps({"open": opened - start, "recall": done - start, "hits": len(hits)}))
"""


def reopen(ground: Ground) -> Iterator[Figure]:
    """From `walnut.open` to the first answer, in a new process: views in place, and only a checkpoint left."""
    count = 1_000_000 if ground.full else ground.scaled(100_000, quick=500)
    path = ground.store(count)
    question = queries(texts(count)[:1_000], 1)[0]
    for name, without in (("views in place", False), ("from the checkpoint alone", True)):
        found = []
        for _ in range(min(3, ground.pairs)):
            if without:
                shutil.rmtree(path / "views")
            found.append(_measured(_REOPEN, str(path), question))
        yield Figure(
            row="reopen",
            name=f"reopen {count:,} events, {name}",
            value=median(each["recall"] for each in found),
            unit="s",
            at_least=1.0,
            aim=0.2,
            lower=True,
            beside=f"open alone {median(each['open'] for each in found) * 1e3:.1f} ms",
            stand_in=not ground.full,
        )


def _measured(script: str, *words: str) -> dict[str, float]:
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=900)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def recall(ground: Ground) -> Iterator[Figure]:
    """Milliseconds of a recall of ten, with all memories in the one scope that is read."""
    asked = ground.scaled(200, quick=10)
    for count in (200,) if ground.quick else (10_000, 100_000):
        with walnut.open(ground.store(count), create=False, checkpoint_every=0) as memory:
            questions = queries(texts(count)[:5_000], asked)
            memory.recall(questions[0])
            for mode in _MODES:
                yield from _recalled(memory, mode, questions, count)


def _recalled(memory: walnut.Memory, mode: Mode, questions: list[str], count: int) -> Iterator[Figure]:
    times, used = [], time.process_time()
    for question in questions:
        start = time.perf_counter()
        memory.recall(question, mode=mode)
        times.append((time.perf_counter() - start) * 1e3)
    used = (time.process_time() - used) / len(questions) * 1e6
    targeted = mode == "hybrid" and count >= 100_000
    for name, value, targets in (
        ("p50", median(times), (10.0, 5.0)),
        ("p95", quantiles(times, n=20)[-1], (25.0, 12.0)),
    ):
        yield Figure(
            row="recall",
            name=f"recall {mode}, {count:,} memories, {name}",
            value=value,
            unit="ms",
            at_least=targets[0] if targeted else None,
            aim=targets[1] if targeted else None,
            lower=True,
            beside=f"{len(questions)} questions, slowest {max(times):.1f} ms",
            cpu_us=used,
        )
