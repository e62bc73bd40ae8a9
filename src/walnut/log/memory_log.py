"""A log in the memory of one process: for tests, trials and `memory://`, and the oracle of the file log.

Nothing outlives `close()`. Every append is one frame, done by its caller under one lock; both durabilities
are reached at once, as far as memory goes. Contents are kept as the bytes that were committed to and decoded
on each read, so that nobody can change the past through what a read gave him.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from hashlib import blake2b
from types import TracebackType

import msgspec

from walnut.errors import NotFound, StoreClosed
from walnut.log import frame
from walnut.log.admission import Overlay, admit, precheck
from walnut.log.entry import Entry
from walnut.model.event import Event
from walnut.model.results import Finding, Position, VerifyReport
from walnut.ports import Appended, Batch, Ticket
from walnut.system import System

#: What stands for a file name where one is asked for.
PLACE = "memory"
_CHAIN_START = bytes(32)


class Frame(msgspec.Struct, frozen=True):
    """One append: its last LSN, the chain hash after it, where its contents would lie in a file (bytes)."""

    last_lsn: int
    chain: bytes
    offset: int
    length: int


class MemoryLog:
    """The `Log` port in memory, for any number of threads.

    `secret` (32 bytes) and `log_id` (16 bytes) are drawn at random unless given, to stand in for another log.
    """

    def __init__(self, system: System, *, secret: bytes | None = None, log_id: bytes | None = None) -> None:
        self.log_id = log_id or system.random(16)
        self.secret = secret or system.random(32)
        self._system = system
        self._grown = system.condition()
        self._written = _Written()
        self._closed = False

    # -- writing -------------------------------------------------------------------------------------

    def append(self, batch: Batch) -> tuple[Appended, ...]:
        """Append in one frame, all or nothing; a batch without drafts gives () if its conditions hold.

        What came since the call is shown to `matches` under the lock, so it must not call the log.
        """
        written, system = self._written, self._system
        self._check_open()
        checked = precheck(batch, read=written.read, upto=written.last_lsn) if batch.conditions else None
        with self._grown:
            self._check_open()
            overlay = Overlay(
                written,
                first_lsn=written.last_lsn + 1,
                recorded_at=written.recorded_at,
                now=system.now(),
                random=system.random,
            )
            admission = admit(batch, overlay=overlay, checked=checked)
            if admission.entries:
                written.add([(e, frame.seal(e.draft.content, system.random(16))) for e in admission.entries])
                self._grown.notify_all()
        return admission.results

    def adopt_secret(self, secret: bytes) -> bool:
        """Take another log's secret, so that its hashes hold here: only while this one is empty."""
        with self._grown:
            self._check_open()
            if self._written.last_lsn:
                return False
            self.secret = secret
        return True

    def submit(self, batch: Batch) -> Ticket:
        """Append at once; what refused it is raised by the ticket."""
        ticket = _Settled()
        with ticket:
            ticket.value = self.append(batch)
        return ticket

    def sync(self, lsn: int | None = None) -> int:  # noqa: ARG002 - the port's; here all is durable
        """Return the newest LSN: there is nothing to wait for."""
        return self.durable_lsn()

    # -- reading -------------------------------------------------------------------------------------

    def durable_lsn(self) -> int:
        """The newest LSN."""
        self._check_open()
        return self._written.last_lsn

    def written_lsn(self) -> int:
        """The newest LSN."""
        return self.durable_lsn()

    def read(self, *, after: int = 0, upto: int | None = None) -> Iterator[Event]:
        """Events with `after` < lsn <= `upto`, in order; none that come after the call."""
        newest = self.durable_lsn()
        last = newest if upto is None else min(upto, newest)
        return (self._written.event(lsn) for lsn in range(max(after, 0) + 1, last + 1))

    def get(self, lsn: int) -> Event:
        """One event; NotFound when it does not exist."""
        self._check_exists(lsn)
        return self._written.event(lsn)

    def stream(self, touch: bytes, *, before: int | None = None, last: int | None = None) -> list[int]:
        """LSNs that touch this key, ascending; `last` n of those below `before`."""
        self._check_open()
        with self._grown:
            lsns = self._written.touches.get(touch, [])
            end = len(lsns) if before is None else bisect_left(lsns, before)
            return lsns[0 if last is None else max(end - last, 0) : end]

    def last_touch(self, touch: bytes) -> int:
        """The newest LSN that touches this key, else 0."""
        self._check_open()
        with self._grown:
            return self._written.last_touch(touch)

    def find_idem(self, idem: bytes) -> int | None:
        """LSN of the first event with this idempotency hash."""
        self._check_open()
        with self._grown:
            return self._written.find_idem(idem)

    def locate(self, lsn: int) -> Position:
        """The place of its frame, counted as if frames lay in a file."""
        self._check_exists(lsn)
        frames = self._written.frames
        found = frames[bisect_left(frames, lsn, key=_last_lsn)]
        return Position(lsn=lsn, file=PLACE, offset=found.offset, length=found.length)

    def wait(self, lsn: int, *, timeout: float | None = None) -> bool:
        """Wait until `lsn` is there; False on timeout (seconds), StoreClosed when it is closed meanwhile."""
        with self._grown:
            self._grown.wait_for(lambda: self._closed or self._written.last_lsn >= lsn, timeout)
            self._check_open()
            return self._written.last_lsn >= lsn

    def chain(self, lsn: int) -> bytes:
        """The chain hash after the newest frame that ends at or before `lsn`."""
        self._check_open()
        frames = self._written.frames
        number = bisect_right(frames, lsn, key=_last_lsn)
        return frames[number - 1].chain if number else _CHAIN_START

    def verify(self) -> VerifyReport:
        """Compute chain and commitments again and compare."""
        self._check_open()
        with self._grown:
            return self._written.verify()

    def size(self) -> tuple[int, int]:
        """One segment, and the bytes of all contents."""
        self._check_open()
        return 1, self._written.size

    def close(self) -> None:
        """Refuse everything from now on and wake who waits; idempotent."""
        with self._grown:
            self._closed = True
            self._grown.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the log is closed", hint="open it again")

    def _check_exists(self, lsn: int) -> None:
        if not 1 <= lsn <= self.durable_lsn():
            raise NotFound("no such event", where=f"LSN {lsn}")


class _Written:
    """All events and their index. Grows under the log's lock; `last_lsn` moves last, so events need no lock."""

    def __init__(self) -> None:
        self.last_lsn = 0
        self.recorded_at = 0
        self.size = 0
        self.frames: list[Frame] = []
        self.touches: dict[bytes, list[int]] = {}
        self._envelopes: list[Event] = []
        self._contents: list[frame.Sealed] = []
        self._idems: dict[bytes, int] = {}

    def find_idem(self, idem: bytes) -> int | None:
        return self._idems.get(idem)

    def last_touch(self, touch: bytes) -> int:
        lsns = self.touches.get(touch)
        return lsns[-1] if lsns else 0

    def event(self, lsn: int) -> Event:
        content = frame.read_content(self._contents[lsn - 1].data)
        return msgspec.structs.replace(self._envelopes[lsn - 1], content=content)

    def read(self, after: int) -> Iterator[Event]:
        return (self.event(lsn) for lsn in range(after + 1, self.last_lsn + 1))

    def add(self, admitted: list[tuple[Entry, frame.Sealed]]) -> None:
        """Take in one frame."""
        envelopes = []
        for entry, sealed in admitted:
            event = msgspec.structs.replace(entry.event(commitment=sealed.commitment), content=None)
            envelopes.append(event)
            self._contents.append(sealed)
            for touch in entry.draft.touches:
                lsns = self.touches.setdefault(touch, [])
                if not lsns or lsns[-1] != entry.lsn:
                    lsns.append(entry.lsn)
            if event.idem is not None:
                self._idems[event.idem] = event.lsn
        self._envelopes += envelopes
        length = sum(len(sealed.data) for _, sealed in admitted)
        chain = _chain(self.frames[-1].chain if self.frames else _CHAIN_START, envelopes)
        self.frames.append(Frame(envelopes[-1].lsn, chain, self.size, length))
        self.size += length
        self.recorded_at = envelopes[-1].recorded_at
        self.last_lsn = envelopes[-1].lsn

    def verify(self) -> VerifyReport:
        findings, chain, lsn = [], _CHAIN_START, 0
        for each in self.frames:
            envelopes = self._envelopes[lsn : each.last_lsn]
            chain = _chain(chain, envelopes)
            good = chain == each.chain and [e.lsn for e in envelopes] == list(range(lsn + 1, each.last_lsn + 1))
            for event, content in zip(envelopes, self._contents[lsn : each.last_lsn], strict=True):
                good = good and event.commitment == frame.commit(content.data, content.salt)
            if not good:
                message = "the frame is not what was written"
                findings.append(
                    Finding(
                        file=PLACE,
                        offset=each.offset,
                        message=message,
                        first_lsn=lsn + 1,
                        last_lsn=each.last_lsn,
                    )
                )
            lsn = each.last_lsn
        return VerifyReport(
            ok=not findings,
            segments=1,
            frames=len(self.frames),
            events=lsn,
            last_lsn=lsn,
            bytes_read=self.size,
            chain=chain.hex(),
            findings=tuple(findings),
        )


class _Settled:
    """A ticket that is done when it is handed out; as a context manager it takes what its block raises."""

    def __init__(self) -> None:
        self.value: tuple[Appended, ...] = ()
        self._error: BaseException | None = None

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._error = error
        return isinstance(error, Exception)

    def result(self, timeout: float | None = None) -> tuple[Appended, ...]:  # noqa: ARG002 - the port's
        if self._error is not None:
            raise self._error
        return self.value

    def add_done_callback(self, callback: Callable[[Ticket], None]) -> None:
        callback(self)


def _last_lsn(each: Frame) -> int:
    return each.last_lsn


def _chain(previous: bytes, envelopes: list[Event]) -> bytes:
    return blake2b(previous + msgspec.msgpack.encode(envelopes), digest_size=32).digest()
