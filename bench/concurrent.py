"""Rows about many writers at once: threads, coroutines, processes, and peers that do the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import walnut
from bench import inserts
from bench.figure import Figure, Rate, cpu, ratio, speed, turns
from bench.ground import ROOT, Ground, timed
from bench.texts import endless, texts
from bench.writing import frame_size
from walnut import aio
from walnut.system import System

WRITERS = 64
PROCESSES = 4
#: Seconds.
SLOW_SYNC = 0.001


def concurrent(ground: Ground) -> Iterator[Figure]:
    """64 threads and 64 coroutines at disk, beside peers and beside naive threads in C."""
    path, tasks_path = ground.fresh(), ground.fresh()
    parties: dict[str, Callable[[], Rate]] = {}
    with (
        walnut.open(path) as memory,
        inserts.sqlite(ground.fresh()) as insert,
        inserts.postgres(ground.fresh(), clients=WRITERS) as (postgres, why_not),
    ):
        size = frame_size(memory)
        parties["threads"] = lambda: in_threads(memory.remember, ground.seconds)
        parties["tasks"] = lambda: asyncio.run(_in_tasks(tasks_path, WRITERS, ground.seconds))
        parties["many tasks"] = lambda: asyncio.run(_in_tasks(tasks_path, 8 * WRITERS, ground.seconds))
        parties["sqlite"] = lambda: in_threads(insert, ground.seconds)
        parties["naive"] = lambda: ground.limit.run(size, ground.seconds, threads=WRITERS)
        if postgres is not None:
            parties["postgres"] = lambda: postgres(max(1.0, ground.seconds))
        rates = ground.alternate(parties)
    for who, name, targets in (
        ("threads", f"{WRITERS} threads", (1.5, 3.0)),
        ("tasks", f"{WRITERS} asyncio tasks", (2.5, 5.0)),
    ):
        yield Figure(
            row="concurrent",
            name=f"{name}, beside SQLite FULL",
            value=ratio(rates[who], rates["sqlite"]),
            unit="x SQLite",
            at_least=10,
            beside=f"{speed(rates[who])}, SQLite {speed(rates['sqlite'])} a commit each, "
            f"{turns(rates[who], rates['sqlite'])}",
            cpu_us=cpu(rates[who]),
        )
        measured = "postgres" in rates
        beside = (
            f"PostgreSQL {speed(rates['postgres'])} with {WRITERS} connections, {turns(rates[who], rates['postgres'])}"
            if measured
            else ""
        )
        yield Figure(
            row="concurrent",
            name=f"{name}, beside PostgreSQL",
            value=ratio(rates[who], rates["postgres"]) if measured else None,
            unit="x PostgreSQL",
            at_least=targets[0],
            aim=targets[1],
            beside=beside,
            note=why_not,
        )
        yield Figure(
            row="concurrent",
            name=f"{name}, beside naive threads",
            value=ratio(rates[who], rates["naive"]),
            unit="x naive",
            beside=f"{WRITERS} threads in {ground.limit.language} that sync one file: {speed(rates['naive'])}",
        )
    yield Figure(
        row="concurrent",
        name=f"{8 * WRITERS} asyncio tasks",
        value=ratio(rates["many tasks"], rates["sqlite"]),
        unit="x SQLite",
        beside=speed(rates["many tasks"]),
        cpu_us=cpu(rates["many tasks"]),
    )


def in_threads(write: Callable[[str], object], seconds: float) -> Rate:
    """So many threads that write as fast as they may."""
    notes, counts = texts(1_000), [0] * WRITERS
    gate = threading.Barrier(WRITERS + 1)
    deadline = 0.0

    def work(number: int) -> None:
        gate.wait()
        mine = number
        while time.perf_counter() < deadline:
            write(notes[mine % len(notes)])
            mine += 1
        counts[number] = mine - number

    workers = [threading.Thread(target=work, args=(number,)) for number in range(WRITERS)]
    for worker in workers:
        worker.start()
    start, used = time.perf_counter(), time.process_time()
    deadline = start + seconds
    gate.wait()
    for worker in workers:
        worker.join()
    return Rate(max(1, sum(counts)), time.perf_counter() - start, time.process_time() - used)


class SlowDisk(System):
    """The real machine with syncs that take a millisecond, as they do on many a disk."""

    def datasync(self, fd: int) -> None:
        """Sync, then wait for the rest of the time."""
        start = self.monotonic()
        super().datasync(fd)
        self.sleep(max(0.0, start + SLOW_SYNC - self.monotonic()))


def slow_disk(ground: Ground) -> Iterator[Figure]:
    """What sharing syncs gives where they are slow, whatever the disk of this machine is like.

    Who syncs each commit by itself can't get beyond one a millisecond there: that is what they are compared with.
    """
    system, tasks_path = SlowDisk(), ground.fresh()
    with walnut.open(ground.fresh(), system=system) as memory:
        notes = endless()
        rates = ground.alternate(
            {
                "one thread": lambda: timed(lambda: memory.remember(next(notes)), ground.seconds),
                f"{WRITERS} threads": lambda: in_threads(memory.remember, ground.seconds),
                f"{WRITERS} asyncio tasks": lambda: asyncio.run(
                    _in_tasks(tasks_path, WRITERS, ground.seconds, system=system)
                ),
            }
        )
    for name, found in rates.items():
        yield Figure(
            row="slow",
            name=f"{name}, a sync held to 1 ms",
            value=median(rate.per_second for rate in found) * SLOW_SYNC,
            unit="x a sync each",
            beside=speed(found),
            cpu_us=cpu(found),
        )


async def _in_tasks(path: Path, tasks: int, seconds: float, *, system: System | None = None) -> Rate:
    notes = endless()
    written = 0
    async with aio.open(path, system=system) as memory:
        await memory.remember(next(notes))
        start, used = time.perf_counter(), time.process_time()

        async def work() -> None:
            nonlocal written
            while time.perf_counter() < start + seconds:
                await memory.remember(next(notes))
                written += 1

        await asyncio.gather(*(work() for _ in range(tasks)))
        return Rate(written, time.perf_counter() - start, time.process_time() - used)


def processes(ground: Ground) -> Iterator[Figure]:
    """Four processes that write one store, against one process that does."""
    rates = ground.alternate(
        {
            "four": lambda: _in_processes(ground, PROCESSES),
            "one": lambda: _in_processes(ground, 1),
        }
    )
    yield Figure(
        row="processes",
        name=f"{PROCESSES} processes, one thread each",
        value=ratio(rates["four"], rates["one"]),
        unit="x one process",
        at_least=1.5,
        aim=2.5,
        beside=f"{speed(rates['four'])}, one process {speed(rates['one'])}, {turns(rates['four'], rates['one'])}",
        cpu_us=cpu(rates["four"]),
    )


def _in_processes(ground: Ground, number: int) -> Rate:
    words = [sys.executable, "-m", "bench.worker", str(ground.fresh()), str(ground.seconds)]
    with walnut.open(words[3]):  # the first to open makes the store, the last to leave tidies up
        children = [_child(words) for _ in range(number)]
        try:
            reports = [json.loads(line) for line in _conducted(children)]
        finally:
            for child in children:
                child.communicate("\n", timeout=60)
    span = max(each["end"] for each in reports) - min(each["start"] for each in reports)
    return Rate(sum(each["count"] for each in reports), span, sum(each["cpu"] for each in reports))


def _child(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _conducted(children: list[subprocess.Popen[str]]) -> list[str]:
    """Give the word once all are ready; the line each then says."""
    for child in children:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("a writing process did not start")
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [child.stdout.readline() for child in children if child.stdout is not None]
