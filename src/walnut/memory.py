"""The face for threads: `open` and the handle it returns, `Memory`, thin methods over the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Self

from walnut import opening
from walnut.engine import govern, parse, read, write
from walnut.engine.handle import Handle
from walnut.engine.verbs import EventLog, Upkeep
from walnut.memory_at import MemoryAt
from walnut.model.event import Json
from walnut.model.given import Acks, Evidence, Items, Lifetime, Named, When
from walnut.model.requests import Durability
from walnut.model.results import Ack, RevertPlan
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     first = m.remember("Lives in Berlin", key="home", idempotency_key="chat:7")
        ...     again = m.remember("Lives in Berlin", key="home", idempotency_key="chat:7")
        ...     moved = m.remember("Lives in Ghent", key="home", expected_version=first.version)
        >>> again.lsn == first.lsn, again.replayed, moved.memory_id == first.memory_id
        (True, True, True)
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     [ack.lsn for ack in m.remember_many([{"text": "one", "tags": ["a"]}, {"text": "two"}])]
        [1, 2]
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     gone = m.forget(m.remember("Lives in Berlin", key="home"))
        ...     undone = m.apply(m.plan_revert(events=[gone]))
        ...     m.get(key="home").text
        'Lives in Berlin'
        """
        request = parse.forget(memory_id, expected_version=expected_version, idempotency_key=idempotency_key)
        return write.one(self._handle, write.forget(self._handle, request, durability))

    def as_of(
        self, *, system_time: When | None = None, valid_time: When | None = None, lsn: int | None = None
    ) -> MemoryAt:
        """A read-only handle on what was known at a moment, or what was true then (`valid_time`), or both.

        `system_time` is when it was recorded; `lsn` names the same moment exactly. Errors: InvalidArgument.

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     berlin = m.remember("Lives in Berlin", key="home", valid_from="2021-05-01")
        ...     ghent = m.remember("Lives in Ghent", key="home", valid_from="2026-03-01")
        ...     known, true = m.as_of(lsn=berlin.lsn), m.as_of(valid_time="2025-01-01")
        ...     known.get(key="home").text, true.get(key="home").text
        ('Lives in Berlin', 'Lives in Berlin')
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     lie = m.remember("Pay to this account", source={"conversation_id": "c66"})
        ...     belief = m.remember("The account has changed", caused_by=[lie])
        ...     plan = m.plan_revert(source={"conversation_id": "c66"})
        ...     [item.role for item in plan.items], len(m.list().items)
        (['selected', 'derived'], 2)
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     lie = m.remember("Pay to this account", source={"conversation_id": "c66"})
        ...     undone = m.apply(m.plan_revert(source={"conversation_id": "c66"}))
        ...     redone = m.apply(m.plan_revert(events=[undone]))
        ...     [version.state for version in m.history(lie)][0]
        'current'
        """
        return write.one(self._handle, govern.apply(self._handle, plan))

    def bind(self, *, scope: str | None = None, actor: str | None = None) -> Memory:
        """A cheap handle on the same store, for this scope or one below it. Errors: ScopeError.

        >>> import walnut
        >>> with walnut.open("memory://", scope="global") as root:
        ...     alice, bob = root.bind(scope="user:alice"), root.bind(scope="user:bob")
        ...     ack = alice.remember("Likes tea")
        ...     len(alice.recall("tea")), len(bob.recall("tea"))
        (1, 0)
        """
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
