"""`python -m bench.workers <store> [settings as JSON]`: a process that drives one store by orders, a JSON line each.

Every order gets one line of JSON in answer; `storm` gives a line for each acknowledged name, and never ends. An error
that is not a refused write ends the process: its last words are the reason.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from bench.texts import texts
from bench.workers.load import AsyncWrite, Load, Write
from bench.workers.store import AsyncStore, Store

STORES = {
    "walnut-threads": ("walnut", "Threads"),
    "walnut-tasks": ("walnut", "Tasks"),
    "walnut-mcp": ("walnut", "Server"),
    "sqlite": ("sqlite", "PerCommit"),
    "sqlite-grouped": ("sqlite", "Grouped"),
    "postgres": ("postgres", "Table"),
    "redis": ("redis", "Stream"),
    "langgraph": ("langgraph", "Saver"),
    "agents": ("agents", "Session"),
    "mcp-memory": ("mcp", "Memory"),
    "eventsourcing": ("eventsourcing", "Recorder"),
}
#: Texts of one commit while a store is filled.
BATCH = 500


Answer: TypeAlias = dict[str, object]
T = TypeVar("T")


class Worker:
    """Obeys orders; one store at a time is open."""

    def __init__(self, kind: Callable[..., Store | AsyncStore], settings: dict[str, object]) -> None:
        self._kind = kind
        self._settings = settings
        self._store: Store | AsyncStore

    async def obey(self, do: str, order: dict[str, object]) -> Answer:
        """Do as told; the answer."""
        verb: Callable[..., Awaitable[Answer]] = getattr(self, f"_{do}")
        return await verb(**order)

    async def _open(self, at: str) -> Answer:
        self._store = self._kind(Path(at), **self._settings)
        opened = getattr(self._store, "open", None)  # of those that can't be opened without waiting
        if opened is not None:
            await opened()
        return {}

    async def _close(self) -> Answer:
        await _result(self._store.close())
        return {}

    async def _burst(self, writers: int, each: int, process: str) -> Answer:
        load = await self._run(Load(process=process, each=each), writers)
        return {"acknowledged": load.acknowledged, "refused": load.refused, "refusal": load.refusal}

    async def _rate(self, writers: int, seconds: float, process: str, *, latencies: bool) -> Answer:
        load = await self._run(Load(process=process, seconds=seconds), writers)
        return {
            "count": len(load.nanoseconds),
            "seconds": load.ended - load.started,
            "refused": load.refused,
            "refusal": load.refusal,
            "nanoseconds": load.nanoseconds if latencies else [],
        }

    async def _storm(self, writers: int, process: str) -> Answer:
        await self._run(Load(process=process, heard=_say), writers)
        return {}

    async def _run(self, load: Load, writers: int) -> Load:
        writes: Sequence[Write] | Sequence[AsyncWrite] = self._store.writers(writers)
        if inspect.iscoroutinefunction(writes[0]):
            await load.in_tasks(cast("Sequence[AsyncWrite]", writes), self._store.refusals)
        else:
            load.in_threads(writes, self._store.refusals)
        return load

    async def _batches(self, size: int, seconds: float, process: str) -> Answer:
        notes = texts(1_024)
        count, started = 0, time.perf_counter()
        while time.perf_counter() < started + seconds:
            batch = [f"b{process}-{count + k} {notes[(count + k) % len(notes)]}" for k in range(size)]
            await _result(self._store.write_many(batch))
            count += size
        return {"count": count, "seconds": time.perf_counter() - started}

    async def _fill(self, start: int, stop: int, seconds: float, batch: int = BATCH) -> Answer:
        hurry = getattr(self._store, "hurry", None)
        if hurry is not None:
            hurry()
        pour = getattr(self._store, "pour", self._store.write_many)
        notes = texts(4_096)
        deadline = time.monotonic() + seconds
        while start < stop and time.monotonic() < deadline:
            upto = min(start + batch, stop)
            part = [f"f{number} {notes[number % len(notes)]}" for number in range(start, upto)]
            await _result(pour(part))
            start = upto
        return {"filled": start}

    async def _names(self) -> Answer:
        found = await _result(self._store.texts())
        return {"names": [text.split(" ", 1)[0] for text in found]}

    async def _last(self, name: str) -> Answer:
        text = str(await _result(self._store.last(name)))
        return {"found": name in text}

    async def _size(self) -> Answer:
        size = getattr(self._store, "size", None)
        return {"bytes": None if size is None else size()}


async def _result(given: T | Awaitable[T]) -> T:
    return await given if inspect.isawaitable(given) else given


def _say(name: str) -> None:
    # One write of a short line: whole or not at all, whoever else writes, and gone before the next commit begins.
    os.write(1, f"{name}\n".encode())


async def main() -> None:
    """Answer `{}` once the store's library is loaded, then obey until the input ends."""
    module, name = STORES[sys.argv[1]]
    kind = getattr(importlib.import_module(f"bench.workers.{module}"), name)
    worker = Worker(kind, json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    _say("{}")
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        answer = await worker.obey(order.pop("do"), order)
        _say_whole(json.dumps(answer))


def _say_whole(text: str) -> None:
    data = f"{text}\n".encode()
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    asyncio.run(main())
