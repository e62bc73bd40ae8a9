"""The catalog: the indexes of all segments, loaded or built when first needed and kept in step with the log."""

from __future__ import annotations

from walnut.log import frame, index, segment
from walnut.log.index import Covered, SegmentIndex, Sidecar
from walnut.log.segments import Segments
from walnut.log.shared import State
from walnut.system import System


class Catalog:
    """Answers where an LSN lies and which LSNs touch a key or carry an idempotency hash.

    Every question names the end of the log up to which it is meant; what lies before it is read and indexed
    first, unless this process wrote it and told so through `add`.
    """

    def __init__(self, system: System, segments: Segments) -> None:
        self._system = system
        self._segments = segments
        self._lock = system.lock()
        self._sealed: dict[int, SegmentIndex] = {}
        self._live: SegmentIndex | None = None

    # -- growing ---------------------------------------------------------------------------------------------------

    def add(self, *, start: State, after: State, envelopes: list[frame.Envelope]) -> None:
        """Take in a frame just written between two ends, if all before it is known; else it will be read later."""
        live = self._live
        if live is not None and live.segment == start.segment and live.covered.end == start.end:
            with self._lock:
                if live.covered.end != start.end:
                    return
                try:
                    live.add(first_lsn=start.lsn + 1, offset=start.end, envelopes=envelopes)
                    live.covered = Covered(after.end, after.lsn, start.end, after.chain)
                except BaseException:
                    self._live = None  # interrupted half-way: read it anew
                    raise

    def extend(self, state: State) -> SegmentIndex:
        """The index of the segment that `state` is in, complete up to there."""
        live = self._live
        if live is not None and live.segment == state.segment and live.covered.end >= state.end:
            return live
        with self._lock:
            live = self._live
            if live is not None and live.segment > state.segment:
                return self._sealed_index(state.segment)  # the writer has gone on, the durable end has not
            try:
                if live is None or live.segment != state.segment:
                    if live is not None:
                        self._seal(live)
                    live = self._live = self._load(state.segment, limit=state.end)
                self._grow(live, state.end)
            except BaseException:
                self._live = None  # interrupted half-way: read it anew
                raise
            return live

    def _grow(self, target: SegmentIndex, end: int) -> None:
        if target.covered.end >= end:
            return  # another thread has come this far since
        place = self._segments.get(target.segment)
        covered = target.covered
        lsn = covered.lsn + 1 if covered.lsn else place.header.first_lsn
        last = None
        for each in self._segments.frames(place, start=covered.end, end=end, lsn=lsn):
            try:
                envelopes = frame.read_envelopes(each.header, each.body)
            except ValueError as error:
                raise self._segments.damage(str(error), place, offset=each.offset, lsn=lsn) from None
            target.add(first_lsn=each.header.first_lsn, offset=each.offset, envelopes=envelopes)
            last = each
        if last is not None:
            target.covered = Covered(last.end, last.header.last_lsn, last.offset, last.chain())

    def _seal(self, done: SegmentIndex) -> None:
        sealed = self._segments.sealed_end(done.segment)
        if sealed is None:
            self._segments.discover()
            sealed = self._segments.sealed_end(done.segment)
        if sealed is None:
            return
        self._grow(done, sealed[0])
        self._sealed[done.segment] = done
        if done.grown:
            index.save(self._system, self._path(done), done)

    def _load(self, number: int, *, limit: int) -> SegmentIndex:
        place = self._segments.get(number)
        empty = SegmentIndex(number, place.header.generation)
        sidecar = index.load(self._system, self._path(empty))
        if sidecar is not None and self._fits(sidecar, number, limit):
            return SegmentIndex(number, place.header.generation, sidecar)
        return empty

    def _fits(self, sidecar: Sidecar, number: int, limit: int) -> bool:
        place = self._segments.get(number)
        covered: Covered = sidecar.covered
        if (sidecar.segment, sidecar.generation) != (number, place.header.generation) or covered.end > limit:
            return False
        if covered.end == segment.HEADER_SIZE:
            return True
        last = self._segments.raw_frame(place, covered.frame)
        return last is not None and last.end == covered.end and last.chain() == covered.chain

    def _path(self, each: SegmentIndex) -> str:
        return f"{self._segments.folder}/{segment.name(each.segment, each.generation)}.idx"

    def save(self) -> None:
        """Leave a sidecar of the live segment for the next opening."""
        with self._lock:
            if self._live is not None and self._live.grown:
                index.save(self._system, self._path(self._live), self._live)

    # -- questions -------------------------------------------------------------------------------------------------

    def _segment(self, number: int, state: State) -> SegmentIndex:
        if number == state.segment:
            return self.extend(state)
        known = self._sealed.get(number)
        if known is not None:
            return known
        live = self._live
        if live is not None and live.segment == number:
            self.extend(state)
        with self._lock:
            return self._sealed_index(number)

    def _sealed_index(self, number: int) -> SegmentIndex:
        """The index of a segment that has a successor; under the lock."""
        known = self._sealed.get(number)
        if known is not None:
            return known
        sealed = self._segments.sealed_end(number)
        if sealed is None:
            self._segments.discover()
            sealed = self._segments.sealed_end(number)
        limit = sealed[0] if sealed else segment.HEADER_SIZE
        loaded = self._load(number, limit=limit)
        if loaded.covered.end != limit:
            self._grow(loaded, limit)
            index.save(self._system, self._path(loaded), loaded)
        self._sealed[number] = loaded
        return loaded

    def place(self, lsn: int, state: State) -> tuple[int, int, int] | None:
        """Segment, offset and first LSN of the frame that holds `lsn`."""
        number = self._segments.find(lsn)
        number = min(number, state.segment)
        found = self._segment(number, state).frame_before(lsn)
        return None if found is None else (number, found[1], found[0])

    def find_idem(self, idem: bytes, state: State) -> int | None:
        """The first LSN with this hash."""
        for number in range(state.segment, 0, -1):
            found = self._segment(number, state).find_idem(idem)
            if found is not None:
                return found
        return None

    def last_touch(self, touch: bytes, state: State, *, upto: int) -> int:
        """The newest LSN not above `upto` that touches this key, else 0."""
        for number in range(state.segment, 0, -1):
            lsns = self._segment(number, state).touching(touch)
            for lsn in reversed(lsns):
                if lsn <= upto:
                    return lsn
        return 0

    def touching(self, touch: bytes, state: State, *, before: int, last: int | None) -> list[int]:
        """LSNs below `before` that touch this key, ascending; only the `last` so many."""
        parts: list[list[int]] = []
        count = 0
        for number in range(state.segment, 0, -1):
            lsns = [lsn for lsn in self._segment(number, state).touching(touch) if lsn < before]
            parts.append(lsns)
            count += len(lsns)
            if last is not None and count >= last:
                break
        found = [lsn for part in reversed(parts) for lsn in part]
        return found if last is None else found[max(0, len(found) - last) :]
