"""The face for asyncio: the same names, parameters and defaults as `walnut.memory`, as coroutines.

Writes hand a ticket to the log's one committer, so thousands of coroutines share its syncs; reads run in the
event loop's pool of threads. A cancelled write is written whole or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Self

from walnut import opening
from walnut.engine import govern, parse, read, write
from walnut.engine.async_verbs import AsyncEventLog, AsyncUpkeep
from walnut.engine.handle import Handle
from walnut.engine.tickets import Bridge
from walnut.model.contexts import Context
from walnut.model.event import Json
from walnut.model.given import Acks, Evidence, Hits, Items, Lifetime, Named, Versions, When
from walnut.model.requests import Direction, Durability, Mode, Order
from walnut.model.results import Ack, Explanation, MemoryRecord, Page, RevertPlan
from walnut.ports import Embedder
from walnut.system import System


def open(
    url: str | PathLike[str],
    *,
    scope: str = "user:default",
    actor: str = "agent:default",
    durability: Durability = "disk",
    create: bool = True,
    network_file_system: bool = False,
    busy_timeout: float = 10.0,
    checkpoint_every: int = 10_000,
    embedder: Embedder | None = None,
    system: System | None = None,
) -> Opening:
    """Open a store as `walnut.open` does; await it for the handle, or use it in `async with`.

    >>> import asyncio
    >>> from walnut import aio
    >>> async def main() -> str:
    ...     async with aio.open("memory://") as m:
    ...         ack = await m.remember("Prefers CSV exports")
    ...         return (await m.get(ack.memory_id)).text
    >>> asyncio.run(main())
    'Prefers CSV exports'
    """
    return Opening(
        partial(
            opening.handle,
            url,
            scope=scope,
            actor=actor,
            durability=durability,
            create=create,
            network_file_system=network_file_system,
            busy_timeout=busy_timeout,
            checkpoint_every=checkpoint_every,
            embedder=embedder,
            system=system,
        )
    )


class Opening:
    """A store about to be opened: await it for the handle, or enter it to have the handle closed at the end."""

    def __init__(self, work: Callable[[], Handle]) -> None:
        self._work = work
        self._opened: AsyncMemory | None = None

    def __await__(self) -> Generator[object, None, AsyncMemory]:
        return self._open().__await__()

    async def _open(self) -> AsyncMemory:
        bridge = Bridge(asyncio.get_running_loop())
        return AsyncMemory(await bridge.call(self._work), bridge)

    async def __aenter__(self) -> AsyncMemory:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()


class AsyncMemoryAt:
    """A read-only handle at a moment, `walnut.MemoryAt` as coroutines. Made by `AsyncMemory.as_of`."""

    def __init__(self, handle: Handle, bridge: Bridge) -> None:
        self._handle = handle
        self._bridge = bridge

    @property
    def scope(self) -> str:
        """The scope this handle reads: it and its ancestors."""
        return self._handle.binding.scope

    @property
    def lsn(self) -> int | None:
        """The newest LSN this handle sees; None when only valid time is fixed."""
        return self._handle.binding.lsn

    @property
    def valid_time(self) -> int | None:
        """The "now" of valid time, ns since 1970 UTC; None when it is the clock."""
        return self._handle.binding.valid_at

    async def recall(
        self,
        query: str,
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        embedding: Sequence[float] | None = None,
        tags: Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        min_confidence: float | None = None,
        min_lsn: int | None = None,
        below: bool = False,
        explain: bool = False,
    ) -> Hits:
        """Search the scope and its ancestors, best first."""
        request = parse.recall(
            query,
            k=k,
            mode=mode,
            embedding=embedding,
            tags=tags,
            since=since,
            until=until,
            min_confidence=min_confidence,
            min_lsn=min_lsn,
            below=below,
            explain=explain,
        )
        return await self._bridge.call(partial(read.recall, self._handle, request))

    async def context(
        self,
        query: str,
        *,
        budget: int = 1500,
        count: Callable[[str], int] | None = None,
        order: Order = "relevance",
        neighbours: int = 0,
        k: int | None = None,
        mode: Mode = "hybrid",
        embedding: Sequence[float] | None = None,
        tags: Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        min_confidence: float | None = None,
        min_lsn: int | None = None,
        below: bool = False,
    ) -> Context:
        """Prompt-ready text within a budget of tokens, cited; `count` runs in a thread of the loop's pool."""
        packing = parse.packing(budget=budget, order=order, neighbours=neighbours)
        request = parse.recall(
            query,
            k=parse.depth(k, packing),
            mode=mode,
            embedding=embedding,
            tags=tags,
            since=since,
            until=until,
            min_confidence=min_confidence,
            min_lsn=min_lsn,
            below=below,
        )
        return await self._bridge.call(partial(read.context, self._handle, request, packing, count=count))

    async def get(self, memory_id: Named | None = None, *, key: str | None = None) -> MemoryRecord:
        """The memory as it is now, by id or by key."""
        return await self._bridge.call(partial(read.get, self._handle, memory_id, key=key))

    async def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        tags: Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        min_confidence: float | None = None,
        below: bool = False,
    ) -> Page:
        """A page of memories, newest first."""
        request = parse.listing(
            limit=limit,
            cursor=cursor,
            tags=tags,
            since=since,
            until=until,
            min_confidence=min_confidence,
            below=below,
        )
        return await self._bridge.call(partial(read.listing, self._handle, request))

    async def history(self, memory_id: Named | None = None, *, key: str | None = None) -> Versions:
        """Every version of a memory, oldest first."""
        return await self._bridge.call(partial(read.history, self._handle, memory_id, key=key))

    async def why(self, what: Evidence, *, direction: Direction = "from") -> Explanation:
        """The chain of evidence behind a memory; "influenced": what it led to."""
        return await self._bridge.call(partial(read.why, self._handle, what, direction=direction))


class AsyncMemory(AsyncMemoryAt):
    """A handle on a store, `walnut.Memory` as coroutines; belongs to the event loop it was opened in."""

    def __init__(self, handle: Handle, bridge: Bridge) -> None:
        super().__init__(handle, bridge)
        self.log = AsyncEventLog(handle, bridge)
        self.upkeep = AsyncUpkeep(handle, bridge)

    @property
    def actor(self) -> str:
        """Who writes through this handle."""
        return self._handle.binding.actor

    @property
    def url(self) -> str:
        """What was opened."""
        return self._handle.store.url

    async def remember(
        self,
        text: str,
        *,
        key: str | None = None,
        memory_id: Named | None = None,
        tags: Iterable[str] = (),
        confidence: float | None = None,
        ttl: Lifetime | None = None,
        data: Json = None,
        embedding: Sequence[float] | None = None,
        source: Mapping[str, Json] | None = None,
        subject: str | None = None,
        occurred_at: When | None = None,
        valid_from: When | None = None,
        valid_until: When | None = None,
        caused_by: Iterable[Evidence] = (),
        idempotency_key: str | None = None,
        expected_version: int | None = None,
        durability: Durability | None = None,
    ) -> Ack:
        """Write a memory, and return when it has reached the durability."""
        request = parse.remember(
            text,
            key,
            memory_id,
            tags,
            confidence,
            ttl,
            data,
            embedding,
            source,
            subject,
            occurred_at,
            valid_from,
            valid_until,
            caused_by,
            idempotency_key,
            expected_version,
        )
        prepare = partial(write.remember, self._handle, request, durability)
        looks_up = request.memory_id is not None or request.caused_by or request.expected_version is not None
        ready = await self._bridge.call(prepare) if looks_up else prepare()
        return (await self._bridge.commit(ready))[0]

    async def remember_many(self, items: Items, *, durability: Durability | None = None) -> Acks:
        """Write several memories in one atomic frame, all or none."""
        requests = parse.remember_items(items)
        ready = await self._bridge.call(partial(write.remember_many, self._handle, requests, durability))
        return await self._bridge.commit(ready)

    async def forget(
        self,
        memory_id: Named,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        durability: Durability | None = None,
    ) -> Ack:
        """Retract a memory: no longer recalled, its history stays."""
        request = parse.forget(memory_id, expected_version=expected_version, idempotency_key=idempotency_key)
        ready = await self._bridge.call(partial(write.forget, self._handle, request, durability))
        return (await self._bridge.commit(ready))[0]

    async def as_of(
        self, *, system_time: When | None = None, valid_time: When | None = None, lsn: int | None = None
    ) -> AsyncMemoryAt:
        """A read-only handle on what was known at a moment, or what was true then."""
        work = partial(read.as_of, self._handle, system_time=system_time, valid_time=valid_time, lsn=lsn)
        return AsyncMemoryAt(await self._bridge.call(work), self._bridge)

    async def plan_revert(
        self,
        *,
        events: Iterable[Evidence] = (),
        actor: str | None = None,
        source: Mapping[str, Json] | None = None,
        session: str | None = None,
        since: When | None = None,
        until: When | None = None,
        kinds: Iterable[str] = (),
        include_suspects: bool = False,
    ) -> RevertPlan:
        """What an undo of the selected events would touch; nothing is done yet."""
        request = parse.plan_revert(
            events=events,
            actor=actor,
            source=source,
            session=session,
            since=since,
            until=until,
            kinds=kinds,
            include_suspects=include_suspects,
        )
        return await self._bridge.call(partial(govern.plan_revert, self._handle, request))

    async def apply(self, plan: RevertPlan) -> Ack:
        """Undo what the plan lists; the undo is an event and can be reverted itself."""
        ready = await self._bridge.call(partial(govern.apply, self._handle, plan))
        return (await self._bridge.commit(ready))[0]

    async def bind(self, *, scope: str | None = None, actor: str | None = None) -> AsyncMemory:
        """A cheap handle on the same store, for this scope or one below it."""
        return AsyncMemory(self._handle.bind(scope=scope, actor=actor), self._bridge)

    async def wait(self, lsn: int | None = None, *, timeout: float = 10.0) -> int:  # noqa: ASYNC109 - as in `Memory`
        """Wait until the views hold `lsn` (None: all that is durable); returns where they are."""
        return await self._bridge.call(partial(govern.wait, self._handle, lsn, timeout=timeout))

    async def close(self) -> None:
        """Finish what is in flight and let go; idempotent."""
        await self._bridge.call(self._handle.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
