"""Random histories of a few memories in a log whose clock counts 1, 2, 3 …, for tests of views and time travel."""

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import strategies as st

from walnut.log.memory_log import MemoryLog
from walnut.model.event import DELETE, INSERT, NONE, Content, Draft, Event
from walnut.ports import Batch, Log
from walnut.system import System

SCOPES = ("user:a", "user:a/session:1", "global", "user:a2")
MEMORIES = range(4)


class CountingClock(System):
    """A machine on which each look at the clock takes a nanosecond."""

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        self._now += 1
        return self._now


class Write(msgspec.Struct, frozen=True):
    memory: int
    valid_from: int | None = None
    valid_until: int | None = None
    occurred_at: int | None = None
    ttl: int | None = None
    tags: tuple[str, ...] = ()
    confidence: float | None = None


class Forget(msgspec.Struct, frozen=True):
    memory: int


class Revert(msgspec.Struct, frozen=True):
    """Spans counted back from the newest event: (how far back, how long)."""

    spans: tuple[tuple[int, int], ...]


class Note(msgspec.Struct, frozen=True):
    """Something that touches no memory: foreign, or a note of what was shown."""

    kind: str


Action = Write | Forget | Revert | Note

_times = st.none() | st.integers(0, 16)
_memories = st.sampled_from(MEMORIES)
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(
        Write,
        memory=_memories,
        valid_from=_times,
        valid_until=_times,
        occurred_at=_times,
        ttl=st.none() | st.integers(1, 8),
        tags=st.sampled_from([(), ("x",), ("x", "y")]),
        confidence=st.sampled_from([None, 0.2, 0.8]),
    ),
    st.builds(Write, memory=_memories),
    st.builds(Forget, memory=_memories),
    st.builds(
        Revert,
        spans=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=2).map(tuple),
    ),
    st.builds(Note, kind=st.sampled_from(["memory.recalled", "app.note", "intent.begun"])),
)
histories = st.lists(actions, min_size=1, max_size=14)


def touch(memory: int) -> bytes:
    return b"\x01" + memory.to_bytes(16, "big")


def scope_of(memory: int) -> str:
    return SCOPES[memory % len(SCOPES)]


def append(log: Log, *drafts: Draft) -> int:
    """Append them as transactions of their own; returns the last LSN."""
    return log.append(Batch(transactions=tuple((draft,) for draft in drafts)))[-1].lsn


def write(memory: int, text: str = "some text", *, scope: str | None = None, **content: Any) -> Draft:
    payload = {"text": text, **content.pop("payload", {})}
    given = Content(scope=scope or scope_of(memory), actor="agent:x", payload=payload, **content)
    return Draft(
        kind="memory.write", op=INSERT, kind_if_exists="memory.update", touches=(touch(memory),), content=given
    )


def forget(memory: int) -> Draft:
    content = Content(scope=scope_of(memory), actor="agent:x")
    return Draft(kind="memory.delete", op=DELETE, touches=(touch(memory),), content=content)


def revert(log: Log, *ranges: tuple[int, int]) -> Draft:
    """A revert as the engine writes it: it touches what the events in its ranges touch."""
    named = [event for event in log.read() if any(lo <= event.lsn <= hi for lo, hi in ranges)]
    touches = tuple(dict.fromkeys(key for event in named for key in event.touch_keys()))
    content = Content(scope="global", actor="agent:x", payload={"ranges": [list(pair) for pair in ranges]})
    return Draft(kind="memory.reverted", op=NONE, touches=touches, content=content)


def note(kind: str = "app.note", **payload: Any) -> Draft:
    return Draft(kind=kind, op=NONE, content=Content(scope="user:a", actor="agent:x", payload=payload))


def draft(log: Log, action: Action) -> Draft | None:
    """What to append for an action, None when there is nothing to revert yet."""
    newest = log.durable_lsn()
    if isinstance(action, Write):
        payload = {"tags": list(action.tags), "ttl": action.ttl, "confidence": action.confidence}
        return write(
            action.memory,
            valid_from=action.valid_from,
            valid_until=action.valid_until,
            occurred_at=action.occurred_at,
            payload={name: value for name, value in payload.items() if value is not None},
        )
    if isinstance(action, Forget):
        return forget(action.memory)
    if isinstance(action, Note):
        return note(action.kind, **({"shown": [max(1, newest - 1)]} if action.kind == "memory.recalled" else {}))
    ranges = [(max(1, newest - back), min(newest, newest - back + length)) for back, length in action.spans]
    return revert(log, *(pair for pair in ranges if pair[0] <= pair[1])) if newest else None


def written(history: Iterable[Action]) -> MemoryLog:
    """A log that holds this history."""
    log = MemoryLog(CountingClock())
    for action in history:
        made = draft(log, action)
        if made is not None:
            append(log, made)
    return log


def stream(log: Log, memory: int) -> list[Event]:
    return [log.get(lsn) for lsn in log.stream(touch(memory))]
