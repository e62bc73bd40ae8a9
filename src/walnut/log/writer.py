"""The writer: under the write lock, where the log ends, frames appended there, and new segments begun.

Order is everything here. Announce the end (`intend`), write the bytes, publish the end (`written`). Who finds
intention and publication different follows a dead writer: whole frames of its are adopted, anything else is left
where it is and a new segment is begun. A new segment is begun only after its predecessor is on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from walnut.errors import InvalidArgument, LogCorruption, StorageFailed
from walnut.log import failures, frame, recovery, segment
from walnut.log.catalog import Catalog
from walnut.log.entry import Entry
from walnut.log.frame import OP_NUMBERS, Envelope, Sealed
from walnut.log.segments import Segment, Segments
from walnut.log.shared import FileLock, Shared, State
from walnut.system import Lock, System

#: Entries of one frame, and their contents.
_Group: TypeAlias = tuple[Sequence[Entry], Sequence[Sealed]]


class Writer:
    """Appends frames; every method is called with the write lock held."""

    def __init__(
        self,
        system: System,
        *,
        segments: Segments,
        catalog: Catalog,
        shared: Shared,
        lock: FileLock,
        one_sync: Lock,
        epoch: int,
    ) -> None:
        self.lock = lock
        self.epoch = epoch
        self._one_sync = one_sync
        self._system = system
        self._segments = segments
        self._catalog = catalog
        self._shared = shared
        self._id = int.from_bytes(system.random(4), "little")

    def begin(self) -> State:
        """Where the log ends; takes over after a writer that died. DurabilityUnknown once poisoned."""
        shared = self._shared
        if not shared.healthy(self.epoch):
            raise failures.poisoned()
        state = shared.written.load()
        if state is None:
            raise LogCorruption("the shared state is damaged", file="log/shared", offset=0, hint="close all processes")
        try:
            if shared.intended() != (state.segment, state.end):
                state = self._follow_the_dead(state)
            if state.segment > self._segments.last:
                self._segments.discover()
        except OSError as error:
            raise failures.storage_error(error, "taking over the log", where=self._segments.folder) from None
        return state

    def _follow_the_dead(self, state: State) -> State:
        self._segments.discover()
        if self._segments.last > state.segment:
            return self._adopt_segment(state)
        place = self._segments.get(state.segment)
        intended = self._shared.intended()
        limit = intended[1] if intended is not None and intended[0] == state.segment else None
        found = recovery.follows(self._segments, place, state)
        state = self._publish(msgspec.structs.replace(found, seq=state.seq))
        if recovery.dirty(self._system, place, state.end, limit):
            return self.roll(state)
        self._shared.intend(state.segment, state.end)
        return state

    def _adopt_segment(self, state: State) -> State:
        """The dead writer had begun a segment: its header was synced before its name appeared."""
        place = self._segments.get(state.segment + 1)
        header = place.header
        if (header.prev_end, header.prev_last_lsn, header.chain) != (state.end, state.lsn, state.chain):
            raise self._segments.damage("the segment does not follow its predecessor", place, offset=0)
        self._sync_names()
        return self._begin_segment(state, place.number)

    def _sync_names(self) -> None:
        try:
            self._system.sync_directory(self._segments.folder)
        except OSError:
            self._shared.poison(self.epoch)
            raise failures.poisoned("the sync of a new segment's name failed") from None

    def _begin_segment(self, state: State, number: int) -> State:
        fresh = msgspec.structs.replace(state, segment=number, end=segment.HEADER_SIZE, frame=0)
        fresh = self._publish(fresh)
        self._shared.intend(number, segment.HEADER_SIZE)
        return fresh

    def _publish(self, state: State) -> State:
        state = msgspec.structs.replace(state, seq=state.seq + 1, epoch=self.epoch)
        self._shared.written.store(state, state.seq)
        return state

    def write(self, state: State, entries: Sequence[Entry], contents: Sequence[Sealed]) -> int:
        """Append `entries` with a content each in one write; returns the last LSN.

        StorageFull, StorageFailed: nothing of it counts, and the next writer looks at what is there.
        """
        mark = self._shared.mark.load()
        synced = mark.lsn if mark is not None else 0
        groups = _groups(entries, contents)
        try:
            place = self._segments.get(state.segment)
            data, frames, after = self._encode(place, state, groups, synced)
            if after.end > place.header.capacity:
                state = self.roll(state, need=len(data))
                place = self._segments.get(state.segment)
                data, frames, after = self._encode(place, state, groups, synced)
            self._segments.refuse_other(place, self._system.file_identity(place.fd))
            self._shared.intend(after.segment, after.end)
            first = frames[0][2].end - state.end
            if len(data) > first:  # last of all: without it nothing that a failed write left behind it counts
                self._system.write_at(place.fd, data[first:], state.end + first)
                data = data[:first]
            self._system.write_at(place.fd, data, state.end)
        except OSError as error:
            raise failures.storage_error(error, "writing to the log", where=self._segments.folder) from None
        for start, envelopes, end in frames:
            self._catalog.add(start=start, after=end, envelopes=envelopes)
        self._shared.written.store(after, after.seq)
        return after.lsn

    def _encode(
        self,
        place: Segment,
        state: State,
        groups: Sequence[_Group],
        synced: int,
    ) -> tuple[bytes, list[tuple[State, list[Envelope], State]], State]:
        """One frame a group, lying from `state` on: their bytes, envelopes between two ends, and the last end."""
        parts, frames, seq = [], [], state.seq + 1
        for entries, contents in groups:
            first = entries[0]
            envelopes = _envelopes(entries, contents)
            data, chain = frame.encode(
                envelopes=frame.encode_envelopes(envelopes),
                contents=contents,
                first_lsn=first.lsn,
                synced_upto=synced,
                recorded_at=first.recorded_at,
                clock_raw=first.clock_raw or 0,
                epoch=self.epoch,
                writer_id=self._id,
                prev_hash=state.chain,
                crc_seed=place.seed,
                offset=state.end,
            )
            after = State(
                state.segment,
                state.end + len(data),
                entries[-1].lsn,
                chain,
                first.recorded_at,
                state.end,
                self.epoch,
                state.boot_id,
                0,
                seq,
            )
            parts.append(data)
            frames.append((state, envelopes, after))
            state = after
        return parts[0] if len(parts) == 1 else b"".join(parts), frames, state

    def _sync_predecessor(self, state: State, place: Segment) -> None:
        """Nothing of it is written again once it has a successor.

        A failed sync is told once for each open file. Another thread of this process may be told, and this one not:
        so they take turns, and who comes after a failure finds the poison.
        """
        with self._one_sync:
            try:
                recovery.take_up(self._system, self._segments, self._shared, state)
                self._system.datasync(place.fd)
            except OSError:
                self._shared.poison(self.epoch)
                raise failures.poisoned("the sync before a new segment failed") from None
        if not self._shared.healthy(self.epoch):
            raise failures.poisoned()

    def roll(self, state: State, *, need: int = 0) -> State:
        """Begin the next segment, after the predecessor is on disk. Raises OSError; a failed sync poisons.

        A new file is the one thing that is found by the store's path and not by what is open: StorageFailed when
        another store is there by now.
        """
        self._refuse_elsewhere()
        number = state.segment + 1
        place = self._segments.get(state.segment)
        self._shared.intend(number, 0)
        self._sync_predecessor(state, place)
        size = max(segment.capacity(number), _whole_mebibytes(need + segment.HEADER_SIZE))
        header = segment.SegmentHeader(
            log_id=place.header.log_id,
            number=number,
            epoch=self.epoch,
            first_lsn=state.lsn + 1,
            prev_end=state.end,
            prev_last_lsn=state.lsn,
            chain=state.chain,
            capacity=size,
            created_at=self._system.now(),
        )
        segment.install(self._system, self._segments.folder, header)
        self._sync_names()
        self._refuse_elsewhere()  # making a segment may take a while
        self._segments.discover()
        self._segments.taken_up.add(number)
        return self._begin_segment(state, number)

    def _refuse_elsewhere(self) -> None:
        if not self.lock.in_place():
            hint = "open the store again where it is now; nothing was acknowledged"
            raise StorageFailed("the store's folder was moved, deleted or replaced", hint=hint)


def _whole_mebibytes(size: int) -> int:
    return -(-size // segment.SMALLEST) * segment.SMALLEST


def _groups(entries: Sequence[Entry], contents: Sequence[Sealed]) -> list[_Group]:
    """Entries by frame: one, unless adopted times differ (a frame has one time)."""
    if len(entries) == 1 or len({(entry.recorded_at, entry.clock_raw) for entry in entries}) == 1:
        return [(entries, contents)]
    groups: list[_Group] = []
    start = 0
    for at in range(1, len(entries)):
        before, entry = entries[at - 1], entries[at]
        if (entry.recorded_at, entry.clock_raw) != (before.recorded_at, before.clock_raw):
            if entry.txn_offset:
                raise InvalidArgument("events of one transaction have different times", where="recorded_at")
            groups.append((entries[start:at], contents[start:at]))
            start = at
    return [*groups, (entries[start:], contents[start:])]


def _envelopes(entries: Sequence[Entry], contents: Sequence[Sealed]) -> list[Envelope]:
    return [
        Envelope(
            entry.raw_id,
            entry.kind,
            OP_NUMBERS[entry.op],
            entry.txn_offset,
            b"".join(entry.draft.touches),
            content.commitment,
            entry.before_lsn,
            entry.draft.idem,
        )
        for entry, content in zip(entries, contents, strict=True)
    ]
