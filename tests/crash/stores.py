"""What the crash tests share: small segments, batches that tell who wrote them, and the judgement of a store."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import NamedTuple

from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.log.verify import verify_folder
from walnut.model.event import INSERT, Content, Draft, Event
from walnut.model.requests import Durability
from walnut.ports import Appended, Batch
from walnut.system import System


@contextmanager
def small_segments(smallest: int = 64 * 1024, largest: int = 1024 * 1024) -> Iterator[None]:
    """Segments small enough that tests roll often."""
    before = segment.SMALLEST, segment.LARGEST
    segment.SMALLEST, segment.LARGEST = smallest, largest
    try:
        yield
    finally:
        segment.SMALLEST, segment.LARGEST = before


def hashed(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def draft(tag: str, size: int = 40, *, key: str | None = None) -> Draft:
    """An event that carries `tag` and `size` bytes that follow from it."""
    content = Content(
        scope="user:storm",
        actor="agent:storm",
        payload={"tag": tag, "text": random.Random(tag).randbytes(size // 2).hex()},
        idempotency_key=key,
        request_hash=hashed(f"request {tag}") if key else None,
    )
    return Draft(
        kind="memory.write",
        content=content,
        op=INSERT,
        touches=(b"\x01" + hashed(f"memory {tag}"),),
        idem=hashed(key) if key else None,
    )


def single(tag: str, size: int = 40, *, key: str | None = None, durability: Durability = "disk") -> Batch:
    return Batch(transactions=((draft(tag, size, key=key),),), durability=durability)


def digest(event: Event) -> str:
    assert event.content is not None
    return hashed(f"{event.content.payload}").hex()


class Ack(NamedTuple):
    """What was acknowledged, as it was reported after the ack."""

    lsn: int
    event_id: str
    tag: str


def acks(batch: Batch, appended: tuple[Appended, ...]) -> list[Ack]:
    drafts = [each for transaction in batch.transactions for each in transaction]
    return [
        Ack(got.lsn, got.raw_id.hex(), str(each.content.payload["tag"]))
        for got, each in zip(appended, drafts, strict=True)
    ]


def fill(log: FileLog, count: int, *, prefix: str = "fill", size: int = 40) -> list[Ack]:
    """Append so many events one by one."""
    found: list[Ack] = []
    for number in range(count):
        batch = single(f"{prefix}.{number}.0.1", size)
        found += acks(batch, log.append(batch))
    return found


def judge(log: FileLog, acknowledged: list[Ack]) -> list[Event]:
    """All of the promises that a store that was opened again must keep; returns its events."""
    events = list(log.read())
    assert [event.lsn for event in events] == list(range(1, len(events) + 1)), "LSNs are not dense"
    tags = [str(event.content.payload["tag"]) for event in events if event.content]
    assert len(set(tags)) == len(tags), "an event is there twice"
    for ack in acknowledged:
        assert ack.lsn <= len(events), f"acknowledged and lost: {ack}"
        event = events[ack.lsn - 1]
        assert (event.raw_id.hex(), tags[ack.lsn - 1]) == (ack.event_id, ack.tag), f"another event at {ack}"
    for event in events:
        assert event.content is not None
        whole = draft(str(event.content.payload["tag"]), len(str(event.content.payload["text"])))
        assert event.content.payload == whole.content.payload, f"changed content at LSN {event.lsn}"
    times = [event.recorded_at for event in events]
    assert times == sorted(times), "times step back"
    batches_are_whole(tags)
    report = log.verify()
    assert report.ok, report
    return events


def batches_are_whole(tags: list[str]) -> None:
    """A tag ends with its place in its batch and the batch's size: `….2.5`."""
    at = 0
    while at < len(tags):
        name, place, size = re.fullmatch(r"(.*)\.(\d+)\.(\d+)", tags[at]).groups()  # type: ignore[union-attr]
        assert place == "0", f"a batch lost its beginning: {tags[at]}"
        assert tags[at : at + int(size)] == [f"{name}.{n}.{size}" for n in range(int(size))], f"torn batch: {name}"
        at += int(size)


def reopened(folder: str, acknowledged: list[Ack]) -> list[Event]:
    """Open, judge, write once more, close, verify offline."""
    with FileLog.open(System(), folder) as log:
        events = judge(log, acknowledged)
        batch = single(f"after.{len(events)}.{random.getrandbits(60)}.0.1")
        more = acks(batch, log.append(batch))
    with FileLog.open(System(), folder) as log:
        again = judge(log, [*acknowledged, *more])
    report = verify_folder(System(), folder)
    assert report.ok, report
    assert report.last_lsn == len(again)
    return again


def wait_until(condition: Callable[[], bool], *, limit: float = 60) -> None:
    """Look until it holds; the limit only ends a test that hangs."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def say(text: str) -> None:
    """Into the output of the test, shown when it fails: seeds above all."""
    sys.stdout.write(f"{text}\n")
