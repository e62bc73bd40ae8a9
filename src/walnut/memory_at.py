"""The reading half of the face for threads: what a handle can be asked, now or as of a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from walnut.engine import parse, read
from walnut.engine.handle import Handle
from walnut.model.contexts import Context
from walnut.model.given import Evidence, Hits, Named, Versions, When
from walnut.model.requests import Direction, Mode, Order
from walnut.model.results import Explanation, MemoryRecord, Page


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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     ack = m.remember("Prefers CSV exports", tags=["preference"])
        ...     hits = m.recall("which export format?", k=5, tags=["preference"], explain=True)
        >>> [hit.text for hit in hits]
        ['Prefers CSV exports']
        >>> abs(hits[0].score - sum(part.value for part in hits[0].parts)) < 1e-9
        True
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     ack = m.remember("Lives in Ghent", key="home")
        ...     m.get(key="home") == m.get(ack)
        True
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     acks = m.remember_many([{"text": "one"}, {"text": "two"}, {"text": "three"}])
        ...     page = m.list(limit=2)
        ...     rest = m.list(limit=2, cursor=page.cursor)
        >>> [record.text for record in (*page.items, *rest.items)], rest.cursor
        (['three', 'two', 'one'], None)
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

        >>> import walnut
        >>> with walnut.open("memory://") as m:
        ...     said = m.remember("The invoice as CSV, please")
        ...     fact = m.remember("Prefers CSV exports", caused_by=[said])
        ...     from_said = m.why(fact).root.steps[0]
        ...     led_to = m.why(said, direction="influenced").root.steps[0]
        >>> (from_said.reason, from_said.text), (led_to.reason, led_to.text)
        (('evidence', 'The invoice as CSV, please'), ('derived', 'Prefers CSV exports'))
        """
        return read.why(self._handle, what, direction=direction)
