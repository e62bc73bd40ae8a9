"""Walnut: threads on one handle, tasks on one asynchronous handle, and its MCP server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import walnut
from bench.workers.load import AsyncWrite, Refusals, Write
from bench.workers.mcp import Served
from walnut import aio
from walnut.model.requests import Durability

REFUSALS: Refusals = (walnut.WalnutError,)


class Threads:
    """One handle for all threads."""

    refusals = REFUSALS

    def __init__(self, at: Path, durability: Durability) -> None:
        self._memory = walnut.open(at, durability=durability)

    def writers(self, count: int) -> Sequence[Write]:
        """`remember` of the one handle."""
        return [self._memory.remember] * count

    def write_many(self, texts: Sequence[str]) -> object:
        """One frame."""
        return self._memory.remember_many([{"text": text} for text in texts])

    def texts(self) -> list[str]:
        """Every page of the listing."""
        return _listed(self._memory)

    def last(self, name: str) -> str:  # noqa: ARG002 - the newest is listed first
        """The newest of the listing."""
        return self._memory.list(limit=1).items[0].text

    def close(self) -> None:
        """Close the handle, the views caught up and in a checkpoint first, as an idle store has them."""
        self._memory.wait(timeout=600)
        self._memory.close()


class Tasks:
    """One asynchronous handle for all tasks."""

    refusals = REFUSALS

    def __init__(self, at: Path, durability: Durability) -> None:
        self._opening = aio.open(at, durability=durability)
        self._memory: aio.AsyncMemory

    async def open(self) -> Tasks:
        """Open the handle."""
        self._memory = await self._opening
        return self

    def writers(self, count: int) -> Sequence[AsyncWrite]:
        """`remember` of the one handle."""
        return [self._memory.remember] * count

    async def write_many(self, texts: Sequence[str]) -> object:
        """One frame."""
        return await self._memory.remember_many([{"text": text} for text in texts])

    async def texts(self) -> list[str]:
        """Every page of the listing."""
        page = await self._memory.list(limit=1_000)
        found = [record.text for record in page.items]
        while page.cursor:
            page = await self._memory.list(limit=1_000, cursor=page.cursor)
            found += [record.text for record in page.items]
        return found

    async def last(self, name: str) -> str:  # noqa: ARG002 - the newest is listed first
        """The newest of the listing."""
        return (await self._memory.list(limit=1)).items[0].text

    async def close(self) -> None:
        """Close the handle."""
        await self._memory.close()


class Server(Served):
    """`walnut mcp`, driven as any other MCP server is."""

    def __init__(self, at: Path) -> None:
        self._at = at
        super().__init__(at, [sys.executable, "-m", "walnut", "mcp", "--store", str(at), "--scope", "user:default"])

    async def write(self, text: str) -> object:
        """The tool `remember`."""
        return await self.call("remember", {"text": text})

    async def texts(self) -> list[str]:
        """What the library lists: the server has no tool that does."""
        with walnut.open(self._at) as memory:
            return _listed(memory)

    async def last(self, name: str) -> str:
        """What the tool `recall` finds."""
        return str(await self.call("recall", {"query": name, "k": 1}))


def _listed(memory: walnut.Memory) -> list[str]:
    page = memory.list(limit=1_000)
    found = [record.text for record in page.items]
    while page.cursor:
        page = memory.list(limit=1_000, cursor=page.cursor)
        found += [record.text for record in page.items]
    return found
