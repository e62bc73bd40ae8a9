"""Reading: events by LSN, in order, by stream; never past the durable end that the caller names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from walnut.errors import LogCorruption
from walnut.log import frame, segment
from walnut.log.catalog import Catalog
from walnut.log.opened import Opened, open_frame
from walnut.log.segments import Frame, Segments
from walnut.log.shared import State
from walnut.model.event import Event
from walnut.model.results import Position
from walnut.system import System

#: Frames that were read last stay in memory: so many, and so many bytes of them. Larger ones than that share are
#: not kept, lest one push out all others.
_CACHED_FRAMES = 512
_CACHED_BYTES = 32 << 20
_CACHED_SHARE = _CACHED_BYTES // 8


class Reader:
    """The events of a file log; frames that were read last stay in memory, up to a bound."""

    def __init__(self, system: System, segments: Segments, catalog: Catalog) -> None:
        self._segments = segments
        self._catalog = catalog
        self._lock = system.lock()
        self._cache: OrderedDict[tuple[int, int], Opened] = OrderedDict()
        self._cached = 0

    def get(self, lsn: int, state: State) -> Event:
        """One event; NotFound above the end or below 1, LogCorruption when its frame is damaged."""
        if not 1 <= lsn <= state.lsn:
            raise self._segments.not_found(lsn)
        number, offset, _ = self._locate(lsn, state)
        opened = self._cache.get((number, offset)) or self._load(number, offset, lsn)
        header = opened.header
        self._check_holds(header, number, offset, lsn)
        with self._decoding(number, offset, header):
            return opened.event(lsn)

    def _check_holds(self, header: frame.Header, number: int, offset: int, lsn: int) -> None:
        """LogCorruption when the index named a frame that the LSN is not in."""
        if not header.first_lsn <= lsn <= header.last_lsn:
            place = self._segments.get(number)
            raise self._segments.damage("the event is not where the index says", place, offset=offset, lsn=lsn)

    def _load(self, number: int, offset: int, lsn: int) -> Opened:
        found = self._frame(number, offset, lsn)
        with self._decoding(number, offset, found.header):
            opened = open_frame(found.header, found.body)
        if len(found.body) <= _CACHED_SHARE:
            with self._lock:
                if (number, offset) not in self._cache:
                    self._cached += len(found.body)
                    self._cache[number, offset] = opened
                while len(self._cache) > _CACHED_FRAMES or self._cached > _CACHED_BYTES:
                    self._cached -= len(self._cache.popitem(last=False)[1].body)
        return opened

    @contextmanager
    def _decoding(self, number: int, offset: int, header: frame.Header) -> Iterator[None]:
        """What has a good checksum and does not decode is damage too."""
        try:
            yield
        except ValueError as error:
            place = self._segments.get(number)
            raise self._segments.damage(
                str(error), place, offset=offset, lsn=header.first_lsn, last=header.last_lsn
            ) from None

    def _locate(self, lsn: int, state: State) -> tuple[int, int, int]:
        found = self._catalog.place(lsn, state)
        if found is None:
            raise LogCorruption("no frame holds this LSN", file="log", offset=0, first_lsn=lsn)
        return found

    def _frame(self, number: int, offset: int, lsn: int) -> Frame:
        place = self._segments.get(number)
        found = self._segments.raw_frame(place, offset)
        if found is None:
            raise self._segments.damage("a frame is damaged", place, offset=offset, lsn=lsn)
        return found

    def read(self, after: int, upto: int, state: State) -> Iterator[Event]:
        """Events with `after` < LSN <= `upto`, in order."""
        upto = min(upto, state.lsn)
        lsn = max(after, 0) + 1
        while lsn <= upto:
            number = min(self._segments.find(lsn), state.segment)
            place = self._segments.get(number)
            end = state.end
            if number < state.segment:
                sealed = self._segments.sealed_end(number)
                end = sealed[0] if sealed else segment.HEADER_SIZE
            start, first = segment.HEADER_SIZE, place.header.first_lsn
            if lsn != first:
                _, start, first = self._locate(lsn, state)
            before = lsn
            for each in self._segments.frames(place, start=start, end=end, lsn=first):
                with self._decoding(number, each.offset, each.header):
                    events = frame.read_events(each.header, each.body)
                for event in events:
                    if lsn <= event.lsn <= upto:
                        yield event
                lsn = max(lsn, each.header.last_lsn + 1)
                if lsn > upto:
                    return
            if lsn == before:
                raise self._segments.damage("the segment ends before its last LSN", place, offset=end, lsn=lsn)

    def locate(self, lsn: int, state: State) -> Position:
        """Where the event lies."""
        if not 1 <= lsn <= state.lsn:
            raise self._segments.not_found(lsn)
        number, offset, _ = self._locate(lsn, state)
        found = self._frame(number, offset, lsn)
        self._check_holds(found.header, number, offset, lsn)
        return Position(lsn=lsn, file=self._segments.get(number).file, offset=offset, length=found.header.length)

    def chain(self, lsn: int, state: State) -> bytes:
        """The chain hash after the frame that holds `lsn`, or after the one before it if `lsn` is not its last."""
        if lsn >= state.lsn:
            return state.chain
        if lsn <= 0:
            return bytes(32)
        number, offset, _ = self._locate(lsn, state)
        found = self._frame(number, offset, lsn)
        self._check_holds(found.header, number, offset, lsn)
        return found.chain() if found.header.last_lsn == lsn else found.header.prev_hash
