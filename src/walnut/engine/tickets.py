"""From the log's threads to an event loop: tickets become futures, many of them woken at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from walnut.engine.write import RETRIES, Write
from walnut.errors import VersionConflict
from walnut.model.results import Ack
from walnut.ports import Ticket

_T = TypeVar("_T")


class Bridge:
    """Carries results from the log's threads into one event loop; one wake-up serves all that are done.

    What a write leads to in its handle happens in the log's thread: it does not depend on anyone still waiting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[asyncio.Future[None]] = deque()
        self._awake = False

    async def commit(self, write: Write) -> list[Ack]:
        """Hand over to the log and wait for the acks. Cancelled or not, the log writes all of it or nothing.

        A write that looked up a version itself is prepared anew when another came between.
        """
        for _ in range(RETRIES):
            if not write.batch.transactions:
                return []
            future: asyncio.Future[None] = self.loop.create_future()
            ticket = write.handle.store.log.submit(write.batch)
            ticket.add_done_callback(partial(self._finish, write, future))
            await future
            try:
                appended = ticket.result(0)
            except VersionConflict:
                if write.again is None:
                    raise
                write = await self.call(write.again)
                continue
            for each in appended:
                if each.replayed:  # its ack is looked up in the log
                    return await self.call(partial(write.acks, appended))
            return write.acks(appended)
        raise VersionConflict("others changed it each time", hint="try again, or pass expected_version")

    async def call(self, work: Callable[[], _T]) -> _T:
        """Run in the loop's small pool of threads."""
        return await self.loop.run_in_executor(None, work)

    def _finish(self, write: Write, future: asyncio.Future[None], ticket: Ticket) -> None:
        """In the log's thread, which whatever was refused must not reach: it is raised by `commit`."""
        try:
            write.settle(ticket.result(0))
        except BaseException:  # noqa: BLE001 - the ticket keeps it for who waits
            write.undo()
        finally:
            self._done.append(future)
            if not self._awake:
                self._awake = True
                self._wake()

    def _wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._done.clear()

    def _deliver(self) -> None:
        """In the loop's thread. `_awake` falls first: who adds after that wakes again, so none is left behind."""
        self._awake = False
        while self._done:
            future = self._done.popleft()
            if not future.done():
                future.set_result(None)
