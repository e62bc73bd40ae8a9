"""Rows about writes at `durability="process"`, beside SQLite that promises the same.

They are handed to the operating system and acknowledged: a killed process loses none, a power cut may. SQLite in WAL
mode promises that with `synchronous=NORMAL`, which syncs at its checkpoints only, and with `OFF`, which never does.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import walnut
from bench.concurrent import WRITERS, in_threads
from bench.figure import Figure, Rate, cpu, ratio, speed, turns
from bench.ground import Ground, timed
from bench.texts import endless
from bench.writing import BATCH
from walnut import aio

_TABLE = "CREATE TABLE memory (id INTEGER PRIMARY KEY, at REAL, text TEXT)"
_INSERT = "INSERT INTO memory (at, text) VALUES (julianday(), ?)"


def process(ground: Ground) -> Iterator[Figure]:
    """One thread, 64 threads, 64 coroutines, batches of a hundred; all in files."""
    notes = endless()

    def batch() -> list[str]:
        return [next(notes) for _ in range(BATCH)]

    with (
        walnut.open(ground.fresh(), durability="process") as memory,
        _sqlite(ground.fresh(), "NORMAL") as normal,
        _sqlite(ground.fresh(), "OFF") as off,
    ):
        path = ground.fresh()
        parties: dict[str, Callable[[], Rate]] = {
            "one thread": lambda: timed(lambda: memory.remember(next(notes)), ground.seconds),
            "one thread, normal": lambda: timed(lambda: normal((next(notes),)), ground.seconds),
            "one thread, off": lambda: timed(lambda: off((next(notes),)), ground.seconds),
            f"{WRITERS} threads": lambda: in_threads(memory.remember, ground.seconds),
            f"{WRITERS} threads, normal": lambda: in_threads(lambda note: normal((note,)), ground.seconds),
            f"{WRITERS} asyncio tasks": lambda: asyncio.run(_in_tasks(path, ground.seconds)),
            f"remember_many of {BATCH}": lambda: timed(
                lambda: memory.remember_many([{"text": note} for note in batch()]), ground.seconds, events=BATCH
            ),
            f"remember_many of {BATCH}, normal": lambda: timed(lambda: normal(batch()), ground.seconds, events=BATCH),
        }
        rates = ground.alternate(parties)
    tasks_beside = {f"{WRITERS} asyncio tasks": f"{WRITERS} threads, normal"}
    for name in ("one thread", f"{WRITERS} threads", f"{WRITERS} asyncio tasks", f"remember_many of {BATCH}"):
        ours, peer = rates[name], rates[tasks_beside.get(name, f"{name}, normal")]
        without = f", OFF {speed(rates['one thread, off'])}" if name == "one thread" else ""
        yield Figure(
            row="process",
            name=f"at process, {name}, beside SQLite NORMAL",
            value=ratio(ours, peer),
            unit="x SQLite",
            beside=f"{speed(ours)}, SQLite {speed(peer)}{without}, {turns(ours, peer)}",
            cpu_us=cpu(ours),
        )


@contextmanager
def _sqlite(folder: Path, synchronous: str) -> Iterator[Callable[[Sequence[str]], None]]:
    """A function that writes texts in one transaction; one connection taken in turns, as in the rows at disk."""
    folder.mkdir()
    db = sqlite3.connect(folder / "peer.db", isolation_level=None, check_same_thread=False)
    turn = threading.Lock()
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute(_TABLE)

    def insert(texts: Sequence[str]) -> None:
        with turn:
            if len(texts) == 1:
                db.execute(_INSERT, texts)
                return
            db.execute("BEGIN")
            db.executemany(_INSERT, [(text,) for text in texts])
            db.execute("COMMIT")

    try:
        yield insert
    finally:
        db.close()


async def _in_tasks(path: Path, seconds: float) -> Rate:
    notes, written = endless(), 0
    async with aio.open(path, durability="process") as memory:
        await memory.remember(next(notes))
        start, used = time.perf_counter(), time.process_time()

        async def work() -> None:
            nonlocal written
            while time.perf_counter() < start + seconds:
                await memory.remember(next(notes))
                written += 1

        await asyncio.gather(*(work() for _ in range(WRITERS)))
        return Rate(written, time.perf_counter() - start, time.process_time() - used)
