"""The two faces are one: the same methods, parameters and defaults for threads and for asyncio."""

import inspect
from collections.abc import Iterator
from typing import Any

import walnut
from walnut import aio, errors, memory, memory_at
from walnut.engine import async_verbs, verbs

PAIRS: list[tuple[type, type]] = [
    (memory_at.MemoryAt, aio.AsyncMemoryAt),
    (memory.Memory, aio.AsyncMemory),
    (verbs.EventLog, async_verbs.AsyncEventLog),
    (verbs.Upkeep, async_verbs.AsyncUpkeep),
]

#: What a face returns instead of its counterpart; everything else must be spelt the same.
RENAMED = {"Memory": "AsyncMemory", "MemoryAt": "AsyncMemoryAt", "Iterator[Event]": "AsyncIterator[Event]"}


def public(face: type) -> dict[str, Any]:
    return {name: getattr(face, name) for name in dir(face) if not name.startswith("_")}


def differences(one: type, other: type) -> Iterator[str]:
    left, right = public(one), public(other)
    for name in sorted(left.keys() ^ right.keys()):
        yield f"{name} is only in {one.__name__ if name in left else other.__name__}"
    for name in sorted(left.keys() & right.keys()):
        if isinstance(left[name], property) or isinstance(right[name], property):
            if type(left[name]) is not type(right[name]):
                yield f"{name} is a property in one only"
            continue
        yield from unlike(name, inspect.signature(left[name]), inspect.signature(right[name]))
        if not (inspect.iscoroutinefunction(right[name]) or inspect.isasyncgenfunction(right[name])):
            yield f"{name} is not asynchronous"


def unlike(name: str, one: inspect.Signature, other: inspect.Signature) -> Iterator[str]:
    if list(one.parameters) != list(other.parameters):
        yield f"{name}: {list(one.parameters)} and {list(other.parameters)}"
    for key in one.parameters.keys() & other.parameters.keys():
        if one.parameters[key] != other.parameters[key]:  # name, kind, default and annotation
            yield f"{name}: {one.parameters[key]} and {other.parameters[key]}"
    if RENAMED.get(one.return_annotation, one.return_annotation) != other.return_annotation:
        yield f"{name} returns {one.return_annotation} and {other.return_annotation}"


def test_the_faces_are_the_same() -> None:
    assert [found for pair in PAIRS for found in differences(*pair)] == []


def test_a_difference_is_seen() -> None:
    class One:
        def get(self, a: int, *, b: str = "x") -> None: ...
        def gone(self) -> None: ...

    class Other:
        async def get(self, a: int, *, b: str = "y") -> None: ...

    assert list(differences(One, Other)) == ["gone is only in One", "get: b: str = 'x' and b: str = 'y'"]


def test_open_takes_the_same_arguments() -> None:
    assert list(unlike("open", inspect.signature(memory.open), inspect.signature(aio.open))) == [
        "open returns Memory and Opening"
    ]


def test_everything_is_at_the_top() -> None:
    assert walnut.open is memory.open
    assert walnut.aio is aio
    assert set(errors.__all__) <= set(walnut.__all__)
