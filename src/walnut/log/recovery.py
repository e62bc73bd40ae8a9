"""Recovery: where the log ends, whether its end is torn or damaged, and making durable what is kept.

A log that was not closed ends in one of these ways, decided by `judge`. "Bad" is the first offset in the last
segment at which no valid frame with the expected LSN and chain hash begins.

    clean      nothing but zeros follows: prepared space.
    torn       a frame was being written: it is not there whole and was never acknowledged. It is left where it
               is and sealed by rolling to a new segment.
    damaged    the bytes at the bad offset were once durable, or were once whole: the mark lies behind them; a
               later frame was written when they were known durable; or every 512-byte sector that the frame has
               a share in holds something, so that it was written whole and changed afterwards. Nothing is served.
"""

from __future__ import annotations

import errno
from enum import Enum

import msgspec

from walnut.errors import LogCorruption
from walnut.log import frame, segment
from walnut.log.segments import Frame, Segment, Segments
from walnut.log.shared import Shared, State
from walnut.system import System

SECTOR = 512


class Verdict(Enum):
    """What the end of the log is."""

    CLEAN = "clean"
    TORN = "torn"
    DAMAGED = "damaged"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen at the bad offset: all that the verdict rests on."""

    before_mark: bool
    later_frame_knew_it_durable: bool
    valid_but_out_of_place: bool
    only_zeros: bool
    header_readable: bool
    every_sector_written: bool


def judge(seen: Evidence) -> Verdict:
    """One verdict for every combination of evidence."""
    if seen.before_mark or seen.later_frame_knew_it_durable or seen.valid_but_out_of_place:
        return Verdict.DAMAGED
    if seen.only_zeros:
        return Verdict.CLEAN
    if seen.header_readable and seen.every_sector_written:
        return Verdict.DAMAGED
    return Verdict.TORN


class Ending(msgspec.Struct, frozen=True):
    """The end of the log, and whether something torn lies behind it."""

    state: State
    verdict: Verdict


def find_end(system: System, segments: Segments, mark: State | None) -> Ending:
    """Find the end from the mark (or the last segment's start) on; LogCorruption when it is damaged."""
    segments.discover()
    if mark is not None and mark.segment > segments.last:
        raise LogCorruption(
            "a segment file is missing", file=f"log/{segment.name(mark.segment)}", offset=0, last_lsn=mark.lsn
        )
    _check_links(segments, mark)
    place = segments.get(segments.last)
    start = _start(segments, place, mark)
    state, bad = _advance(segments, place, start)
    if mark is not None and mark.clean and state.same_end(mark) and _zeros(system, place, state.end, frame.HEADER_SIZE):
        return Ending(state, Verdict.CLEAN)
    verdict = judge(_look(system, place, state, mark, bad))
    if verdict is Verdict.DAMAGED:
        raise segments.damage("a frame that was whole is damaged", place, offset=state.end, lsn=state.lsn + 1)
    return Ending(state, verdict)


def _check_links(segments: Segments, mark: State | None) -> None:
    """Each segment's header must go on where the one before it says it ends."""
    for number in range(2, segments.last + 1):
        header = segments.get(number).header
        before = segments.get(number - 1)
        if header.first_lsn != header.prev_last_lsn + 1 or header.prev_end > before.header.capacity:
            raise segments.damage("the segment does not follow its predecessor", segments.get(number), offset=0)
        if mark is not None and mark.segment == number - 1 and mark.end > header.prev_end:
            raise segments.damage("acknowledged frames are missing", before, offset=header.prev_end, lsn=mark.lsn)


def _start(segments: Segments, place: Segment, mark: State | None) -> State:
    if mark is None or mark.segment != place.number:
        header = place.header
        recorded_at = _newest_time(segments, place.number, mark)
        return State(place.number, segment.HEADER_SIZE, header.first_lsn - 1, header.chain, recorded_at)
    if not segment.HEADER_SIZE <= mark.end <= place.header.capacity:
        raise segments.damage("acknowledged frames are missing", place, offset=place.header.capacity, last=mark.lsn)
    if mark.frame:
        last = segments.raw_frame(place, mark.frame)
        if last is None or last.end != mark.end or last.header.last_lsn != mark.lsn or last.chain() != mark.chain:
            raise segments.damage("an acknowledged frame is damaged", place, offset=mark.frame, last=mark.lsn)
    return mark


def _newest_time(segments: Segments, number: int, mark: State | None) -> int:
    """The time of the last event before this segment: times never decrease, also when the segment is empty."""
    if mark is not None and mark.lsn == segments.get(number).header.first_lsn - 1:
        return mark.recorded_at
    while number > 1:
        number -= 1
        place, sealed = segments.get(number), segments.sealed_end(number)
        newest = 0
        for each in segments.frames(
            place, start=segment.HEADER_SIZE, end=sealed[0] if sealed else 0, lsn=place.header.first_lsn
        ):
            newest = each.header.recorded_at
        if newest:
            return newest
    return 0


def _advance(segments: Segments, place: Segment, state: State) -> tuple[State, Frame | None]:
    """Go over all good frames; also returns a valid frame that does not belong, if that is what stopped it."""
    while state.end < place.header.capacity:
        each = segments.raw_frame(place, state.end)
        if each is None:
            break
        header = each.header
        if header.first_lsn != state.lsn + 1 or header.prev_hash != state.chain or not header.count:
            return state, each
        state = State(
            place.number, each.end, header.last_lsn, each.chain(), header.recorded_at, each.offset, header.epoch
        )
    return state, None


def follows(segments: Segments, place: Segment, state: State) -> State:
    """The end after all frames that a dead writer left whole behind `state`."""
    return _advance(segments, place, state)[0]


def _look(system: System, place: Segment, state: State, mark: State | None, bad: Frame | None) -> Evidence:
    rest = system.read_at(place.fd, place.header.capacity - state.end, state.end)
    only_zeros = not rest.strip(b"\0")
    header = frame.read_header(rest, crc_seed=place.seed, offset=state.end)
    return Evidence(
        before_mark=mark is not None and mark.segment == place.number and state.end < mark.end,
        later_frame_knew_it_durable=not only_zeros and _later_proof(place, rest, state),
        valid_but_out_of_place=bad is not None,
        only_zeros=only_zeros,
        header_readable=header is not None,
        every_sector_written=header is not None and _every_sector(rest, state.end, header.length),
    )


def _later_proof(place: Segment, rest: bytes, state: State) -> bool:
    """Whether a later frame's header says that the LSN expected here was durable when it was written."""
    at = rest.find(frame.MAGIC, 1)
    while at >= 0:
        header = frame.read_header(rest, crc_seed=place.seed, offset=state.end + at, at=at)
        if header is not None and header.synced_upto > state.lsn:
            return True
        at = rest.find(frame.MAGIC, at + 1)
    return False


def _every_sector(rest: bytes, offset: int, length: int) -> bool:
    """Whether every sector that the frame has a share in holds something other than zeros there."""
    at = 0
    while at < min(length, len(rest)):
        end = min(at + SECTOR - (offset + at) % SECTOR, length)
        if not rest[at:end].strip(b"\0"):
            return False
        at = end
    return True


def _zeros(system: System, place: Segment, offset: int, length: int) -> bool:
    return not system.read_at(place.fd, min(length, place.header.capacity - offset), offset).strip(b"\0")


def dirty(system: System, place: Segment, offset: int, end: int | None) -> bool:
    """Whether anything was written from `offset` on, up to `end` (None: the segment's)."""
    stop = place.header.capacity if end is None else min(end, place.header.capacity)
    return offset < stop and not _zeros(system, place, offset, stop - offset)


def make_durable(system: System, segments: Segments, state: State, mark: State | None) -> None:
    """Write the range that may not be on disk again, check it and sync it: a sync may have failed unseen.

    After a failed sync the kernel calls pages clean that never reached the disk; only writing them again makes
    the next sync carry them. Raises OSError, also when the bytes changed on the way.
    """
    place = segments.get(state.segment)
    known = mark is not None and mark.segment == state.segment
    start = mark.end if mark is not None and known else 0
    if start >= state.end and known:
        return
    if not known:
        system.sync_directory(segments.folder)
    _write_again(system, segments, place, start, state.end)
    system.datasync(place.fd)
    segments.taken_up.add(state.segment)


def _write_again(system: System, segments: Segments, place: Segment, start: int, end: int) -> None:
    if end > place.header.capacity:
        raise segments.damage("the log's end lies behind its segment", place, offset=place.header.capacity)
    data = system.read_at(place.fd, end - start, start)
    if not _whole(place, data, start):
        raise OSError(errno.EIO, "what was written has left the page cache and is not on the disk")
    system.write_at(place.fd, data, start)
    if system.read_at(place.fd, end - start, start) != data:
        raise OSError(errno.EIO, "bytes changed while they were written again")


def _whole(place: Segment, data: bytes, start: int) -> bool:
    """Whether these bytes of a segment are whole frames: pages that a failed sync gave up may be read as they were."""
    at = 0
    if start == 0:
        at = segment.HEADER_SIZE
        try:
            segment.decode_header(data[:at], file=place.file)
        except LogCorruption:
            return False
    while at < len(data):
        header = frame.read_header(data, crc_seed=place.seed, offset=start + at, at=at)
        if header is None:
            return False
        body = data[at + frame.HEADER_SIZE : at + header.length]
        if not frame.body_is_whole(header, body, crc_seed=place.seed, offset=start + at):
            return False
        at += header.length
    return at == len(data)


def take_up(system: System, segments: Segments, shared: Shared, state: State) -> None:
    """Write again what others left unsynced in a segment, before this process first syncs it.

    A sync that failed before the file was open here is not reported here, and who it was reported to may be dead.
    No lock is needed: what is written never changes. Raises OSError.
    """
    if state.segment in segments.taken_up:
        return
    mark = shared.mark.load()
    start = mark.end if mark is not None and mark.segment == state.segment else 0
    if start < state.end:
        _write_again(system, segments, segments.get(state.segment), start, state.end)
    segments.taken_up.add(state.segment)


def begin_epoch(system: System, shared: Shared, ending: Ending, *, epoch: int) -> State:
    """Publish the recovered end: everybody starts from here.

    A torn end is announced as the intention of a dead writer: whoever writes next begins a new segment.
    Killed anywhere in here, the next one recovers again: it is alone, or the old epoch's poison is still there.
    """
    state, boot_id = ending.state, system.boot_id()
    mark, written = shared.mark.load(), shared.written.load()
    fresh = msgspec.structs.replace(
        state, epoch=epoch, boot_id=boot_id, clean=0, seq=written.seq + 1 if written is not None else 1
    )
    shared.written.store(fresh, fresh.seq)
    if ending.verdict is Verdict.TORN:
        shared.intend(fresh.segment + 1, 0)
    else:
        shared.intend(fresh.segment, fresh.end)
    shared.mark.store(fresh, mark.seq + 1 if mark is not None else 1)
    shared.flush_mark()  # lest the disk still call clean what is about to be written to
    shared.begin(epoch=epoch, boot_id=boot_id)
    return fresh


def soil(shared: Shared) -> None:
    """Take back that the log was left clean: by a process that joins one that is about to go. Under both locks."""
    mark = shared.mark.load()
    if mark is not None and mark.clean:
        shared.mark.store(msgspec.structs.replace(mark, clean=0), mark.seq + 1)
        shared.flush_mark()
