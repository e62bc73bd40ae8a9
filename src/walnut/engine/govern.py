"""Governing looks down: events, undo, upkeep and figures of the bound scope and what is below it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from walnut.engine import evidence, keys
from walnut.engine.handle import Handle, Store
from walnut.engine.moment import await_durable, look, mended
from walnut.engine.write import Write
from walnut.errors import InvalidArgument, NotFound, ScopeError
from walnut.model.event import Event
from walnut.model.given import ViewChecks
from walnut.model.requests import PlanRevert, Selector
from walnut.model.results import Embedding, IndexStatus, Position, RevertPlan, Stats, VerifyReport
from walnut.model.scope import within
from walnut.policy import limits

_ADDRESS = "walnut://"
#: Of the store on disk.
_FORMAT = 1
#: Seconds between two looks of a tail that waits without a limit.
_PATIENCE = 1.0


def durable_lsn(handle: Handle) -> int:
    """The newest LSN on disk."""
    handle.check_open()
    return handle.store.log.durable_lsn()


def events(handle: Handle, *, after: int, upto: int | None) -> Iterator[Event]:
    """The events of the scope and below within these LSNs."""
    found = handle.store.log.read(after=after, upto=end(handle, after=after, upto=upto))
    return (event for event in found if _below(handle, event))


def end(handle: Handle, *, after: int, upto: int | None) -> int:
    """The LSN a read ends at: `upto`, or the newest that is durable."""
    handle.check_open()
    newest = handle.sync_own()
    limits.whole(after, where="after")
    return newest if upto is None else min(newest, limits.whole(upto, where="upto"))


def _below(handle: Handle, event: Event) -> bool:
    scope = handle.binding.scope
    return scope == "global" if event.content is None else within(event.content.scope, scope)


def tail(handle: Handle, *, after: int | None, timeout: float | None) -> Iterator[Event]:
    """The events of the scope and below as they become durable."""
    patience = None if timeout is None else limits.seconds(timeout, where="timeout")
    return _follow(handle, begin(handle, after), patience)


def begin(handle: Handle, after: int | None) -> int:
    """The LSN a tail goes on after; None: where the log ends now."""
    handle.check_open()
    return handle.sync_own() if after is None else limits.whole(after, where="after")


def _follow(handle: Handle, last: int, timeout: float | None) -> Iterator[Event]:
    log, system = handle.store.log, handle.store.system
    quiet_since = system.monotonic()
    while True:
        handle.check_open()
        patience = _PATIENCE if timeout is None else min(_PATIENCE, quiet_since + timeout - system.monotonic())
        if log.durable_lsn() <= last and (patience <= 0 or not log.wait(last + 1, timeout=patience)):
            if timeout is not None and quiet_since + timeout <= system.monotonic():
                return
            continue
        for event in log.read(after=last):
            last = event.lsn
            if _below(handle, event):
                yield event
                quiet_since = system.monotonic()


def chunk(handle: Handle, after: int, upto: int) -> list[Event]:
    """The events of the scope and below within these LSNs, as a list."""
    return [event for event in handle.store.log.read(after=after, upto=upto) if _below(handle, event)]


def verify(handle: Handle) -> VerifyReport:
    """Check every bit of the log."""
    handle.check_open()
    return handle.store.log.verify()


def locate(handle: Handle, address: int | str) -> Position:
    """Where the event of an LSN, an event id or an address lies."""
    if isinstance(address, str) and address.startswith(_ADDRESS):
        lsn = _addressed(handle, address.removeprefix(_ADDRESS))
    elif isinstance(address, str):
        (lsn,) = evidence.resolve(handle, [address], where="address", below=True)
    else:
        lsn = evidence.event(handle, limits.whole(address, where="address"), where="address", below=True).lsn
    return handle.store.log.locate(lsn)


def _addressed(handle: Handle, path: str) -> int:
    """`<scope>/<memory_id>@<version>` -> the version's LSN."""
    scope, _, name = path.rpartition("/")
    memory_id, _, version = name.partition("@")
    touch = keys.memory_or_none(memory_id)
    if touch is None or not version.isascii() or not version.isdigit() or len(version) > 19:
        raise InvalidArgument("not an address", where="address", hint="walnut://<scope>/<memory_id>@<version>")
    event = evidence.event(handle, int(version), where="address", below=True)
    first = handle.store.log.stream(touch, before=event.lsn + 1)
    if touch not in event.touch_keys() or _scope(handle.store.log.get(first[0])) != scope:
        raise NotFound("no such event", where="address")
    return event.lsn


def _scope(event: Event) -> str | None:
    return None if event.content is None else event.content.scope


def plan_revert(handle: Handle, request: PlanRevert) -> RevertPlan:
    """What an undo of this selection would touch."""
    handle.check_open()
    selector = Selector(
        events=evidence.resolve(handle, request.events, where="events", below=True),
        actor=request.actor,
        source=request.source,
        session=request.session,
        since=request.since,
        until=request.until,
        kinds=request.kinds,
    )
    return _plan(handle, selector, include_suspects=request.include_suspects)


@mended
def _plan(handle: Handle, selector: Selector, *, include_suspects: bool) -> RevertPlan:
    from walnut.undo import plan as undoing

    with look(handle, at_least=handle.sync_own()) as view:
        return undoing.plan(
            view.snapshot,
            handle.store.log,
            selector,
            bound_scope=handle.binding.scope,
            actor=handle.binding.actor,
            include_suspects=include_suspects,
        )


def apply(handle: Handle, plan: RevertPlan) -> Write:
    """Prepare the undo. The plan is made again and compared: what a caller holds is only what he saw."""
    from walnut.undo import revert

    handle.check_open()
    plan = _sound(plan)
    binding = handle.binding
    if plan.scope != binding.scope:
        raise ScopeError("the plan was made in another scope", where="plan", hint="plan and apply with one handle")
    if plan.actor != binding.actor:
        raise InvalidArgument("the plan was made by another actor", where="plan", hint="plan and apply with one handle")
    now = _plan(handle, plan.selector, include_suspects=plan.include_suspects)
    if (now.ranges, now.memory_ids) != (plan.ranges, plan.memory_ids) or plan.lsn > now.lsn:
        raise revert.stale()
    if not now.ranges:
        raise InvalidArgument("the plan undoes nothing", where="plan")
    seen = msgspec.structs.replace(now, lsn=plan.lsn)
    return Write(handle, [revert.draft(seen)], handle.durability, (revert.condition(seen),))


def _sound(plan: RevertPlan) -> RevertPlan:
    """The plan itself, if everything in it is of its type: a caller may have made it up."""
    if not isinstance(plan, RevertPlan):
        raise InvalidArgument(f"a plan is expected, not a {type(plan).__name__}", where="plan")
    try:
        sound = msgspec.json.decode(msgspec.json.encode(plan), type=RevertPlan)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        raise InvalidArgument("not a plan as plan_revert makes them", where="plan") from None
    for when in (sound.selector.since, sound.selector.until):
        if when is not None:
            limits.whole(when, where="plan", least=-(2**63))
    return sound


def wait(handle: Handle, lsn: int | None, *, timeout: float) -> int:
    """Wait until the views hold an LSN."""
    handle.check_open()
    timeout = limits.seconds(timeout, where="timeout")
    durable = handle.sync_own()
    wanted = durable if lsn is None else limits.whole(lsn, where="lsn")
    until = handle.store.system.monotonic() + timeout
    await_durable(handle, wanted, timeout=timeout)
    return handle.store.views.catch_up(wanted, timeout=max(0.0, until - handle.store.system.monotonic()))


def checkpoint(handle: Handle) -> int:
    """Write a snapshot of the views."""
    handle.check_open()
    handle.sync_own()
    return handle.store.views.checkpoint()


def rebuild(handle: Handle) -> int:
    """Build the views anew."""
    handle.check_open()
    handle.sync_own()
    return handle.store.views.rebuild()


def verify_views(handle: Handle) -> ViewChecks:
    """Compare the views with a replay."""
    handle.check_open()
    handle.sync_own()
    return handle.store.views.verify()


def embed(handle: Handle, *, timeout: float) -> Embedding:
    """Wait until everything that is durable now is embedded."""
    handle.check_open()
    patience = limits.seconds(timeout, where="timeout")
    embedding = handle.store.embedding
    if embedding is None:
        raise InvalidArgument("the store was opened without an embedder", where="embed", hint="open(…, embedder=…)")
    return embedding.embed(handle.sync_own(), timeout=patience)


def _indexes(store: Store, scope: str) -> tuple[IndexStatus, ...]:
    """Those of the scope and below."""
    system, folder = store.system, store.views.folder
    names = system.list_folder(folder) if folder is not None and system.is_folder(folder) else []
    names = [name for name in names if name.endswith(".codes")]
    if not names:
        return ()
    from walnut.recall import codes  # numpy takes long to load

    found = []
    for name in names:
        meta, size = codes.load_meta(system, f"{folder}/{name}")
        if meta is not None and within(meta.scope, scope):
            found.append(IndexStatus(scope=meta.scope, rows=meta.rows, lsn=meta.lsn, bytes=size))
    return tuple(sorted(found, key=lambda each: each.scope))


@mended
def stats(handle: Handle) -> Stats:
    """Counts of the scope and below; sizes, views and checkpoints of the whole store."""
    scope, views = handle.binding.scope, handle.store.views
    with look(handle) as view:
        memories = view.snapshot.count(scope, view.moment)
        scopes = len(view.snapshot.scopes_below(scope)) + 1
    segments, log_bytes = handle.store.log.size()
    view_bytes, checkpoint_bytes = views.sizes()
    return Stats(
        last_lsn=handle.store.log.durable_lsn(),
        memories=memories,
        scopes=scopes,
        segments=segments,
        log_bytes=log_bytes,
        view_bytes=view_bytes,
        checkpoint_bytes=checkpoint_bytes,
        views=views.status(),
        checkpoints=views.checkpoints(),
        indexes=_indexes(handle.store, scope),
        embedding=None if handle.store.embedding is None else handle.store.embedding.status(),
        format=_FORMAT,
    )
