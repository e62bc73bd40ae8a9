"""What a worker needs of the store it drives; one adapter for each peer stands beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.workers.load import AsyncWrite, Refusals, Write


class Store(Protocol):
    """A store whose calls block; a write returns when it is acknowledged."""

    refusals: Refusals

    def writers(self, count: int) -> Sequence[Write]:
        """So many functions that write a text, each for a thread of its own."""
        ...

    def write_many(self, texts: Sequence[str]) -> object:
        """Write all in one commit, or in as few as the store offers."""
        ...

    def texts(self) -> list[str]:
        """All texts that are there."""
        ...

    def last(self, name: str) -> str:
        """The text written last, whose name is given to those that must look it up."""
        ...

    def close(self) -> None:
        """Close it in good order."""
        ...


class AsyncStore(Protocol):
    """The same in coroutines."""

    refusals: Refusals

    def writers(self, count: int) -> Sequence[AsyncWrite]:
        """So many coroutine functions that write a text, each for a task of its own."""
        ...

    async def write_many(self, texts: Sequence[str]) -> object:
        """Write all in one commit, or in as few as the store offers."""
        ...

    async def texts(self) -> list[str]:
        """All texts that are there."""
        ...

    async def last(self, name: str) -> str:
        """The text written last, whose name is given to those that must look it up."""
        ...

    async def close(self) -> None:
        """Close it in good order."""
        ...
