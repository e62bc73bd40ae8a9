"""A disk that remembers: one file, served over FUSE, whose every write and flush is put on a tape in order.

`python -m tests.crash.disk mountpoint image tape position`. The mountpoint is an empty file; it becomes the disk,
filled with `image`. A loop device on it turns a file system's blocks into writes here, and its flushes into fsyncs.
Each is on the tape, and counted in the file `position`, before it is answered: who reads the position after a sync
returned knows that any cut from there on comes after that sync. Two more numbers in that file, set from outside, say
how many of the next writes and of the next flushes fail with EIO; those are on no tape, and counted in the fourth.
Speaks the kernel's protocol itself (7.31).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO

#: A record of the tape: offset and length; a flush has the length 0, zeros are written out.
RECORD = struct.Struct("<QQ")

#: The file `position`: its size, and where its other numbers are.
POSITION, FAILING_WRITES, FAILING_FLUSHES, FAILED = 32, 8, 16, 24

_MAX_WRITE = 1024 * 1024
_REQUEST = struct.Struct("<IIQQIIIHH")
_ANSWER = struct.Struct("<IiQ")
_INIT = struct.Struct("<IIIIHHIIHHI28x")
_ATTRIBUTES = struct.Struct("<QII QQQQQQ IIIIIIIIII")
_SPAN = struct.Struct("<QQI")
_FALLOCATE = struct.Struct("<QQQI")
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16

_FORGET, _GETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE = 2, 3, 14, 15, 16, 17, 18
_FSYNC, _FLUSH, _INITIALISE, _INTERRUPT, _DESTROY, _BATCH_FORGET, _ALLOCATE = 20, 25, 26, 36, 38, 42, 43


class Disk:
    """The contents, the tape, and what the kernel asks for."""

    def __init__(self, image: bytes, tape: BinaryIO, position: mmap.mmap) -> None:
        self._data = bytearray(image)
        self._tape = tape
        self._position = position
        self._count = 0

    def _note(self, offset: int, data: bytes) -> None:
        self._tape.write(RECORD.pack(offset, len(data)) + data)
        self._tape.flush()
        self._count += 1
        self._position[:8] = self._count.to_bytes(8, "little")

    def _fail(self, place: int) -> None:
        left = int.from_bytes(self._position[place : place + 8], "little")
        if left:
            self._position[place : place + 8] = (left - 1).to_bytes(8, "little")
            failed = int.from_bytes(self._position[FAILED : FAILED + 8], "little")
            self._position[FAILED : FAILED + 8] = (failed + 1).to_bytes(8, "little")
            raise OSError(errno.EIO, "as ordered")

    def _store(self, offset: int, data: bytes) -> None:
        self._fail(FAILING_WRITES)
        if offset + len(data) > len(self._data):
            raise OSError(errno.ENOSPC, "behind the end")
        self._data[offset : offset + len(data)] = data
        self._note(offset, data)

    def answer(self, opcode: int, body: bytes) -> bytes | None:
        """What to send back; None when nothing is expected. Raises OSError for what is refused."""
        if opcode in {_FORGET, _BATCH_FORGET, _INTERRUPT}:
            return None
        work = _ANSWERS.get(opcode)
        if work is None:
            raise OSError(errno.ENOSYS, "not needed")
        return work(self, body)

    def _initialise(self, body: bytes) -> bytes:
        readahead = struct.unpack_from("<I", body, 8)[0]
        return _INIT.pack(7, 31, readahead, _BIG_WRITES | _MAX_PAGES, 16, 12, _MAX_WRITE, 1, _MAX_WRITE // 4096, 0, 0)

    def _open(self, _: bytes) -> bytes:
        return struct.pack("<QII", 1, 0, 0)

    def _read(self, body: bytes) -> bytes:
        _, offset, size = _SPAN.unpack_from(body)
        return bytes(self._data[offset : offset + size])

    def _write(self, body: bytes) -> bytes:
        _, offset, size = _SPAN.unpack_from(body)
        self._store(offset, body[40 : 40 + size])
        return struct.pack("<II", size, 0)

    def _sync(self, _: bytes) -> bytes:
        self._fail(FAILING_FLUSHES)
        self._note(0, b"")
        return b""

    def _nothing(self, _: bytes) -> bytes:
        return b""

    def _statistics(self, _: bytes) -> bytes:
        return struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)

    def _zero(self, body: bytes) -> bytes:
        _, offset, length, mode = _FALLOCATE.unpack_from(body)
        if mode & ~_KEEP_SIZE not in {_PUNCH_HOLE, _ZERO_RANGE}:
            raise OSError(errno.EOPNOTSUPP, "not needed")
        self._store(offset, bytes(length))
        return b""

    def _attributes(self, _: bytes) -> bytes:
        size, mode = len(self._data), 0o100600
        return _ATTRIBUTES.pack(3600, 0, 0, 1, size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


_ANSWERS: dict[int, Callable[[Disk, bytes], bytes]] = {
    _INITIALISE: Disk._initialise,
    _GETATTR: Disk._attributes,
    _OPEN: Disk._open,
    _READ: Disk._read,
    _WRITE: Disk._write,
    _FSYNC: Disk._sync,
    _ALLOCATE: Disk._zero,
    _STATFS: Disk._statistics,
    **dict.fromkeys((_FLUSH, _RELEASE, _DESTROY), Disk._nothing),
}


def serve(device: int, disk: Disk) -> None:
    """Answer the kernel until the disk is unmounted."""
    while True:
        try:
            request = os.read(device, _MAX_WRITE + 4096)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR, errno.EAGAIN}:
                continue
            if error.errno == errno.ENODEV:
                return
            raise
        _, opcode, unique, *_ = _REQUEST.unpack_from(request)
        number, body = 0, b""
        try:
            answer = disk.answer(opcode, request[_REQUEST.size :])
            if answer is None:
                continue
            body = answer
        except OSError as error:
            number = error.errno or errno.EIO
        try:
            os.write(device, _ANSWER.pack(_ANSWER.size + len(body), -number, unique) + body)
        except OSError as error:
            if error.errno != errno.ENOENT:  # whoever asked was interrupted
                raise


def main(mountpoint: str, image: str, tape: str, position: str) -> None:
    with open(image, "rb") as file:
        data = file.read()
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=100000,user_id=0,group_id=0".encode()
    if libc.mount(b"remembering-disk", mountpoint.encode(), b"fuse", 0, options):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    with open(tape, "wb") as out, open(position, "r+b") as counter:
        mapped = mmap.mmap(counter.fileno(), POSITION)
        sys.stdout.write("mounted\n")
        sys.stdout.flush()
        serve(device, Disk(data, out, mapped))


if __name__ == "__main__":
    main(*sys.argv[1:])
