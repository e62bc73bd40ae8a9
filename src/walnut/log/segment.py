"""Segments: the files of the log, their names, sizes and 512-byte headers."""

from __future__ import annotations

import re
import struct

import google_crc32c
import msgspec

from walnut.errors import FormatTooNew, LogCorruption
from walnut.system import System

MAGIC = b"WALNUTSG"
FORMAT = 1
HEADER_SIZE = 512
SMALLEST = 1024 * 1024
LARGEST = 64 * 1024 * 1024
CHAIN_BLAKE2B_256 = 1
#: The name of a prepared file that waits to become a segment.
SPARE = "spare"
#: In a store's folder while a repair puts new files in place of damaged ones.
REPAIRING = "log.new/READY"
#: Features that a reader must know to read a segment; none yet.
INCOMPATIBLE = 0

_HEADER = struct.Struct("<8sIHHQQ16sQIIQQQ32sB7xQQ")
_NAME = re.compile(r"seg-([0-9]{12})\.g([0-9]{1,10})")
_ZEROS = bytes(1024 * 1024)
#: Never written: the next one would have no number.
_LAST_GENERATION = 2**32 - 1


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment says of itself and of the end of the one before it."""

    log_id: bytes
    number: int
    generation: int = 0
    epoch: int
    first_lsn: int
    prev_end: int
    prev_last_lsn: int
    chain: bytes
    capacity: int
    created_at: int
    compatible: int = 0
    incompatible: int = INCOMPATIBLE


def name(number: int, generation: int = 0) -> str:
    """`seg-000000000012.g0`."""
    return f"seg-{number:012d}.g{generation}"


def parse_name(text: str) -> tuple[int, int] | None:
    """Number and generation, or None when it is not a segment's name."""
    match = _NAME.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def capacity(number: int) -> int:
    """Size in bytes of the n-th segment: doubling from 1 to 64 MiB."""
    return min(SMALLEST << min(number - 1, 16), LARGEST)


def encode_header(header: SegmentHeader) -> bytes:
    """The 512 bytes."""
    packed = _HEADER.pack(
        MAGIC,
        0,
        FORMAT,
        HEADER_SIZE,
        header.compatible,
        header.incompatible,
        header.log_id,
        header.number,
        header.generation,
        header.epoch,
        header.first_lsn,
        header.prev_end,
        header.prev_last_lsn,
        header.chain,
        CHAIN_BLAKE2B_256,
        header.capacity,
        header.created_at,
    ).ljust(HEADER_SIZE, b"\0")
    crc = int(google_crc32c.value(packed[12:]))
    return packed[:8] + crc.to_bytes(4, "little") + packed[12:]


def decode_header(data: bytes, *, file: str) -> SegmentHeader:
    """Check and read; LogCorruption naming `file`, or FormatTooNew."""
    if len(data) < HEADER_SIZE:
        raise LogCorruption("the segment's header is cut off", file=file, offset=len(data))
    magic, crc, version, size, compatible, incompatible, *rest = _HEADER.unpack_from(data)
    if magic != MAGIC or crc != google_crc32c.value(data[12:HEADER_SIZE]):
        raise LogCorruption("the segment's header is damaged", file=file, offset=0)
    if version > FORMAT or size != HEADER_SIZE or incompatible & ~INCOMPATIBLE:
        raise FormatTooNew(f"the segment is of format {version}", where=file, hint="upgrade walnut")
    log_id, number, generation, epoch, first_lsn, prev_end, prev_last, chain, algorithm, room, created = rest
    if algorithm != CHAIN_BLAKE2B_256:
        raise FormatTooNew(f"the segment's chain is of kind {algorithm}", where=file, hint="upgrade walnut")
    follows = first_lsn == prev_last + 1 and first_lsn < 2**63 and prev_end < 2**63 and (number > 1 or first_lsn == 1)
    if not follows or not HEADER_SIZE <= room < 2**63 or generation == _LAST_GENERATION:
        raise LogCorruption("the segment's header says what can't be", file=file, offset=0)
    return SegmentHeader(
        log_id=log_id,
        number=number,
        generation=generation,
        epoch=epoch,
        first_lsn=first_lsn,
        prev_end=prev_end,
        prev_last_lsn=prev_last,
        chain=chain,
        capacity=room,
        created_at=created,
        compatible=compatible,
        incompatible=incompatible,
    )


def prepare(system: System, path: str, size: int) -> None:
    """Make `path` a file of `size` zeros that is on disk: later writes change no metadata."""
    fd = system.open_file(path, create=True)
    try:
        system.truncate(fd, 0)
        for at in range(0, size, len(_ZEROS)):
            system.write_at(fd, _ZEROS[: min(len(_ZEROS), size - at)], at)
        system.sync(fd)
    finally:
        system.close_file(fd)


def _unused(system: System, path: str) -> bool:
    """Whether no segment's header was ever written to the file."""
    fd = system.open_file(path, write=False)
    try:
        return not any(system.read_at(fd, HEADER_SIZE, 0))
    finally:
        system.close_file(fd)


def install(system: System, folder: str, header: SegmentHeader) -> None:
    """Make a segment: take the prepared file or make one, write its header, sync, rename; the caller syncs the folder.

    A crash leaves a temporary file or the whole segment; the name never shows an unwritten header. Under the
    write lock. Raises OSError.
    """
    path = f"{folder}/{name(header.number, header.generation)}"
    taken, spare = f"{path}.tmp", f"{folder}/{SPARE}"
    ready = system.exists(spare) and system.path_size(spare) == header.capacity
    if ready:
        system.rename(spare, taken)  # under its own name nobody can swap it for another
        ready = system.path_size(taken) == header.capacity and _unused(system, taken)
        if not ready:  # it may be a segment: where a power cut kept a rename and not the one before, it has two names
            system.remove(taken)
    if not ready:
        prepare(system, taken, header.capacity)
    fd = system.open_file(taken)
    try:
        system.write_at(fd, encode_header(header), 0)
        system.sync(fd)
    finally:
        system.close_file(fd)
    system.rename(taken, path)
