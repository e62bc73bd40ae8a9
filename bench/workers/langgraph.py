"""LangGraph's SqliteSaver as it comes: a checkpoint whose state holds one text."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite import SqliteSaver

from bench.workers.load import Refusals, Write

_THREAD = {"configurable": {"thread_id": "conversation", "checkpoint_ns": ""}}


class Saver:
    """One saver, which lets its threads in one by one; every `put` commits."""

    refusals: Refusals = (sqlite3.Error,)

    def __init__(self, at: Path) -> None:
        self._stack = ExitStack()
        self._saver = self._stack.enter_context(SqliteSaver.from_conn_string(str(at)))
        self._saver.setup()

    def writers(self, count: int) -> Sequence[Write]:
        """`put` of the one saver."""
        return [self._write] * count

    def _write(self, text: str) -> object:
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"note": text}
        return self._saver.put(_THREAD, checkpoint, {"source": "loop", "step": 1}, {})

    def write_many(self, texts: Sequence[str]) -> object:
        """One by one: the saver has no call for many."""
        return [self._write(text) for text in texts]

    def texts(self) -> list[str]:
        """Every checkpoint's state."""
        return [str(each.checkpoint["channel_values"]["note"]) for each in self._saver.list(_THREAD)]

    def last(self, name: str) -> str:  # noqa: ARG002 - the saver hands out the latest
        """The latest checkpoint of the thread."""
        return str(self._saver.get_tuple(_THREAD).checkpoint["channel_values"]["note"])

    def hurry(self) -> None:
        """Don't sync while the store is filled: that is not measured."""
        self._saver.conn.execute("PRAGMA synchronous = OFF")

    def close(self) -> None:
        """Close the connection."""
        self._stack.close()
