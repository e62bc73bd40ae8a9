"""What the promises of a log are told with: small drafts and batches, and logs closed after the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from walnut.errors import VersionConflict
from walnut.model.event import DELETE, INSERT, NONE, Content, Draft, Event, Json
from walnut.ports import Appended, Batch, Condition, Log
from walnut.testing.contract import Unsupported

WRITE, UPDATED, DELETED, RECALLED = "memory.write", "memory.update", "memory.delete", "memory.recalled"


class Logs:
    """Makes logs and closes them all at the end."""

    def __init__(self, make: Callable[[], Log], reopen: Callable[[Log], Log] | None) -> None:
        self._make = make
        self._reopen = reopen
        self._made: list[Log] = []

    def make(self) -> Log:
        """A fresh, empty log."""
        log = self._make()
        self._made.append(log)
        return log

    def reopen(self, log: Log) -> Log:
        """The same log, closed and opened again."""
        if self._reopen is None:
            raise Unsupported("this log can't be reopened")
        again = self._reopen(log)
        self._made.append(again)
        return again

    def again(self, log: Log) -> Log:
        """The same log, reopened if it can be: for cases that are about more than reopening."""
        return log if self._reopen is None else self.reopen(log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for log in self._made:
            log.close()


def touch(number: int) -> bytes:
    """The key of a memory."""
    return b"\x01" + number.to_bytes(16, "big")


def idem(number: int) -> bytes:
    """An idempotency hash."""
    return b"idem" + number.to_bytes(12, "big")


def note(text: str = "a note", **payload: Json) -> Draft:
    """An event of no stream."""
    content = Content(scope="user:contract", actor="agent:contract", payload={"text": text, **payload})
    return Draft(kind="contract.note", content=content, op=NONE)


def write(memory: int, text: str = "a memory", *, key: int | None = None, request: bytes = b"request") -> Draft:
    """A new memory, or a new version when it has one already; with `key` an idempotent one."""
    content = Content(
        scope="user:contract",
        actor="agent:contract",
        payload={"text": text},
        request_hash=None if key is None else request,
    )
    return Draft(
        kind=WRITE,
        content=content,
        op=INSERT,
        touches=(touch(memory),),
        kind_if_exists=UPDATED,
        idem=None if key is None else idem(key),
    )


def delete(memory: int) -> Draft:
    """The end of a memory."""
    content = Content(scope="user:contract", actor="agent:contract")
    return Draft(kind=DELETED, content=content, op=DELETE, touches=(touch(memory),))


def recalled(*lsns: int) -> Draft:
    """The note of what a handle was shown."""
    content = Content(scope="user:contract", actor="agent:contract", payload={"shown": list(lsns)})
    return Draft(kind=RECALLED, content=content)


def append(log: Log, *drafts: Draft, conditions: tuple[Condition, ...] = ()) -> tuple[Appended, ...]:
    """Append each draft as a transaction of its own, in one batch."""
    return log.append(Batch(transactions=tuple((draft,) for draft in drafts), conditions=conditions))


def append_one(log: Log, draft: Draft, *conditions: Condition) -> Appended:
    """Append one draft."""
    (appended,) = append(log, draft, conditions=conditions)
    return appended


def untouched(*memories: int, after: int) -> Condition:
    """Nothing touches these memories after that LSN, else VersionConflict."""
    return Condition(after=after, touches=frozenset(map(touch, memories)), error=conflict)


def unmatched(matches: Callable[[Event], bool], *, after: int) -> Condition:
    """Nothing matches after that LSN, else VersionConflict."""
    return Condition(after=after, matches=matches, error=conflict)


def conflict(lsn: int) -> VersionConflict:
    """What a condition of these raises."""
    return VersionConflict("something came between", where=f"LSN {lsn}", current=lsn)


def refused(expected: type[Exception], work: Callable[[], object]) -> Exception:
    """The error of that type which `work` must raise."""
    try:
        work()
    except expected as error:
        return error
    raise AssertionError(f"was not refused with {expected.__name__}")
