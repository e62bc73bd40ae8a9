"""The segments of a log as one process sees them: open files, headers, and checked frames read from them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from walnut.errors import LogCorruption, NotFound, StorageFailed, StoreClosed, WalnutError
from walnut.log import failures, frame, segment
from walnut.log.frame import Header
from walnut.log.segment import SegmentHeader
from walnut.system import System

CHUNK = 1024 * 1024


class Segment(msgspec.Struct, frozen=True):
    """An open segment file."""

    header: SegmentHeader
    path: str
    file: str
    fd: int
    seed: int
    identity: tuple[int, int] = (0, 0)

    @property
    def number(self) -> int:
        """Its place in the log, from 1."""
        return self.header.number


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame that was read and whose checksums hold."""

    header: Header
    raw_header: bytes
    body: bytes
    offset: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.header.length

    def chain(self) -> bytes:
        """The chain hash after it."""
        return frame.chain(self.raw_header, frame.envelope_section(self.body))


class Segments:
    """All segments, opened on first use; new ones are found when asked for."""

    def __init__(self, system: System, folder: str, log_id: bytes, *, write: bool = True) -> None:
        self.folder = folder
        self._write = write
        self._closed = False
        self._system = system
        self._log_id = log_id
        self.lock = system.lock()
        self._open: dict[int, Segment] = {}
        self.last = 0
        #: Segments whose sync failures reach this process, or whose unsynced bytes it has written again.
        self.taken_up: set[int] = set()

    def discover(self) -> dict[int, int]:
        """Number -> newest generation of every segment in the folder; LogCorruption when one is missing."""
        found = self.discovered()
        for number in range(1, max(found, default=0)):
            if number not in found:
                raise LogCorruption("a segment file is missing", file=f"log/{segment.name(number)}", offset=0)
        self.last = max(found, default=0)
        return found

    def discovered(self) -> dict[int, int]:
        """The same, whatever is missing."""
        found: dict[int, int] = {}
        try:
            entries = self._system.list_folder(self.folder)
        except OSError as error:
            raise failures.storage_error(error, "looking for segments", where=self.folder) from None
        for entry in entries:
            parsed = segment.parse_name(entry)
            if parsed:
                found[parsed[0]] = max(parsed[1], found.get(parsed[0], 0))
        return dict(sorted(found.items()))

    def get(self, number: int) -> Segment:
        """The open segment; LogCorruption when it is missing, cut off, or not of this log."""
        known = self._open.get(number)
        if known is not None:
            return known
        with self.lock:
            if self._closed:
                raise self._gone()
            if number not in self._open:
                generation = self.discovered().get(number)
                if generation is None:
                    raise LogCorruption("a segment file is missing", file=f"log/{segment.name(number)}", offset=0)
                self._open[number] = self._open_segment(number, generation)
            return self._open[number]

    def _open_segment(self, number: int, generation: int) -> Segment:
        file = segment.name(number, generation)
        path = f"{self.folder}/{file}"
        try:
            fd = self._system.open_file(path, write=self._write)
        except OSError as error:
            raise failures.storage_error(error, "opening a segment", where=f"log/{file}") from None
        try:
            header = self._check_segment(fd, f"log/{file}", number, generation)
            identity = self._system.file_identity(fd)
        except BaseException as error:
            self._system.close_file(fd)
            if isinstance(error, OSError):
                raise failures.storage_error(error, "opening a segment", where=f"log/{file}") from None
            raise
        return Segment(header, path, f"log/{file}", fd, frame.seed(self._log_id, number), identity)

    def _check_segment(self, fd: int, file: str, number: int, generation: int) -> SegmentHeader:
        header = segment.decode_header(self._system.read_at(fd, segment.HEADER_SIZE, 0), file=file)
        if (header.log_id, header.number, header.generation) != (self._log_id, number, generation):
            raise LogCorruption("the segment is another log's or out of place", file=file, offset=0)
        size = self._system.file_size(fd)
        if size < header.capacity:
            raise LogCorruption("the segment file is cut off", file=file, offset=size)
        return header

    def refuse_other(self, place: Segment, found: tuple[int, int]) -> None:
        """StorageFailed when another file has the segment's descriptor: whoever closed it did so unasked."""
        if found != place.identity:
            hint = "find what closes descriptors it did not open; open the store again"
            raise StorageFailed("another part of the program closed the log's file", hint=hint)

    def find(self, lsn: int) -> int:
        """Number of the segment that `lsn` would be in."""
        number = max(self.last, 1)
        while number > 1 and self.get(number).header.first_lsn > lsn:
            number -= 1
        return number

    def sealed_end(self, number: int) -> tuple[int, int] | None:
        """End offset and last LSN of a segment that has a successor, as that one states them."""
        if number >= self.last:
            return None
        successor = self.get(number + 1).header
        return successor.prev_end, successor.prev_last_lsn

    def _read(self, place: Segment, length: int, offset: int) -> bytes:
        """Bytes of a segment; StorageFailed when the disk refuses, StoreClosed when another thread closed the log."""
        try:
            if not self._closed:
                return self._system.read_at(place.fd, length, offset)
        except OSError as error:
            if not self._closed:
                raise failures.storage_error(error, "reading the log", where=self.folder) from None
        raise self._gone()

    def _gone(self) -> StoreClosed:
        return StoreClosed("the log is closed", hint="open the store again")

    def raw_frame(self, place: Segment, offset: int) -> Frame | None:
        """The whole and valid frame at `offset`, else None."""
        if offset >= place.header.capacity:  # an index that lies names any offset
            return None
        head = self._read(place, frame.HEADER_SIZE, offset)
        header = frame.read_header(head, crc_seed=place.seed, offset=offset)
        if header is None or offset + header.length > place.header.capacity:
            return None
        body = self._read(place, header.body_length, offset + frame.HEADER_SIZE)
        if not frame.body_is_whole(header, body, crc_seed=place.seed, offset=offset):
            return None
        return Frame(header, head, body, offset)

    def frames(self, place: Segment, *, start: int, end: int, lsn: int) -> Iterator[Frame]:
        """Checked frames from `start`, the first of which begins with `lsn`, up to exactly `end`.

        For ranges that are known to be whole: anything else there is LogCorruption.
        """
        buffer, base, crc_seed = b"", start, place.seed
        while start < end:
            at = start - base
            whole = frame.read_whole(buffer, crc_seed=crc_seed, offset=start, at=at)
            if whole is None:  # bad, or not all of it is in the buffer
                buffer, base, at = self._around(place, start, end), start, 0
                whole = frame.read_whole(buffer, crc_seed=crc_seed, offset=start)
            if whole is None:
                raise self._bad_frame(place, buffer, start, lsn)
            header, body = whole
            if header.first_lsn != lsn or not header.count:
                raise self.damage("LSNs are not dense", place, offset=start, lsn=lsn)
            yield Frame(header, buffer[at : at + frame.HEADER_SIZE], body, start)
            start += frame.HEADER_SIZE + header.body_length
            lsn += header.count
        if start != end:
            raise self.damage("a frame runs past the segment's end", place, offset=end, lsn=lsn)

    def _around(self, place: Segment, start: int, end: int) -> bytes:
        """What is to be read at once from `start` on: many frames, or all of a large one that ends by `end`."""
        data = self._read(place, min(CHUNK, end - start), start)
        header = frame.read_header(data, crc_seed=place.seed, offset=start)
        if header is not None and len(data) < header.length <= end - start:
            return self._read(place, header.length, start)
        return data

    def _bad_frame(self, place: Segment, data: bytes, offset: int, lsn: int) -> WalnutError:
        header = frame.read_header(data, crc_seed=place.seed, offset=offset)
        if header is None:
            return self.damage("a frame's header is damaged", place, offset=offset, lsn=lsn)
        return self.damage("a frame's body is damaged", place, offset=offset, lsn=lsn, last=header.last_lsn)

    def damage(
        self, message: str, place: Segment, *, offset: int, lsn: int | None = None, last: int | None = None
    ) -> WalnutError:
        """The error for damage at `offset`; StoreClosed when the log was closed meanwhile, since files lie then."""
        if self._closed:
            return self._gone()
        return LogCorruption(message, file=place.file, offset=offset, first_lsn=lsn, last_lsn=last)

    def not_found(self, lsn: int) -> NotFound:
        """The error for an LSN that does not exist."""
        return NotFound(f"there is no event {lsn}", where="lsn", hint="LSNs are dense from 1")

    def close(self) -> None:
        """Close every file."""
        with self.lock:
            self._closed = True
            for place in self._open.values():
                self._system.close_file(place.fd)
            self._open.clear()
