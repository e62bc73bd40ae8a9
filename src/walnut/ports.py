"""Ports: the small protocols between the layers, each with at least two real implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from walnut.model.event import Draft, Event
from walnut.model.requests import Durability
from walnut.model.results import Position, VerifyReport


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Refuse the append if anything after `after` touches one of `touches` (17-byte keys), or `matches`.

    `error` builds the exception to raise from the LSN of the offending event.
    """

    after: int
    touches: frozenset[bytes] = frozenset()
    matches: Callable[[Event], bool] | None = None
    error: Callable[[int], Exception]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is appended in one frame, all or nothing.

    Each inner tuple is a transaction (its events share `txn`). A transaction whose first draft with an `idem` is
    already known is not written again: its appended events are the first ones, `replayed=True`. One refused
    condition, or one idempotency conflict, refuses the whole batch.
    """

    transactions: tuple[tuple[Draft, ...], ...]
    conditions: tuple[Condition, ...] = ()
    durability: Durability = "disk"


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """Where one draft went. `version` is the last LSN that touches its first touch, None without one."""

    lsn: int
    raw_id: bytes
    kind: str
    touches: tuple[bytes, ...]
    replayed: bool = False
    version: int | None = None
    before_lsn: int | None = None


class Ticket(Protocol):
    """A promised append: one `Appended` per draft, in order, transactions concatenated."""

    def result(self, timeout: float | None = None) -> tuple[Appended, ...]:
        """Wait for the durability asked for; raises what refused the append."""
        ...

    def add_done_callback(self, callback: Callable[[Ticket], None]) -> None:
        """Call once it is done, from the thread that finishes it (at once if it is)."""
        ...


class Log(Protocol):
    """An append-only, totally ordered sequence of events with dense LSNs from 1.

    Safe for any number of threads; a file log also for any number of processes. All reads show durable events
    only. Errors: LogCorruption, LogBusy, DurabilityUnknown, StorageFull, StorageFailed, StoreClosed.
    """

    log_id: bytes
    secret: bytes

    def append(self, batch: Batch) -> tuple[Appended, ...]:
        """Append and wait for the durability; a lone caller commits inline, several share a frame and a sync."""
        ...

    def submit(self, batch: Batch) -> Ticket:
        """Hand over to the committer and return at once."""
        ...

    def sync(self, lsn: int | None = None) -> int:
        """Make everything up to `lsn` (None: all that is written) durable; returns the durable LSN."""
        ...

    def durable_lsn(self) -> int:
        """The newest LSN on disk, as any process may read it."""
        ...

    def written_lsn(self) -> int:
        """The newest LSN this process has written, durable or not (0 if none)."""
        ...

    def read(self, *, after: int = 0, upto: int | None = None) -> Iterator[Event]:
        """Events with `after` < lsn <= `upto` (None: durable when the read starts), in order."""
        ...

    def get(self, lsn: int) -> Event:
        """One event; NotFound when it does not exist (yet)."""
        ...

    def stream(self, touch: bytes, *, before: int | None = None, last: int | None = None) -> list[int]:
        """LSNs of the durable events that touch this 17-byte key, ascending; `last` n of those below `before`."""
        ...

    def last_touch(self, touch: bytes) -> int:
        """The newest durable LSN that touches this key, else 0."""
        ...

    def find_idem(self, idem: bytes) -> int | None:
        """LSN of the first event with this idempotency hash."""
        ...

    def locate(self, lsn: int) -> Position:
        """Where the event lies."""
        ...

    def wait(self, lsn: int, *, timeout: float | None = None) -> bool:
        """Wait until `lsn` is durable, written by any process; False on timeout."""
        ...

    def chain(self, lsn: int) -> bytes:
        """The chain hash after the frame that ends with `lsn` (the newest frame end not above it)."""
        ...

    def verify(self) -> VerifyReport:
        """Read and check every bit: checksums, density, chain, commitments."""
        ...

    def size(self) -> tuple[int, int]:
        """Number of segments and bytes of the log's files."""
        ...

    def close(self) -> None:
        """Finish what is in flight and let go; idempotent."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors of one length, here or elsewhere; called from several threads.

    Whatever it raises is a failure that is told and tried again: EmbedderFailed says whether it will pass.
    """

    @property
    def model(self) -> str:
        """Its name, which keys what is kept of it: another name for whatever gives other vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector a text, in their order."""
        ...
