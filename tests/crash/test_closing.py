"""A store closed by one thread while others call it: they hear StoreClosed, and no error of another make."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import walnut
from tests.crash.faults import WatchedMap
from tests.crash.stores import draft, fill, hashed, reopened, single, small_segments, wait_until
from walnut import aio
from walnut.errors import StoreClosed, ViewLag
from walnut.log.file_log import FileLog
from walnut.system import MappedFile, System

_WATCHED = [
    "read_at",
    "write_at",
    "datasync",
    "file_size",
    "list_folder",
    "monotonic",
    "now",
    "random",
    "open_file",
    "try_lock_file",
    "exists",
]


class Seen(WatchedMap):
    """A mapped file that tells of being looked into, too."""

    def __getitem__(self, index: slice) -> bytes:
        self._touch("load", lambda: None)
        return super().__getitem__(index)


class ClosesAt(System):
    """At the n-th call of one thread from `arm` on, another thread closes the store.

    Where that waits for something that the thread has, it goes on beside it.
    """

    def __init__(self) -> None:
        self._thread, self._left = 0, 0
        self._close: Callable[[], None] = lambda: None
        self.closing: threading.Thread | None = None
        for name in _WATCHED:
            setattr(self, name, partial(self._told, getattr(self, name)))

    def arm(self, number: int, close: Callable[[], None]) -> None:
        self._thread, self._left, self._close, self.closing = threading.get_ident(), number, close, None

    def _told(self, call: Callable[..., object], *args: object, **kwargs: object) -> object:
        self.touch("", lambda: None)
        return call(*args, **kwargs)

    def touch(self, name: str, half: Callable[[], None]) -> None:
        del name, half
        if threading.get_ident() != self._thread:
            return
        self._left -= 1
        if self._left == 0:
            self.closing = threading.Thread(target=self._close)
            self.closing.start()
            self.closing.join(0.02)

    def map_file(self, fd: int, length: int, *, write: bool = False) -> MappedFile:
        return Seen(super().map_file(fd, length, write=write), self.touch)


def closed_at(system: ClosesAt, number: int, call: Callable[[], object], close: Callable[[], None]) -> bool:
    """Whether the call came so far that the store was closed under it."""
    system.arm(number, close)
    with contextlib.suppress(StoreClosed):
        call()
    system.arm(0, close) if system.closing is None else system.closing.join(60)
    assert system.closing is None or not system.closing.is_alive()
    return system.closing is not None


def log_calls(log: FileLog, name: str) -> list[Callable[[], object]]:
    touch = draft("fill.0.0.1").touches[0]
    beyond = log.durable_lsn() + 1000
    return [
        lambda: log.append(single(f"{name}.0.1")),
        lambda: log.append(single(f"{name}.0.1", key=name, durability="process")),
        lambda: log.append(single(f"{name}.0.1", 100_000)),
        lambda: log.submit(single(f"{name}.0.1")).result(60),
        log.sync,
        lambda: log.adopt_secret(bytes(32)),
        lambda: list(log.read()),
        lambda: log.get(3),
        lambda: log.stream(touch),
        lambda: log.last_touch(touch),
        lambda: log.find_idem(hashed("none")),
        lambda: log.locate(4),
        lambda: log.wait(beyond, timeout=0.01),
        lambda: log.chain(3),
        log.verify,
        log.size,
    ]


def test_whatever_call_of_the_log_finds_it_closed_says_so(tmp_path: Path, rounds: Callable[[int], int]) -> None:
    folder, step = str(tmp_path), 3 // rounds(3)
    with small_segments():
        with FileLog.open(System(), folder) as log:
            known = fill(log, 6)
        for which in range(16):
            number, reached = 1 + which % step, True
            while reached:
                system = ClosesAt()
                log = FileLog.open(system, folder)
                call = log_calls(log, f"call-{which}-{number}")[which]
                reached = closed_at(system, number, call, log.close)
                log.close()
                number += step
        reopened(folder, known)


def test_L9_a_secret_is_not_adopted_beside_a_write_of_another_thread(tmp_path: Path) -> None:
    class Writes(System):
        """A write that takes as long as the other thread, but not for ever."""

        begun, over = threading.Event(), threading.Event()

        def write_at(self, fd: int, data: bytes, offset: int) -> None:
            if self.begun.is_set():
                self.over.wait(0.2)
            super().write_at(fd, data, offset)

    system, adopted = Writes(), list[bool]()
    log = FileLog.open(system, str(tmp_path))
    writing = threading.Thread(target=lambda: log.append(single("first.0.1", key="key")))

    def adopt() -> None:
        adopted.append(log.adopt_secret(bytes(32)))
        system.over.set()

    system.begun.set()
    writing.start()
    wait_until(log._committer.at_work.locked)
    adopting = threading.Thread(target=adopt)
    adopting.start()
    for thread in (writing, adopting):
        thread.join(60)
    assert adopted == [False]
    log.close()
    assert len(reopened(str(tmp_path), [])) == 2


def memory_calls(m: walnut.Memory) -> list[Callable[[], object]]:
    """Every verb that asks anything of the store, on the memory `first` and its event 1."""
    memory_id = m.get(key="first").memory_id
    return [
        lambda: m.remember("more"),
        lambda: m.remember("more", key="first", expected_version=1),
        lambda: m.remember("more", memory_id=memory_id, caused_by=[1]),
        lambda: m.remember_many([{"text": "more"}, {"text": "still more", "idempotency_key": "k"}]),
        lambda: m.forget(m.remember("to go").memory_id or ""),
        lambda: m.recall("first"),
        lambda: m.recall("first", mode="keyword"),
        lambda: m.context("first"),
        lambda: m.get(key="first"),
        lambda: m.get(memory_id),
        m.list,
        lambda: m.history(memory_id),
        lambda: m.why(1),
        lambda: m.as_of(lsn=1).recall("first"),
        lambda: m.as_of(system_time="2020-01-01"),
        lambda: m.apply(m.plan_revert(events=[m.remember("wrong")])),
        lambda: m.bind(actor="agent:other").remember("theirs"),
        m.wait,
        lambda: m.wait(10**6, timeout=0.01),
        lambda: list(m.log.read()),
        lambda: list(m.log.tail(after=0, timeout=0.01)),
        lambda: m.log.durable_lsn,
        lambda: m.log.locate(1),
        m.log.verify,
        m.upkeep.checkpoint,
        m.upkeep.rebuild,
        m.upkeep.verify_views,
        m.upkeep.stats,
    ]


def test_whatever_verb_finds_the_store_closed_says_so(tmp_path: Path, rounds: Callable[[int], int]) -> None:
    """Threads that call all verbs, each until it hears that the store is closed."""
    with walnut.open(tmp_path) as m:
        m.remember("first", key="first")
    for number in range(rounds(20)):
        m = walnut.open(tmp_path)
        calls, strange = memory_calls(m), list[BaseException]()
        begun = threading.Barrier(len(calls) + 1)

        def work(call: Callable[[], object], begun: threading.Barrier, strange: list[BaseException]) -> None:
            begun.wait()
            while True:
                try:
                    call()
                except StoreClosed:
                    return
                except (ViewLag, walnut.VersionConflict):
                    continue
                except BaseException as error:
                    strange.append(error)
                    raise

        threads = [threading.Thread(target=work, args=(call, begun, strange)) for call in calls]
        for thread in threads:
            thread.start()
        begun.wait()
        for _ in range(number % 3):
            m.remember("before the end")
        m.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not strange


def test_coroutines_that_find_the_store_closed_are_told_so(tmp_path: Path, rounds: Callable[[int], int]) -> None:
    async def work(call: Callable[[], object]) -> None:
        while True:
            try:
                await call()  # type: ignore[misc]
            except StoreClosed:
                return
            except ViewLag:
                continue

    async def last(m: aio.AsyncMemory) -> None:
        async for _ in m.log.tail(after=0):
            pass

    async def storm() -> None:
        m = await aio.open(tmp_path)
        ack = await m.remember("first", key="first")
        calls: list[Callable[[], object]] = [
            lambda: m.remember("more"),
            lambda: m.remember("more", key="first"),
            lambda: m.remember_many([{"text": "more"}, {"text": "still more"}]),
            lambda: m.recall("first"),
            lambda: m.get(ack.memory_id),
            lambda: m.history(ack.memory_id or ""),
            lambda: m.wait(10**6, timeout=0.01),
            lambda: last(m),
            m.log.verify,
            m.upkeep.stats,
        ]
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for call in calls:
                tasks.create_task(work(call))
            for _ in range(20):
                await m.remember("meanwhile")
            await m.close()

    for _ in range(rounds(30)):
        asyncio.run(storm())
