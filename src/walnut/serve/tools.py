"""The MCP tools: what each takes, what it says of itself to a model, and what it does with the memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from walnut.aio import AsyncMemory, AsyncMemoryAt
from walnut.errors import InvalidArgument, NotFound
from walnut.model.event import Json
from walnut.model.results import Explanation
from walnut.serve import plans
from walnut.serve.answers import Entry, Found, History, Packed, Planned, Written

_MEMORY_ID = Meta(description="mem_… as recall, history or remember returned it")
_TIME = "ISO 8601 with a zone (2026-02-01T12:00:00Z), or a date (00:00 UTC)"

MemoryId: TypeAlias = Annotated[str, _MEMORY_ID]
Time: TypeAlias = Annotated[str, Meta(description=_TIME)]
Tags: TypeAlias = Annotated[tuple[str, ...], Meta(description="only memories that carry all of these tags")]
Source: TypeAlias = Annotated[
    dict[str, Json],
    Meta(description="where it came from: channel, conversation_id, message_id, turn, speaker, uri, tool, …"),
]
AsOf: TypeAlias = Annotated[str, Meta(description=f"answer as was known at this time. {_TIME}")]
ValidAt: TypeAlias = Annotated[str, Meta(description=f"answer with what was true at this time. {_TIME}")]
Mode: TypeAlias = Annotated[
    Literal["hybrid", "keyword", "vector", "recent"],
    Meta(description="hybrid: all signals; keyword: words; vector: meaning; recent: newest first"),
]
#: Tells one attempt of a call from another: repeated with the same key, a write happens once.
IdempotencyKey: TypeAlias = Annotated[
    str, Meta(description="the same key and arguments write once, however often the call is repeated")
]


class Desk(msgspec.Struct, frozen=True):
    """What the tools work with: the handle bound at launch, and the store's secret, which seals plan ids."""

    memory: AsyncMemory
    secret: bytes


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool: `takes` and `gives` are struct types; `read_only` tools are idempotent and destroy nothing."""

    name: str
    title: str
    description: str
    takes: type[msgspec.Struct]
    gives: type[msgspec.Struct]
    work: Callable[[Desk, Any], Awaitable[msgspec.Struct]]
    read_only: bool
    destructive: bool
    idempotent: bool


#: By name, in the order a client lists them.
TOOLS: dict[str, Tool] = {}

_A = TypeVar("_A", bound=msgspec.Struct)
_R = TypeVar("_R", bound=msgspec.Struct)


def _tool(
    title: str, *, read_only: bool = False, destructive: bool = False, idempotent: bool = False
) -> Callable[[Callable[[Desk, _A], Awaitable[_R]]], Callable[[Desk, _A], Awaitable[_R]]]:
    """Register a function as the tool of its name; its docstring is what the model reads."""

    def register(work: Callable[[Desk, _A], Awaitable[_R]]) -> Callable[[Desk, _A], Awaitable[_R]]:
        hints = get_type_hints(work)
        TOOLS[work.__name__] = Tool(
            name=work.__name__,
            title=title,
            description=" ".join((work.__doc__ or "").split()),
            takes=hints["ask"],
            gives=hints["return"],
            work=work,
            read_only=read_only,
            destructive=destructive,
            idempotent=read_only or idempotent,
        )
        return work

    return register


class Remember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `remember`."""

    text: Annotated[str, Meta(description="one fact, preference or event, understandable on its own", min_length=1)]
    key: Annotated[str, Meta(description="a name for it: the same key again is a new version")] | None = None
    memory_id: Annotated[str, Meta(description="mem_… to write a new version of")] | None = None
    tags: Annotated[tuple[str, ...], Meta(description="labels to filter by")] = ()
    confidence: Annotated[float, Meta(ge=0, le=1, description="how sure you are, 0 to 1")] | None = None
    ttl: Annotated[str, Meta(description="forget by itself after this: a whole number and s, m, h, d or w")] | None = (
        None
    )
    data: Annotated[Json, Meta(description="any JSON to keep beside the text")] = None
    source: Source | None = None
    subject: Annotated[str, Meta(description="whose personal data it is, if anyone's")] | None = None
    occurred_at: Annotated[str, Meta(description=f"when it happened (default: now). {_TIME}")] | None = None
    valid_from: Annotated[str, Meta(description=f"true from then on. {_TIME}")] | None = None
    valid_until: Annotated[str, Meta(description=f"true until then. {_TIME}")] | None = None
    caused_by: Annotated[
        tuple[str, ...], Meta(description="what you conclude it from: event_ids or memory_ids of recalled memories")
    ] = ()
    idempotency_key: IdempotencyKey | None = None
    expected_version: (
        Annotated[int, Meta(ge=0, description="refuse if it changed since this version; 0: it must be new")] | None
    ) = None


class Recall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `recall`."""

    query: Annotated[str, Meta(description="what you want to know, in any words")]
    k: Annotated[int, Meta(ge=1, le=100, description="at most this many")] = 10
    mode: Mode = "hybrid"
    tags: Tags = ()
    since: Annotated[str, Meta(description=f"happened at or after. {_TIME}")] | None = None
    until: Annotated[str, Meta(description=f"happened before. {_TIME}")] | None = None
    min_confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    as_of: AsOf | None = None
    valid_at: ValidAt | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `context`."""

    query: Annotated[str, Meta(description="the task or question at hand, in any words")]
    budget: Annotated[int, Meta(ge=1, description="at most this many tokens, estimated")] = 1500
    order: Annotated[
        Literal["relevance", "time"],
        Meta(description="relevance: best first; time: by day, as the conversation went"),
    ] = "relevance"
    neighbours: Annotated[
        int, Meta(ge=0, le=5, description="turns before and after each memory, from its conversation")
    ] = 0
    k: (
        Annotated[
            int, Meta(ge=1, le=1000, description="look at this many memories (default: as the budget could hold)")
        ]
        | None
    ) = None
    mode: Mode = "hybrid"
    tags: Tags = ()
    since: Annotated[str, Meta(description=f"happened at or after. {_TIME}")] | None = None
    until: Annotated[str, Meta(description=f"happened before. {_TIME}")] | None = None
    min_confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    as_of: AsOf | None = None
    valid_at: ValidAt | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `why`."""

    id: Annotated[str, Meta(description="a memory_id (mem_…) or an event_id (evt_…)")]
    direction: Annotated[
        Literal["from", "influenced"], Meta(description="from: what it rests on; influenced: what it led to")
    ] = "from"


class Past(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `history`."""

    memory_id: MemoryId


class Forget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `forget`."""

    memory_id: MemoryId
    expected_version: Annotated[int, Meta(ge=0, description="refuse if it changed since this version")] | None = None
    idempotency_key: IdempotencyKey | None = None


class PlanRevert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `plan_revert`."""

    events: Annotated[tuple[str, ...], Meta(description="event_ids (evt_…) or memory_ids (mem_…)")] = ()
    actor: Annotated[str, Meta(description="written by this actor")] | None = None
    source: Annotated[dict[str, Json], Meta(description="every key given here is equal in the source")] | None = None
    session: Annotated[str, Meta(description="of this session or conversation_id")] | None = None
    since: Annotated[str, Meta(description=f"recorded at or after. {_TIME}")] | None = None
    until: Annotated[str, Meta(description=f"recorded before. {_TIME}")] | None = None
    kinds: Annotated[tuple[str, ...], Meta(description="of these event kinds, such as memory.write")] = ()
    include_suspects: Annotated[
        bool, Meta(description="also undo what the same actor wrote after being shown an undone memory")
    ] = False


class Apply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `apply`."""

    plan_id: Annotated[str, Meta(description="plan_… as plan_revert returned it, unchanged")]


@_tool("Remember")
async def remember(desk: Desk, ask: Remember) -> Written:
    """Keep something worth knowing in later conversations: a fact, a preference, a decision, an event.

    Returns once it is on disk, with its memory_id and version. Without key or memory_id it is a new memory; with
    one, a new version of it that replaces all fields. Give caused_by when you conclude it from recalled memories.
    """
    return Written.of(await desk.memory.remember(**_given(ask)))


@_tool("Recall", read_only=True)
async def recall(desk: Desk, ask: Recall) -> Found:
    """Search what was remembered, best first.

    Use before answering from assumptions about the user, the project or earlier work. Returns texts with the
    memory_id, version and event_id that why, history, forget and caused_by take.
    """
    at = await _at(desk, ask.as_of, ask.valid_at)
    return Found.of(await at.recall(**_given(ask, "as_of", "valid_at")))


@_tool("Context", read_only=True)
async def context(desk: Desk, ask: Context) -> Packed:
    """What is known about a task, as one text within a token budget, each line cited [evt_…].

    Use at the start of a task; use recall for a single question. Indented lines stand with the one above: turns
    before and after it, what it was drawn from, what was drawn from it, what speaks against it.
    """
    at = await _at(desk, ask.as_of, ask.valid_at)
    return Packed.of(await at.context(**_given(ask, "as_of", "valid_at")))


@_tool("Why", read_only=True)
async def why(desk: Desk, ask: Why) -> Explanation:
    """The evidence behind a memory, down to the events it came from; "influenced": what was concluded from it.

    Use before you rely on a doubtful memory, or correct one.
    """
    try:
        return await desk.memory.why(ask.id, direction=ask.direction)
    except NotFound as error:
        error.where = "id"
        raise


@_tool("History", read_only=True)
async def history(desk: Desk, ask: Past) -> History:
    """Every version of a memory, with forgets and undos, oldest first: what changed, when, by whom."""
    versions = await desk.memory.history(ask.memory_id)
    return History(memory_id=ask.memory_id, entries=tuple(map(Entry.of, versions)))


@_tool("Forget", destructive=True)
async def forget(desk: Desk, ask: Forget) -> Written:
    """Retract a memory that is wrong or no longer wanted: it is not recalled any more.

    Its history stays, and plan_revert with the returned event_id brings it back.
    """
    return Written.of(await desk.memory.forget(**_given(ask)))


@_tool("Plan an undo", read_only=True)
async def plan_revert(desk: Desk, ask: PlanRevert) -> Planned:
    """Show what undoing some events would touch: those that match every given condition, and what rests on them.

    Changes nothing. Use for a poisoned conversation, a wrong import, a mistake; then show the plan to the user and
    pass its plan_id to apply.
    """
    plan = await desk.memory.plan_revert(**_given(ask))
    selection = msgspec.convert({**_given(ask), "events": plan.selector.events}, plans.Selection)
    return Planned.of(plan, plans.seal(desk.secret, selection, plan) if plan.ranges else None)


@_tool("Apply an undo", destructive=True)
async def apply(desk: Desk, ask: Apply) -> Written:
    """Undo what plan_revert listed, if nothing relevant changed since; ask the user first.

    The undo is an event itself: plan_revert with the returned event_id undoes the undo.
    """
    memory = desk.memory
    sealed = plans.unseal(desk.secret, ask.plan_id, scope=memory.scope, actor=memory.actor)
    try:
        plan = await memory.plan_revert(**_given(sealed.selection))
    except NotFound as error:
        raise plans.stale() from error
    return Written.of(await memory.apply(plans.check(sealed, plan)))


async def _at(desk: Desk, as_of: str | None, valid_at: str | None) -> AsyncMemoryAt:
    if as_of is None and valid_at is None:
        return desk.memory
    try:
        return await desk.memory.as_of(system_time=as_of, valid_time=valid_at)
    except InvalidArgument as error:
        error.where = "as_of" if error.where == "system_time" else "valid_at"
        raise


def _given(ask: msgspec.Struct, *but: str) -> dict[str, Any]:
    """The arguments that were given, by name."""
    pairs = ((name, getattr(ask, name)) for name in ask.__struct_fields__ if name not in but)
    return {name: value for name, value in pairs if value is not None}
