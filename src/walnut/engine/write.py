"""Writing: a request becomes one batch for the log, and the log's answer becomes acks.

Nothing here waits for the log: `one` and `all_of` do, for threads; the asyncio face awaits a ticket instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from walnut.engine import evidence, keys, parse
from walnut.engine.handle import Handle
from walnut.errors import InvalidArgument, NotFound, VersionConflict, WalnutError
from walnut.model import ids
from walnut.model.event import DELETE, INSERT, UPDATE, Content, Draft, Json
from walnut.model.requests import Durability, Forget, Remember
from walnut.model.results import Ack
from walnut.ports import Appended, Batch, Condition

_MEMORY = keys.MEMORY
_EMBEDDING = "embedding"

#: How often a write that depends on a version it looked up itself is prepared anew when another came between.
RETRIES = 100


class Write:
    """A batch ready for the log, and what is to be done with the answer.

    `again` prepares it anew when a condition that the engine added by itself was refused.
    """

    __slots__ = ("again", "batch", "handle", "note")

    def __init__(
        self,
        handle: Handle,
        transactions: Sequence[Draft],
        durability: Durability,
        conditions: tuple[Condition, ...] = (),
        *,
        again: Callable[[], Write] | None = None,
    ) -> None:
        self.handle = handle
        self.again = again
        self.note = note = handle.note.take() if handle.note else None
        grouped: tuple[tuple[Draft, ...], ...] = tuple(zip(transactions))
        if note is not None and len(grouped) == 1:
            grouped = ((note, transactions[0]),)
        elif note is not None and grouped:  # were the first of them known, the note would not go before the rest
            grouped = ((note,), *grouped)
        self.batch = Batch(transactions=grouped, conditions=conditions, durability=durability)

    def settle(self, appended: Sequence[Appended]) -> None:
        """Take in that it is written: the handle's reads see it; a note that was not written waits on."""
        if not appended:
            return
        if self.note is not None and appended[0].replayed:
            self.handle.note.put_back(self.note)
        self.handle.wrote(max([each.lsn for each in appended]))  # the last may be a replay of an older one

    def undo(self) -> None:
        """Take in that it was refused."""
        if self.note is not None:
            self.handle.note.put_back(self.note)

    def acks(self, appended: Sequence[Appended]) -> list[Ack]:
        """One ack a draft, the note's left out."""
        durability = self.batch.durability
        answers = appended if self.note is None else appended[1:]
        return [_replayed(self.handle, each) if each.replayed else _ack(each, durability) for each in answers]


def _ack(each: Appended, durability: Durability) -> Ack:
    return Ack(
        lsn=each.lsn,
        event_id=ids.text(ids.EVENT, each.raw_id),
        durability=durability,
        memory_id=_memory_id(each.touches),
        version=each.version,
    )


def _memory_id(touches: tuple[bytes, ...]) -> str | None:
    return ids.text("mem", touches[0][1:]) if touches and touches[0].startswith(_MEMORY) else None


def _replayed(handle: Handle, each: Appended) -> Ack:
    """The first write's ack; it is on disk, whatever was asked for."""
    erased = handle.store.log.get(each.lsn).content is None
    return Ack(
        lsn=each.lsn,
        event_id=ids.text(ids.EVENT, each.raw_id),
        durability="disk",
        memory_id=_memory_id(each.touches),
        version=each.version,
        replayed=True,
        reverted=not erased and not evidence.counts(handle, each.lsn, each.touches),
        erased=erased,
    )


def all_of(handle: Handle, write: Write) -> list[Ack]:
    """Append and wait for the durability."""
    for _ in range(RETRIES):
        try:
            if not write.batch.transactions:
                return []
            appended = handle.store.log.append(write.batch)
        except VersionConflict:
            write.undo()
            if write.again is None:
                raise
            write = write.again()
        except BaseException:
            write.undo()
            raise
        else:
            write.settle(appended)
            return write.acks(appended)
    raise VersionConflict("others changed it each time", hint="try again, or pass expected_version")


def one(handle: Handle, write: Write) -> Ack:
    """Append a single draft and wait for the durability."""
    return all_of(handle, write)[0]


def remember(handle: Handle, request: Remember, durability: Durability | None) -> Write:
    """Prepare one memory. Errors: NotFound, VersionConflict, InvalidArgument."""
    handle.check_open()
    conditions: list[Condition] = []
    draft = _draft(handle, request, conditions)
    return Write(handle, (draft,), _level(handle, durability), tuple(conditions))


def remember_many(handle: Handle, requests: Sequence[Remember], durability: Durability | None) -> Write:
    """Prepare several memories as one frame, each its own transaction."""
    handle.check_open()
    conditions: list[Condition] = []
    drafts: list[Draft] = []
    written: set[bytes] = set()
    for number, request in enumerate(requests):
        try:
            draft = _draft(handle, request, conditions)
        except (InvalidArgument, NotFound) as error:
            where = f"items[{number}].{error.where}"
            raise type(error)(error.message, where=where, hint=error.hint) from None
        if request.expected_version is not None and draft.touches[0] in written:
            raise VersionConflict("an earlier item writes this memory", where=f"items[{number}].expected_version")
        written.add(draft.touches[0])
        drafts.append(draft)
    return Write(handle, drafts, _level(handle, durability), tuple(conditions))


def forget(handle: Handle, request: Forget, durability: Durability | None) -> Write:
    """Prepare a retraction. Errors: NotFound, VersionConflict."""
    handle.check_open()
    binding, log = handle.binding, handle.store.log
    idem, fingerprint = _idempotency(handle, request)
    touch = keys.memory_or_none(request.memory_id)
    version = evidence.version_in_scope(handle, touch)
    known = idem is not None and log.find_idem(idem) is not None
    if touch is None or (version is None and not known):
        raise NotFound("no such memory", where="memory_id")
    conditions: tuple[Condition, ...] = ()
    again = None
    if request.expected_version is not None:
        conditions = () if known else (_unchanged(handle, touch, request.expected_version),)
    elif version is not None:
        conditions = (_condition(touch, version),)

        def again() -> Write:
            return forget(handle, request, durability)

    content = Content(
        scope=binding.scope,
        actor=binding.actor,
        idempotency_key=request.idempotency_key,
        request_hash=fingerprint,
    )
    draft = Draft(kind="memory.delete", op=DELETE, touches=(touch,), content=content, idem=idem)
    return Write(handle, [draft], _level(handle, durability), conditions, again=again)


def _level(handle: Handle, durability: Durability | None) -> Durability:
    return handle.durability if durability is None else parse.durability(durability)


def _draft(handle: Handle, request: Remember, conditions: list[Condition]) -> Draft:
    binding, log = handle.binding, handle.store.log
    idem, fingerprint = _idempotency(handle, request)
    kind, op, renamed = "memory.write", INSERT, None
    if request.memory_id is not None:
        touch = _existing(handle, request, idem, conditions)
        kind, op = "memory.update", UPDATE
    elif request.key is not None:
        touch = keys.memory_of_key(log.secret, binding.scope, request.key)
        renamed = "memory.update"
    else:
        system = handle.store.system
        touch = _MEMORY + ids.ulid(system.now() // 1_000_000, system.random(10))
    expected = request.expected_version
    if expected is not None and not (idem is not None and log.find_idem(idem) is not None):
        if request.key is None and request.memory_id is None and expected != 0:
            raise InvalidArgument(
                "a new memory has no version", where="expected_version", hint="pass key or memory_id too"
            )
        conditions.append(_unchanged(handle, touch, expected))
    content = Content(
        scope=binding.scope,
        actor=binding.actor,
        source=request.source,
        subject=request.subject,
        payload=_payload(request),
        caused_by=evidence.resolve(handle, request.caused_by, where="caused_by") if request.caused_by else (),
        idempotency_key=request.idempotency_key,
        request_hash=fingerprint,
        occurred_at=request.occurred_at,
        valid_from=request.valid_from,
        valid_until=request.valid_until,
    )
    return Draft(kind=kind, op=op, touches=(touch,), content=content, kind_if_exists=renamed, idem=idem)


def _payload(request: Remember) -> dict[str, Json]:
    payload: dict[str, Json] = {"text": request.text}
    if request.key is not None:
        payload["key"] = request.key
    if request.tags:
        payload["tags"] = [*request.tags]
    if request.confidence is not None:
        payload["confidence"] = request.confidence
    if request.ttl is not None:
        payload["ttl"] = request.ttl
    if request.data is not None:
        payload["data"] = request.data
    if request.embedding is not None:
        payload[_EMBEDDING] = [*request.embedding]
    return payload


def _idempotency(handle: Handle, request: Remember | Forget) -> tuple[bytes | None, bytes | None]:
    key = request.idempotency_key
    if key is None:
        return None, None
    secret = handle.store.log.secret
    return keys.idempotency(secret, handle.binding.scope, key), keys.request(secret, request)


def _existing(handle: Handle, request: Remember, idem: bytes | None, conditions: list[Condition]) -> bytes:
    """The touch of the memory that a new version is written for; it must exist in the bound scope."""
    touch = keys.memory_or_none(request.memory_id)
    if request.key is not None:
        keyed = keys.memory_of_key(handle.store.log.secret, handle.binding.scope, request.key)
        if touch != keyed:
            raise InvalidArgument("key and memory_id name different memories", where="memory_id", hint="pass one")
    newest = handle.sync_own()
    version = evidence.version_in_scope(handle, touch)
    if touch is None or (version is None and (idem is None or handle.store.log.find_idem(idem) is None)):
        raise NotFound("no such memory", where="memory_id")
    conditions += (_not_since(touch, kind, newest) for kind in ("memory.delete", "memory.reverted"))
    return touch


def _not_since(touch: bytes, kind: str, after: int) -> Condition:
    """No forget and no undo of the memory came between looking for it and writing it."""

    def error(lsn: int) -> WalnutError:
        if kind == "memory.delete":
            return NotFound("no such memory", where="memory_id")
        return _conflict(lsn)

    return Condition(after=after, matches=lambda event: event.kind == kind and touch in event.touch_keys(), error=error)


def _unchanged(handle: Handle, touch: bytes, expected: int) -> Condition:
    """Nothing after the expected version touches the memory; a version that can't be is refused at once."""
    log = handle.store.log
    if expected:
        durable = handle.sync_own()
        current = log.last_touch(touch)
        if current == 0 or expected > durable:
            raise _conflict(current)
    return _condition(touch, expected)


def _condition(touch: bytes, after: int) -> Condition:
    return Condition(after=after, touches=frozenset((touch,)), error=_conflict)


def _conflict(current: int) -> VersionConflict:
    return VersionConflict(
        f"the memory is at version {current}",
        where="expected_version",
        hint="read it again, decide again, and pass the version you saw",
        current=current,
    )
