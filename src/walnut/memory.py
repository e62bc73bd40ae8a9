"""The face for threads: `open` and the handle it returns, `Memory`, thin methods over the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Self

from walnut import opening
from walnut.engine import govern, parse, read, write
from walnut.engine.handle import Handle
from walnut.engine.verbs import EventLog, Upkeep
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
) -> Memory:
    """Open a store and return a handle bound to a scope and an actor.

    `url` is a folder (made when missing, unless `create=False`) or "memory://" for a store that ends with its
    last handle. Writes return once they are on disk (`durability="disk"`) or in the operating system
    ("process"). `busy_timeout` is how many seconds to wait for a lock that another process holds;
    `checkpoint_every` how many events lie between automatic checkpoints of the views (0: none). `embedder` is a
    model of yours (`walnut.embed.function`, `walnut.embed.http`) by which memories are found, too, once a thread
    of the store has embedded them; no write waits for it.

    Errors: InvalidArgument, ScopeError, NotAStore, FormatTooNew, UnsupportedFileSystem, UnsupportedPlatform,
    AccessDenied, LogCorruption, LogBusy, StorageFull, StorageFailed.

    >>> import walnut
    >>> with walnut.open("memory://", scope="user:alice") as m:
    ...     ack = m.remember("Prefers CSV exports")
    ...     m.get(ack.memory_id).text
    'Prefers CSV exports'
    """
    return Memory(
        opening.handle(
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


class MemoryAt:
    """A read-only handle at a moment: the methods answer as they would have then. Made by `Memory.as_of`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

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

    def recall(
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
        """Search the scope and its ancestors (`below`: its descendants too), best first.

        Any string is a legal query. `embedding` is its vector by a model of yours: it is compared with those that came
        with `remember(embedding=…)` in the same dimension, and with no other. `tags` must all be there; `since` and
        `until` bound `occurred_at` (half open). `min_lsn` waits until the views hold that LSN.
        `explain=True` fills `Hit.parts`, which sum to the score.

        Errors: InvalidArgument, ViewLag, ViewFailed.
        """
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
        return read.recall(self._handle, request)

    def context(
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
        """Prompt-ready text of at most `budget` tokens, a line each memory, cited as `[evt_…]`.

        `count` counts the tokens of a text as your model does (default: a safe estimate). Lines stand best first,
        or in `order="time"` by day as the conversation went, so that what is added later goes to the end.
        `neighbours` turns before and after each hit, of its session, have a third of the budget kept for them. `k` is
        how many hits are looked at, by default as many as the budget could hold. What nearly repeats a better hit
        waits behind all others; of a very long text the passage that answers best is shown.

        The other arguments and the errors are those of `recall`.

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     ack = m.remember("Prefers CSV exports", source={"speaker": "Ann"}, occurred_at="2026-02-01")
        ...     context = m.context("which export format?", budget=200)
        >>> context.text == f"- [{ack.event_id}] 2026-02-01 Ann: Prefers CSV exports"
        True
        >>> context.tokens <= 200, context.left_out
        (True, 0)
        """
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
        return read.context(self._handle, request, packing, count=count)

    def get(self, memory_id: Named | None = None, *, key: str | None = None) -> MemoryRecord:
        """The memory as it is now: by id, by a hit or ack of it, or by key (of several scopes, the nearest one's).

        Errors: NotFound, also for what was forgotten, reverted, expired, or lies outside; InvalidArgument.
        """
        return read.get(self._handle, memory_id, key=key)

    def list(
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
        """A page of memories, newest first; pass the page's `cursor` for the next one at the same LSN.

        The filters are those of `recall`. Errors: InvalidArgument (also for a broken cursor).
        """
        request = parse.listing(
            limit=limit,
            cursor=cursor,
            tags=tags,
            since=since,
            until=until,
            min_confidence=min_confidence,
            below=below,
        )
        return read.listing(self._handle, request)

    def history(self, memory_id: Named | None = None, *, key: str | None = None) -> Versions:
        """Every version of a memory, every forget and revert that touched it, oldest first; also of what is gone.

        By id, by a hit or ack of it, or by key: of several scopes, the nearest that ever had it.
        Errors: NotFound, InvalidArgument.

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     ack = m.forget(m.remember("Lives in Ghent", key="home"))
        ...     [version.state for version in m.history(key="home")]
        ['deleted', 'deleted']
        """
        return read.history(self._handle, memory_id, key=key)

    def why(self, what: Evidence, *, direction: Direction = "from") -> Explanation:
        """The chain of evidence behind a memory, hit, ack, event id or LSN; "influenced": what it led to.

        What lies outside the scope shows as a stub. Errors: NotFound, InvalidArgument.
        """
        return read.why(self._handle, what, direction=direction)


class Memory(MemoryAt):
    """A handle on a store, bound to a scope and an actor; safe to share between threads.

    Reading looks up (the scope and its ancestors), governing looks down (log, undo, stats: the scope and what is
    below it), writing goes to the scope itself. What lies outside answers exactly as if it did not exist.
    """

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle)
        self.log = EventLog(handle)
        self.upkeep = Upkeep(handle)

    @property
    def actor(self) -> str:
        """Who writes through this handle."""
        return self._handle.binding.actor

    @property
    def url(self) -> str:
        """What was opened."""
        return self._handle.store.url

    def remember(
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
        """Write a memory, and return when it has reached the durability.

        Without `key` or `memory_id` it is always a new memory; with one it is a new version, which inherits no
        field. The same `idempotency_key` with the same arguments writes once and answers `replayed=True`.
        `expected_version` refuses the write if anything touched the memory after that version (0: it must not
        exist). `ttl` counts from the time of recording.

        Errors: InvalidArgument, NotFound (`memory_id`, `caused_by`), VersionConflict, IdempotencyConflict,
        LogBusy, DurabilityUnknown, StorageFull, StorageFailed, StoreClosed.
        """
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
        return write.one(self._handle, write.remember(self._handle, request, durability))

    def remember_many(self, items: Items, *, durability: Durability | None = None) -> Acks:
        """Write several memories in one atomic frame, all or none; items are dicts of `remember`'s arguments.

        Errors: those of `remember`, naming the item.
        """
        requests = parse.remember_items(items)
        return write.all_of(self._handle, write.remember_many(self._handle, requests, durability))

    def forget(
        self,
        memory_id: Named,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        durability: Durability | None = None,
    ) -> Ack:
        """Retract a memory: it is no longer recalled, its history stays, a revert brings it back.

        Errors: NotFound, VersionConflict, and those of `remember`.
        """
        request = parse.forget(memory_id, expected_version=expected_version, idempotency_key=idempotency_key)
        return write.one(self._handle, write.forget(self._handle, request, durability))

    def as_of(
        self, *, system_time: When | None = None, valid_time: When | None = None, lsn: int | None = None
    ) -> MemoryAt:
        """A read-only handle on what was known at a moment, or what was true then (`valid_time`), or both.

        `system_time` is when it was recorded; `lsn` names the same moment exactly. Errors: InvalidArgument.
        """
        return MemoryAt(read.as_of(self._handle, system_time=system_time, valid_time=valid_time, lsn=lsn))

    def plan_revert(
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
        """What an undo of the selected events would touch, with what was derived from them; nothing is done yet.

        All given selectors must hold; `since` and `until` bound `recorded_at`. What the same actor wrote after it
        was shown a reverted memory is listed as suspect, and reverted with `include_suspects=True`.

        Errors: InvalidArgument (also when no selector is given), NotFound.
        """
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
        return govern.plan_revert(self._handle, request)

    def apply(self, plan: RevertPlan) -> Ack:
        """Undo what the plan lists; the undo is an event and can be reverted itself.

        Errors: StalePlan when anything relevant changed since, ScopeError for another scope's plan.
        """
        return write.one(self._handle, govern.apply(self._handle, plan))

    def bind(self, *, scope: str | None = None, actor: str | None = None) -> Memory:
        """A cheap handle on the same store, for this scope or one below it. Errors: ScopeError."""
        return Memory(self._handle.bind(scope=scope, actor=actor))

    def wait(self, lsn: int | None = None, *, timeout: float = 10.0) -> int:
        """Wait until the views hold `lsn` (None: all that is durable); returns where they are. Errors: ViewLag."""
        return govern.wait(self._handle, lsn, timeout=timeout)

    def close(self) -> None:
        """Finish what is in flight and let go; idempotent. The store closes with the handle that opened it."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
