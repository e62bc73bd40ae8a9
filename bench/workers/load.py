"""Writers that all start at one moment: threads or tasks, each with names of its own, and what became of each write."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bench.texts import texts

#: A writer that was refused so often in a row gives up.
PATIENCE = 20

Write = Callable[[str], object]
AsyncWrite = Callable[[str], Awaitable[object]]
Refusals = tuple[type[Exception], ...]


class Load:
    """What the writers of one run have in common.

    Each writes texts that begin with a name no other has, until `each` are written or `seconds` are over;
    `heard` is told of every acknowledged name at once.
    """

    def __init__(
        self,
        *,
        process: str = "",
        each: int | None = None,
        seconds: float | None = None,
        heard: Callable[[str], object] | None = None,
    ) -> None:
        self.acknowledged: list[str] = []
        self.nanoseconds: list[int] = []
        self.refused = 0
        self.refusal = ""
        self.started = 0.0
        self.ended = 0.0
        self._process = process
        self._each = each
        self._seconds = seconds
        self._heard = heard or self.acknowledged.append
        self._notes = texts(1_024)

    def in_threads(self, writes: Sequence[Write], refusals: Refusals) -> None:
        """Run one thread for each of `writes`; returns when all have ended."""
        gate = threading.Barrier(len(writes) + 1)

        def work(number: int, write: Write) -> None:
            mine: list[int] = []
            gate.wait()
            left = PATIENCE
            for name, text in self._notes_of(number):
                began = time.perf_counter_ns()
                try:
                    write(text)
                except refusals as error:
                    self._refuse(error)
                    left -= 1
                    if not left:
                        break
                else:
                    mine.append(time.perf_counter_ns() - began)
                    self._heard(name)
                    left = PATIENCE
            self.nanoseconds += mine

        threads = [threading.Thread(target=work, args=(number, write)) for number, write in enumerate(writes)]
        for thread in threads:
            thread.start()
        self.started = time.perf_counter()
        gate.wait()
        for thread in threads:
            thread.join()
        self.ended = time.perf_counter()

    async def in_tasks(self, writes: Sequence[AsyncWrite], refusals: Refusals) -> None:
        """Run one task for each of `writes`; returns when all have ended."""

        async def work(number: int, write: AsyncWrite) -> None:
            left = PATIENCE
            for name, text in self._notes_of(number):
                began = time.perf_counter_ns()
                try:
                    await write(text)
                except refusals as error:
                    self._refuse(error)
                    left -= 1
                    if not left:
                        break
                else:
                    self.nanoseconds.append(time.perf_counter_ns() - began)
                    self._heard(name)
                    left = PATIENCE

        self.started = time.perf_counter()
        await asyncio.gather(*(work(number, write) for number, write in enumerate(writes)))
        self.ended = time.perf_counter()

    def _notes_of(self, writer: int) -> Iterator[tuple[str, str]]:
        number = 0
        while self._each is None or number < self._each:
            if self._seconds is not None and time.perf_counter() >= self.started + self._seconds:
                return
            name = f"n{self._process}-{writer}-{number}"
            yield name, f"{name} {self._notes[(writer * 31 + number) % len(self._notes)]}"
            number += 1

    def _refuse(self, error: Exception) -> None:
        self.refused += 1
        self.refusal = self.refusal or f"{type(error).__name__}: {error}"[:120]
