"""The SQLiteSession of OpenAI's Agents SDK as it comes: one session, a message for each text."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from agents import SQLiteSession

from bench.workers.load import AsyncWrite, Refusals


class Session:
    """One session for all tasks; every `add_items` commits."""

    refusals: Refusals = (sqlite3.Error, RuntimeError)

    def __init__(self, at: Path) -> None:
        self._session = SQLiteSession("conversation", at)

    def writers(self, count: int) -> Sequence[AsyncWrite]:
        """`add_items` of the one session."""
        return [self._write] * count

    async def _write(self, text: str) -> object:
        return await self.write_many([text])

    async def write_many(self, texts: Sequence[str]) -> object:
        """One call, one transaction."""
        return await self._session.add_items([{"role": "user", "content": text} for text in texts])

    async def texts(self) -> list[str]:
        """The whole conversation."""
        return [str(item["content"]) for item in await self._session.get_items()]

    async def last(self, name: str) -> str:  # noqa: ARG002 - the session hands out the latest
        """The latest message."""
        (item,) = await self._session.get_items(limit=1)
        return str(item["content"])

    async def close(self) -> None:
        """Close its connections."""
        self._session.close()
