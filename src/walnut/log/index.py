"""The index of one segment: frame offsets, idempotency hashes and touches, in memory and as a sidecar file.

A sidecar can be rebuilt from its segment at any time. It is believed only if its checksum holds and the frame it
ends with is in the segment, byte for byte (its chain hash says so); else it is ignored and written anew.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import google_crc32c
import msgspec

from walnut.log.frame import Envelope
from walnut.log.segment import HEADER_SIZE
from walnut.model.ids import TOUCH_SIZE
from walnut.system import System

MAGIC = b"WALNUTIX"
_HEADER = struct.Struct("<8sI4xQIIQQQ32sQQQ")
_FRAME = struct.Struct("<QQ")
_IDEM = struct.Struct("<16sQ")
_TOUCH = struct.Struct("<17sQ")


class Covered(msgspec.Struct, frozen=True):
    """How far an index reaches: up to byte `end`, whose last frame lies at `frame` and leaves the chain at `chain`."""

    end: int = HEADER_SIZE
    lsn: int = 0
    frame: int = 0
    chain: bytes = bytes(32)


class Sidecar:
    """A sidecar's bytes, searched in place."""

    def __init__(self, data: bytes) -> None:
        head = _HEADER.unpack_from(data)
        self.segment, self.generation = head[2], head[3]
        self.covered = Covered(head[5], head[6], head[7], head[8])
        self._frames, self._idems, self._touches = head[9], head[10], head[11]
        self._data = data
        self._frames_at = _HEADER.size
        self._idems_at = self._frames_at + self._frames * _FRAME.size
        self._touches_at = self._idems_at + self._idems * _IDEM.size

    def frame_before(self, lsn: int) -> tuple[int, int] | None:
        """First LSN and offset of the frame that `lsn` would be in."""

        def first(n: int) -> int:
            return int.from_bytes(self._data[self._frames_at + n * 16 : self._frames_at + n * 16 + 8], "little")

        n = bisect_right(range(self._frames), lsn, key=first) - 1
        if n < 0:
            return None
        first_lsn, offset = _FRAME.unpack_from(self._data, self._frames_at + n * 16)
        return first_lsn, offset

    def find_idem(self, idem: bytes) -> int | None:
        """The LSN with this hash."""
        size = _IDEM.size

        def entry(n: int) -> bytes:
            return self._data[self._idems_at + n * size : self._idems_at + n * size + 16]

        n = bisect_left(range(self._idems), idem, key=entry)
        if n == self._idems or entry(n) != idem:
            return None
        return int(_IDEM.unpack_from(self._data, self._idems_at + n * size)[1])

    def touching(self, touch: bytes) -> list[int]:
        """LSNs that touch this key, ascending."""
        size = _TOUCH.size

        def entry(n: int) -> bytes:
            return self._data[self._touches_at + n * size : self._touches_at + n * size + TOUCH_SIZE]

        n = bisect_left(range(self._touches), touch, key=entry)
        found = []
        while n < self._touches and entry(n) == touch:
            found.append(_TOUCH.unpack_from(self._data, self._touches_at + n * size)[1])
            n += 1
        return found

    def entries(self) -> tuple[bytes, dict[bytes, int], list[tuple[bytes, int]]]:
        """Frames as bytes, idempotency hashes, touches."""
        frames = self._data[self._frames_at : self._idems_at]
        idems: dict[bytes, int] = dict(_IDEM.iter_unpack(self._data[self._idems_at : self._touches_at]))
        return frames, idems, list(_TOUCH.iter_unpack(self._data[self._touches_at :]))


class SegmentIndex:
    """The growing index of a segment: what a sidecar already covers, and what came after."""

    def __init__(self, segment: int, generation: int, base: Sidecar | None = None) -> None:
        self.segment = segment
        self.generation = generation
        self.covered = base.covered if base else Covered()
        self._base = base
        self._lsns = array("Q")
        self._offsets = array("Q")
        self._idems: dict[bytes, int] = {}
        self._touches: dict[bytes, list[int]] = {}

    @property
    def grown(self) -> bool:
        """Whether it holds anything that its sidecar does not."""
        return bool(self._lsns)

    def add(self, *, first_lsn: int, offset: int, envelopes: Sequence[Envelope]) -> None:
        """Take in the frame that follows those there are; `covered` is for the caller to set, behind the last one."""
        self._lsns.append(first_lsn)
        self._offsets.append(offset)
        lsn = first_lsn
        touches = self._touches
        for envelope in envelopes:
            raw = envelope.touches
            for at in range(0, len(raw), TOUCH_SIZE):
                key = raw[at : at + TOUCH_SIZE]
                known = touches.get(key)
                if known is None:
                    touches[key] = [lsn]
                elif known[-1] != lsn:
                    known.append(lsn)
            if envelope.idem is not None:
                self._idems.setdefault(envelope.idem, lsn)
            lsn += 1

    def frame_before(self, lsn: int) -> tuple[int, int] | None:
        """First LSN and offset of the frame that `lsn` would be in."""
        n = bisect_right(self._lsns, lsn) - 1
        if n >= 0:
            return self._lsns[n], self._offsets[n]
        return self._base.frame_before(lsn) if self._base else None

    def find_idem(self, idem: bytes) -> int | None:
        """The first LSN with this hash."""
        found = self._base.find_idem(idem) if self._base else None
        return self._idems.get(idem) if found is None else found

    def touching(self, touch: bytes) -> list[int]:
        """LSNs that touch this key, ascending."""
        recent = self._touches.get(touch, [])
        return [*self._base.touching(touch), *recent] if self._base else recent

    def encode(self) -> bytes:
        """The whole index as a sidecar."""
        frames = b"".join(map(_FRAME.pack, self._lsns, self._offsets))
        idems = dict(self._idems)
        pairs = [(touch, lsn) for touch, lsns in self._touches.items() for lsn in lsns]
        if self._base is not None:
            old_frames, old_idems, old_pairs = self._base.entries()
            frames = old_frames + frames
            idems.update(old_idems)
            pairs += old_pairs
        covered = self.covered
        body = frames + b"".join(_IDEM.pack(*pair) for pair in sorted(idems.items()))
        body += b"".join(_TOUCH.pack(*pair) for pair in sorted(set(pairs)))
        head = (self.segment, self.generation, 0, covered.end, covered.lsn, covered.frame, covered.chain)
        counts = (len(frames) // _FRAME.size, len(idems), len(set(pairs)))
        data = _HEADER.pack(MAGIC, 0, *head, *counts) + body
        return data[:8] + int(google_crc32c.value(data[12:])).to_bytes(4, "little") + data[12:]


def decode(data: bytes) -> Sidecar | None:
    """A sidecar, or None when it is not one or its checksum fails."""
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        return None
    if int(google_crc32c.value(data[12:])).to_bytes(4, "little") != data[8:12]:
        return None
    frames, idems, touches = _HEADER.unpack_from(data)[9:]
    if len(data) != _HEADER.size + frames * _FRAME.size + idems * _IDEM.size + touches * _TOUCH.size:
        return None
    return Sidecar(data)


def load(system: System, path: str) -> Sidecar | None:
    """Read a sidecar file; None when it is missing or not good."""
    try:
        fd = system.open_file(path, write=False)
    except OSError:
        return None
    try:
        return decode(system.read_at(fd, system.file_size(fd), 0))
    except OSError:
        return None
    finally:
        system.close_file(fd)


def save(system: System, path: str, index: SegmentIndex) -> None:
    """Write a sidecar beside its segment; a failure is harmless, since it can be rebuilt."""
    temporary = f"{path}.{system.random(4).hex()}.tmp"
    try:
        fd = system.open_file(temporary, create=True)
        try:
            system.write_at(fd, index.encode(), 0)
        finally:
            system.close_file(fd)
        system.rename(temporary, path)
    except OSError:
        if system.exists(temporary):
            system.remove(temporary)
