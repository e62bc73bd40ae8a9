"""Verify: every bit of history checked, read-only: checksums, LSN density, chain, commitments."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from walnut.errors import FormatTooNew, LogCorruption
from walnut.log import frame, keys, recovery, segment
from walnut.log.segments import Frame, Segment, Segments
from walnut.log.shared import MARK_SLOTS, SIZE, State, newest
from walnut.model.results import Finding, VerifyReport
from walnut.system import System

#: Called with the bytes checked so far and the bytes there are.
Progress = Callable[[int, int], None]


class Checked(msgspec.Struct):
    """What a walk over the segments has seen so far."""

    lsn: int = 0
    chain: bytes = bytes(32)
    frames: int = 0
    events: int = 0
    bytes_read: int = 0
    findings: list[Finding] = []

    def report(self, segments: int) -> VerifyReport:
        """The outcome."""
        return VerifyReport(
            ok=not self.findings,
            segments=segments,
            frames=self.frames,
            events=self.events,
            last_lsn=self.lsn,
            bytes_read=self.bytes_read,
            chain=self.chain.hex(),
            findings=tuple(self.findings),
        )


def verify_segments(
    system: System, segments: Segments, end: State, *, progress: Progress | None = None
) -> VerifyReport:
    """Check everything up to `end`."""
    seen = Checked(findings=[])
    for number in range(1, end.segment + 1):
        try:
            place = segments.get(number)
            sealed = segments.sealed_end(number)
        except LogCorruption as error:
            seen.findings.append(as_finding(error))
            continue
        stop = end.end if number == end.segment or sealed is None else sealed[0]
        _check_segment(system, segments, place, stop, seen)
        if progress is not None:
            progress(seen.bytes_read, seen.bytes_read)
    if not seen.findings and (seen.lsn, seen.chain) != (end.lsn, end.chain):
        seen.findings.append(
            Finding(file="log/mark", offset=0, message="the log does not end as the mark says", last_lsn=end.lsn)
        )
    return seen.report(end.segment)


def _check_segment(system: System, segments: Segments, place: Segment, stop: int, seen: Checked) -> None:
    header = place.header
    if header.first_lsn != seen.lsn + 1 or header.chain != seen.chain:
        seen.findings.append(
            Finding(
                file=place.file,
                offset=0,
                message="the segment does not follow its predecessor",
                first_lsn=seen.lsn + 1,
                last_lsn=header.first_lsn - 1,
            )
        )
        seen.lsn, seen.chain = header.first_lsn - 1, header.chain
    at = segment.HEADER_SIZE
    while at < stop:
        try:
            for each in segments.frames(place, start=at, end=stop, lsn=seen.lsn + 1):
                _check_frame(place, each, seen)
                at = each.end
        except (LogCorruption, FormatTooNew) as error:
            following = next_good(system, place, at + frame.ALIGNMENT, stop)
            seen.findings.append(_damage(place, at, str(getattr(error, "message", error)), seen, following))
            if following is None:
                return
            at = following.offset
            seen.lsn, seen.chain = following.header.first_lsn - 1, following.header.prev_hash


def _damage(place: Segment, at: int, message: str, seen: Checked, following: Frame | None) -> Finding:
    last = following.header.first_lsn - 1 if following else None
    return Finding(file=place.file, offset=at, message=message, first_lsn=seen.lsn + 1, last_lsn=last)


def _check_frame(place: Segment, each: Frame, seen: Checked) -> None:
    """Chain, envelopes, contents, commitments of one frame whose checksums hold."""
    header = each.header
    problem = frame.unsound(header, each.body)
    if header.prev_hash != seen.chain:
        problem = ("the chain is broken", header.first_lsn)
    if problem is not None:
        message, lsn = problem
        raise LogCorruption(message, file=place.file, offset=each.offset, first_lsn=lsn, last_lsn=header.last_lsn)
    seen.chain = each.chain()
    seen.lsn = header.last_lsn
    seen.frames += 1
    seen.events += header.count
    seen.bytes_read += header.length


def next_good(system: System, place: Segment, start: int, stop: int) -> Frame | None:
    """The first whole frame at or behind `start`."""
    stop = min(stop, system.file_size(place.fd))
    data = system.read_at(place.fd, stop - start, start) if stop > start else b""
    at = data.find(frame.MAGIC)
    while at >= 0:
        header = frame.read_header(data, crc_seed=place.seed, offset=start + at, at=at)
        if header is not None:
            body = data[at + frame.HEADER_SIZE : at + header.length]
            if frame.body_is_whole(header, body, crc_seed=place.seed, offset=start + at):
                return Frame(header, data[at : at + frame.HEADER_SIZE], body, start + at)
        at = data.find(frame.MAGIC, at + 1)
    return None


def as_finding(error: LogCorruption) -> Finding:
    """A corruption error as a line of the report."""
    return Finding(
        file=error.file,
        offset=error.offset,
        message=error.message,
        first_lsn=error.first_lsn,
        last_lsn=error.last_lsn,
    )


def read_mark(system: System, folder: str, log_id: bytes) -> State | None:
    """The mark as it lies on disk, None when it is missing or damaged; reads only."""
    path = f"{folder}/log/mark"
    if not system.exists(path):
        return None
    fd = system.open_file(path, write=False)
    try:
        data = system.read_at(fd, SIZE, 0).ljust(SIZE, b"\0")
    finally:
        system.close_file(fd)
    return newest(data, MARK_SLOTS, log_id)


def verify_folder(
    system: System, folder: str, *, progress: Progress | None = None, alone: bool = False
) -> VerifyReport:
    """Check a store offline, read-only; whoever has it open may go on. NotAStore, FormatTooNew.

    `alone`: the caller holds the presence lock, so that what lies behind the mark is no writer's work.
    """
    report = _verify_log(system, folder, progress, alone=alone)
    if system.exists(f"{folder}/{segment.REPAIRING}"):
        unfinished = Finding(file=segment.REPAIRING, offset=0, message="a repair was interrupted: run it again")
        report = msgspec.structs.replace(report, ok=False, findings=(unfinished, *report.findings))
    return report


def end_of(system: System, folder: str) -> State:
    """Where the log of a store ends, as `verify_folder` finds it. LogCorruption, NotAStore, FormatTooNew."""
    log_id = keys.load(system, folder).log_id
    segments = Segments(system, f"{folder}/log", log_id, write=False)
    try:
        return _end(system, segments, folder, read_mark(system, folder, log_id))
    finally:
        segments.close()


def _verify_log(system: System, folder: str, progress: Progress | None, *, alone: bool) -> VerifyReport:
    try:
        identity = keys.load(system, folder)
    except LogCorruption as error:
        return Checked(findings=[as_finding(error)]).report(0)
    mark = read_mark(system, folder, identity.log_id)
    segments = Segments(system, f"{folder}/log", identity.log_id, write=False)
    try:
        end = recovery.find_end(system, segments, mark).state if alone else _end(system, segments, folder, mark)
        return verify_segments(system, segments, end, progress=progress)
    except LogCorruption as error:
        return _as_far_as_it_goes(system, segments, mark, error, progress)
    finally:
        segments.close()


def _end(system: System, segments: Segments, folder: str, mark: State | None) -> State:
    """The mark while somebody has the store open, else where recovery would end."""
    presence = f"{folder}/log/presence"
    if mark is not None and system.exists(presence):
        fd = system.open_file(presence, write=False)
        try:
            segments.discover()
            if not system.try_lock_file(fd, shared=False):
                return mark
            return recovery.find_end(system, segments, mark).state
        finally:
            system.close_file(fd)
    return recovery.find_end(system, segments, mark).state


def _as_far_as_it_goes(
    system: System, segments: Segments, mark: State | None, error: LogCorruption, progress: Progress | None
) -> VerifyReport:
    """The end itself is damaged: check what can be read up to it, and add what was wrong there."""
    numbers = segments.discovered()
    found = Checked(findings=[])
    for number in numbers:
        try:
            place = segments.get(number)
        except LogCorruption as other:
            found.findings.append(as_finding(other))
            continue
        following = number + 1 in numbers
        try:
            sealed = segments.sealed_end(number) if following else None
        except LogCorruption:
            sealed = None
        stop = sealed[0] if sealed else _written_end(system, place, mark)
        _check_segment(system, segments, place, stop, found)
        if progress is not None:
            progress(found.bytes_read, found.bytes_read)
    finding = as_finding(error)
    if all((each.file, each.offset) != (finding.file, finding.offset) for each in found.findings):
        found.findings.append(finding)
    return found.report(len(numbers))


def _written_end(system: System, place: Segment, mark: State | None) -> int:
    """The offset behind the last whole frame of the last segment, or the mark's if that is farther."""
    end = segment.HEADER_SIZE
    found = next_good(system, place, end, place.header.capacity)
    while found is not None:
        end = found.end
        found = next_good(system, place, end, place.header.capacity)
    return max(end, mark.end) if mark is not None and mark.segment == place.number else end
