"""The grouped verbs of the face for threads: `m.log` and `m.upkeep`."""

from __future__ import annotations

from collections.abc import Iterator

from walnut.engine import govern
from walnut.engine.handle import Handle
from walnut.model.event import Event
from walnut.model.given import ViewChecks
from walnut.model.results import Embedding, Position, Stats, VerifyReport


class EventLog:
    """The events of a handle's scope and below, in the order they were written."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def durable_lsn(self) -> int:
        """The newest LSN on disk."""
        return govern.durable_lsn(self._handle)

    def read(self, *, after: int = 0, upto: int | None = None) -> Iterator[Event]:
        """Events with `after` < lsn <= `upto` (None: the newest when the read starts); other scopes' are gaps."""
        return govern.events(self._handle, after=after, upto=upto)

    def tail(self, *, after: int | None = None, timeout: float | None = None) -> Iterator[Event]:
        """Events as they become durable, from any process; ends when none came for `timeout` seconds.

        `after=None` starts with what comes next.
        """
        return govern.tail(self._handle, after=after, timeout=timeout)

    def verify(self) -> VerifyReport:
        """Read and check every bit of the log: checksums, density, chain, commitments."""
        return govern.verify(self._handle)

    def locate(self, address: int | str) -> Position:
        """Where an event lies: by LSN, event id, or `walnut://<scope>/<memory_id>@<version>`. Errors: NotFound."""
        return govern.locate(self._handle, address)


class Upkeep:
    """What keeps a store quick and honest; nothing here changes an answer."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def checkpoint(self) -> int:
        """Write a verified snapshot of the views; returns its LSN."""
        return govern.checkpoint(self._handle)

    def rebuild(self) -> int:
        """Build the views anew from the log; returns the LSN they reached."""
        return govern.rebuild(self._handle)

    def verify_views(self) -> ViewChecks:
        """Replay the log into fresh views and compare digests of logical rows."""
        return govern.verify_views(self._handle)

    def embed(self, *, timeout: float = 60.0) -> Embedding:
        """Wait until every memory on disk has a vector of the store's embedder, at most `timeout` seconds.

        What failed is tried again at once. This happens by itself, too; nothing is raised when the model fails:
        the answer says so. Errors: InvalidArgument for a store that was opened without an embedder.
        """
        return govern.embed(self._handle, timeout=timeout)

    def stats(self) -> Stats:
        """Counts of the bound scope and below, and sizes of the store."""
        return govern.stats(self._handle)
