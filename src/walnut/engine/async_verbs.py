"""The grouped verbs of the face for asyncio: `m.log` and `m.upkeep`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from walnut.engine import govern
from walnut.engine.handle import Handle
from walnut.engine.tickets import Bridge
from walnut.engine.verbs import EventLog, Upkeep
from walnut.model.event import Event
from walnut.model.given import ViewChecks
from walnut.model.results import Embedding, Position, Stats, VerifyReport
from walnut.policy import limits

#: LSNs that a reading thread takes at a time.
_CHUNK = 256
#: Seconds between two looks of a tail: waiting takes no thread, so any number of tails can wait.
_LOOK = 0.02


class AsyncEventLog:
    """The events of a handle's scope and below, in the order they were written."""

    def __init__(self, handle: Handle, bridge: Bridge) -> None:
        self._handle = handle
        self._log = EventLog(handle)
        self._bridge = bridge

    @property
    def durable_lsn(self) -> int:
        """The newest LSN on disk."""
        return self._log.durable_lsn

    async def read(self, *, after: int = 0, upto: int | None = None) -> AsyncIterator[Event]:
        """Events with `after` < lsn <= `upto` (None: the newest when the read starts); other scopes' are gaps."""
        last = await self._bridge.call(partial(govern.end, self._handle, after=after, upto=upto))
        for low in range(after, last, _CHUNK):
            for event in await self._bridge.call(partial(govern.chunk, self._handle, low, min(low + _CHUNK, last))):
                yield event

    async def tail(self, *, after: int | None = None, timeout: float | None = None) -> AsyncIterator[Event]:  # noqa: ASYNC109 - the quiet after which it ends
        """Events as they become durable, from any process; ends when none came for `timeout` seconds."""
        if timeout is not None:
            limits.seconds(timeout, where="timeout")
        last = await self._bridge.call(partial(govern.begin, self._handle, after))
        loop = self._bridge.loop
        quiet_since = loop.time()
        while True:
            newest = min(self._log.durable_lsn, last + _CHUNK)
            if newest > last:
                events = await self._bridge.call(partial(govern.chunk, self._handle, last, newest))
                last = newest
                for event in events:
                    yield event
                    quiet_since = loop.time()
            elif timeout is not None and loop.time() - quiet_since >= timeout:
                return
            else:
                await asyncio.sleep(_LOOK)

    async def verify(self) -> VerifyReport:
        """Read and check every bit of the log."""
        return await self._bridge.call(self._log.verify)

    async def locate(self, address: int | str) -> Position:
        """Where an event lies: by LSN, event id, or `walnut://<scope>/<memory_id>@<version>`."""
        return await self._bridge.call(partial(self._log.locate, address))


class AsyncUpkeep:
    """What keeps a store quick and honest; nothing here changes an answer."""

    def __init__(self, handle: Handle, bridge: Bridge) -> None:
        self._upkeep = Upkeep(handle)
        self._bridge = bridge

    async def checkpoint(self) -> int:
        """Write a verified snapshot of the views; returns its LSN."""
        return await self._bridge.call(self._upkeep.checkpoint)

    async def rebuild(self) -> int:
        """Build the views anew from the log; returns the LSN they reached."""
        return await self._bridge.call(self._upkeep.rebuild)

    async def verify_views(self) -> ViewChecks:
        """Replay the log into fresh views and compare digests of logical rows."""
        return await self._bridge.call(self._upkeep.verify_views)

    async def embed(self, *, timeout: float = 60.0) -> Embedding:  # noqa: ASYNC109 - the wait is for another thread
        """Wait until every memory on disk has a vector of the store's embedder, at most `timeout` seconds."""
        return await self._bridge.call(partial(self._upkeep.embed, timeout=timeout))

    async def stats(self) -> Stats:
        """Counts of the bound scope and below, and sizes of the store."""
        return await self._bridge.call(self._upkeep.stats)
