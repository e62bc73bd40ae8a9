"""Bytecodes that the interpreter runs in Walnut for one event: a figure of cost without any noise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

import walnut

if TYPE_CHECKING:
    from _typeshed import TraceFunction

_PACKAGE = walnut.__file__.removesuffix("__init__.py")


class Bytecodes(msgspec.Struct, frozen=True):
    """Bytecodes and calls of Python functions an event, and the functions that run most of them."""

    total: float
    calls: float
    most: tuple[tuple[str, float], ...]


def bytecodes(write: Callable[[str], object], notes: Iterable[str]) -> Bytecodes:
    """Count while `write` is called with each note, in this thread; only what lies in the package counts."""
    run: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        path = frame.f_code.co_filename
        if not path.startswith(_PACKAGE):
            return None
        name = f"{path.removeprefix(_PACKAGE)}:{frame.f_code.co_qualname}"
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            calls[name] += 1
        elif event == "opcode":
            run[name] += 1
        return trace

    before, count = sys.gettrace(), 0
    try:
        for note in notes:
            sys.settrace(trace)
            write(note)
            sys.settrace(before)
            count += 1
    finally:
        sys.settrace(before)
    most = tuple((name, number / count) for name, number in run.most_common(12))
    return Bytecodes(sum(run.values()) / count, sum(calls.values()) / count, most)
