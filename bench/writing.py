"""Rows about one writer: remembering at disk, in batches, and what it costs in CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import walnut
from bench.bytecodes import bytecodes
from bench.figure import Figure, Rate, cpu, ratio, speed, turns
from bench.ground import Ground, timed
from bench.texts import endless, texts
from walnut.log.file_log import FileLog
from walnut.model.event import INSERT, Content, Draft
from walnut.model.requests import Durability
from walnut.ports import Batch
from walnut.system import System

BATCH = 100


def remember(ground: Ground) -> Iterator[Figure]:
    """One thread, one event a sync, through the face."""
    notes = endless()
    with walnut.open(ground.fresh()) as memory:
        size = frame_size(memory)
        rates = ground.alternate(
            {
                "ours": lambda: timed(lambda: memory.remember(next(notes)), ground.seconds),
                "limit": lambda: ground.limit.run(size, ground.seconds),
            }
        )
    yield Figure(
        row="remember",
        name="remember at disk, one thread",
        value=ratio(rates["ours"], rates["limit"]),
        unit="of the limit",
        at_least=0.60,
        aim=0.75,
        beside=_beside_limit(rates, size),
        cpu_us=cpu(rates["ours"]),
    )


def append(ground: Ground) -> Iterator[Figure]:
    """The same without the face: the log alone."""
    system, notes, numbers = System(), endless(), count()

    def batch() -> Batch:
        content = Content(scope="user:default", actor="agent:default", payload={"text": next(notes)})
        touch = b"\x01" + next(numbers).to_bytes(16, "big")
        return Batch(transactions=((Draft(kind="memory.write", op=INSERT, touches=(touch,), content=content),),))

    with FileLog.open(system, str(ground.fresh())) as log:
        size = sum(log.locate(log.append(batch())[0].lsn).length for _ in range(64)) // 64
        rates = ground.alternate(
            {
                "ours": lambda: timed(lambda: log.append(batch()), ground.seconds),
                "limit": lambda: ground.limit.run(size, ground.seconds),
            }
        )
    yield Figure(
        row="append",
        name="the log's append alone, at disk",
        value=ratio(rates["ours"], rates["limit"]),
        unit="of the limit",
        beside=_beside_limit(rates, size),
        cpu_us=cpu(rates["ours"]),
    )


def many(ground: Ground) -> Iterator[Figure]:
    """A hundred memories in one frame, against a limit that syncs each event."""
    notes = endless()

    def items() -> list[dict[str, str]]:
        return [{"text": next(notes)} for _ in range(BATCH)]

    with walnut.open(ground.fresh()) as memory:
        size = frame_size(memory)
        batch_size = memory.log.locate(memory.remember_many(items())[0].lsn).length
        rates = ground.alternate(
            {
                "ours": lambda: timed(lambda: memory.remember_many(items()), ground.seconds, events=BATCH),
                "limit": lambda: ground.limit.run(size, ground.seconds),
                "batches": lambda: ground.limit.run(batch_size, ground.seconds),
            }
        )
    yield Figure(
        row="many",
        name=f"remember_many of {BATCH}, events",
        value=ratio(rates["ours"], rates["limit"]),
        unit="x the limit",
        at_least=10,
        aim=20,
        beside=f"{speed(rates['ours'])}, limit {speed(rates['limit'])} one by one, "
        f"{speed(rates['batches'])} batches of {batch_size} bytes, {turns(rates['ours'], rates['limit'])}",
        cpu_us=cpu(rates["ours"]),
    )


def software(ground: Ground) -> Iterator[Figure]:
    """CPU of a remember that waits for no disk; of the whole process, its threads included."""
    notes, keys = endless(), count()
    with walnut.open("memory://") as memory, walnut.open(ground.fresh(), durability="process") as stored:

        def full() -> None:
            number = next(keys)
            stored.remember(
                next(notes),
                tags=["preference", "billing"],
                confidence=0.8,
                ttl="90d",
                source={"channel": "chat", "conversation_id": "c1", "message_id": str(number)},
                idempotency_key=f"chat:{number}",
            )

        rates = ground.alternate(
            {
                "at process, in files": partial(timed, lambda: stored.remember(next(notes)), ground.seconds),
                "in memory://": partial(timed, lambda: memory.remember(next(notes)), ground.seconds),
                "at process, all fields and a key": partial(timed, full, ground.seconds),
            }
        )
    for name, found in rates.items():
        plain = "all fields" not in name
        yield Figure(
            row="software",
            name=f"software cost, {name}",
            value=cpu(found),
            unit="µs",
            at_least=60 if plain else None,
            aim=25 if plain else None,
            lower=True,
            beside=f"{speed(found)} by the clock",
            cpu_us=cpu(found),
        )


def interpreted(ground: Ground) -> Iterator[Figure]:
    """Bytecodes of a remember: the same on every machine with this Python, so that a change shows at once."""
    notes = texts(ground.scaled(200, quick=20))
    stores: tuple[tuple[str, Path | str, Durability], ...] = (
        ("at disk", ground.fresh(), "disk"),
        ("at process", ground.fresh(), "process"),
        ("in memory://", "memory://", "disk"),
    )
    for name, url, durability in stores:
        with walnut.open(url, durability=durability) as memory:
            for note in notes:
                memory.remember(note)
            found = bytecodes(memory.remember, notes)
        most = ", ".join(f"{where} {number:.0f}" for where, number in found.most[:5])
        yield Figure(
            row="interpreted",
            name=f"bytecodes of a remember, {name}",
            value=found.total,
            unit="bytecodes",
            lower=True,
            beside=f"{found.calls:.0f} calls; most: {most}",
        )


def _beside_limit(rates: dict[str, list[Rate]], size: int) -> str:
    each = median(1e6 / rate.per_second for rate in rates["limit"])
    swing = turns(rates["ours"], rates["limit"])
    return f"{speed(rates['ours'])}, limit {speed(rates['limit'])} ({each:,.0f} µs for {size} bytes), {swing}"


def frame_size(memory: walnut.Memory) -> int:
    """Bytes in the log of a lone event, in the mean of some dozens."""
    notes = endless()
    return sum(memory.log.locate(memory.remember(next(notes)).lsn).length for _ in range(64)) // 64
