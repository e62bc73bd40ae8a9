"""What processes share: locks with a limit, and two small mapped files.

`mark` holds the durable end of the log (the watermark) and survives reboots as a lower bound. `shared` holds the
written end, the end that a writer intends, and the poison; it means nothing under another boot id. Both keep
their values in checksummed slots that are written in turn, so that a process killed in mid-store harms nobody.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress

import google_crc32c
import msgspec

from walnut.errors import LogBusy, StoreClosed
from walnut.log import failures
from walnut.system import MappedFile, System

SIZE = 4096
#: Who looks while two stores follow each other may find either slot half stored: it looks again.
_TRIES = 100
#: Numbers from here on were never written: too little could follow them.
_LIMIT = 2**62
_SLOT = struct.Struct("<IIQ16sQQQQ32s16sQII")
_BODY = struct.Struct("<IQ16sQQQQ32s16sQII")
SLOT_SIZE = 128
_SEQ_AT = slice(8, 16)
MARK_SLOTS = (0, 2048)
_WRITTEN_SLOTS = (1024, 2048)
_HEAD = struct.Struct("<IIII16s16s")
_INTENT = struct.Struct("<IIQQ")
_INTENT_BODY = struct.Struct("<IQQ")
_INTENT_SPAN = slice(512, 536)
_POISON_AT = 256
_HEALTH = slice(0, 260)
_HOLDER_AT = {"write": slice(264, 268), "sync": slice(268, 272)}

_value = google_crc32c.value


class State(msgspec.Struct, frozen=True):
    """An end of the log: after the frame at `frame` of `segment`, which ends at `end` with `lsn`; `clean` on close."""

    segment: int
    end: int
    lsn: int
    chain: bytes
    recorded_at: int = 0
    frame: int = 0
    epoch: int = 0
    boot_id: bytes = bytes(16)
    clean: int = 0
    seq: int = 0

    def same_end(self, other: State) -> bool:
        """Whether both name the same byte."""
        return (self.segment, self.end, self.lsn) == (other.segment, other.end, other.lsn)


def newest(mapped: MappedFile | bytes, places: tuple[int, int], log_id: bytes) -> State | None:
    """The valid slot with the higher number, None when neither is valid."""
    one, other = [mapped[place : place + SLOT_SIZE] for place in places]
    if one[_SEQ_AT][::-1] < other[_SEQ_AT][::-1]:
        one, other = other, one
    return _state(one, log_id) or _state(other, log_id)


def _state(slot: bytes, log_id: bytes) -> State | None:
    crc, epoch, seq, boot, segment, end, lsn, frame, chain, owner, recorded, clean, _ = _SLOT.unpack(slot)
    if crc != _value(slot[4:]) or owner != log_id:
        return None
    if seq | segment | end | lsn | frame >= _LIMIT or recorded >= 2 * _LIMIT:
        return None
    return State(segment, end, lsn, chain, recorded, frame, epoch, boot, clean, seq)


class Slots:
    """A State in two checksummed slots of a mapped file: the valid one with the higher number counts."""

    def __init__(self, mapped: MappedFile, places: tuple[int, int], log_id: bytes) -> None:
        self._mapped = mapped
        self._places = places
        self._log_id = log_id
        self._slots = (slice(places[0], places[0] + SLOT_SIZE), slice(places[1], places[1] + SLOT_SIZE))
        self._span = slice(places[0], places[1] + SLOT_SIZE)
        self._known: tuple[bytes, State | None] = (b"", None)

    def load(self) -> State | None:
        """The newest valid slot, None when there is none. Cheap while nothing has changed."""
        try:
            raw = self._mapped[self._span]
            known, state = self._known
            return state if raw == known else self._decode(raw)
        except ValueError:
            raise _unmapped() from None

    def _decode(self, raw: bytes) -> State | None:
        places = (0, self._places[1] - self._places[0])
        for _ in range(_TRIES):
            state = newest(raw, places, self._log_id)
            if state is not None:
                self._known = (raw, state)
                return state
            if not raw.strip(b"\0"):
                return None
            raw = self._mapped[self._span]
        return None

    def store(self, state: State, seq: int) -> None:
        """Write `state` as number `seq` into the slot that its predecessor is not in; its lock is held."""
        if state.seq != seq:
            state = msgspec.structs.replace(state, seq=seq)
        body = _BODY.pack(
            state.epoch,
            seq,
            state.boot_id,
            state.segment,
            state.end,
            state.lsn,
            state.frame,
            state.chain,
            self._log_id,
            state.recorded_at,
            state.clean,
            0,
        )
        data = _value(body).to_bytes(4, "little") + body
        mapped = self._mapped
        mapped[self._slots[seq % 2]] = data
        raw = mapped[self._span]
        if raw.startswith(data) or raw.endswith(data):  # what is there, not what was meant
            self._known = (raw, state)


def _unmapped() -> StoreClosed:
    """The error for who looks into a map that another thread has closed."""
    return StoreClosed("the log is closed", hint="open the store again")


class Shared:
    """The two mapped files of one log, opened by this process."""

    def __init__(self, system: System, folder: str, log_id: bytes) -> None:
        self._fds: list[int] = []
        self._healthy = b""
        self._intent: tuple[bytes, tuple[int, int]] = (b"", (0, 0))
        self._log_id = log_id
        self._system = system
        try:
            self._mark_map = self._open(system, f"{folder}/mark")
            self._map = self._open(system, f"{folder}/shared")
        except BaseException:
            for fd in self._fds:
                system.close_file(fd)
            raise
        self.mark = Slots(self._mark_map, MARK_SLOTS, log_id)
        self.written = Slots(self._map, _WRITTEN_SLOTS, log_id)

    def _open(self, system: System, path: str) -> MappedFile:
        fd = system.open_file(path, create=True)
        self._fds.append(fd)
        size = system.file_size(fd)
        if size < SIZE:  # written, not only made longer: a map of a hole kills its process when the disk is full
            system.write_at(fd, bytes(SIZE - size), size)
        return system.map_file(fd, SIZE, write=True)

    # -- the volatile part ----------------------------------------------------------------------------------------

    def begin(self, *, epoch: int, boot_id: bytes) -> None:
        """Begin an epoch, as the last step of recovery: until then the poison of the old one keeps everybody off."""
        body = _HEAD.pack(0, epoch, 0, 0, boot_id, self._log_id)[4:]
        self._map[0 : _HEAD.size] = _value(body).to_bytes(4, "little") + body
        self.poison(0)

    def head(self) -> tuple[int, bytes] | None:
        """Epoch and boot id, None when the file is fresh or damaged."""
        data = self._map[0 : _HEAD.size]
        crc, epoch, _, _, boot_id, log_id = _HEAD.unpack(data)
        return (epoch, boot_id) if crc == _value(data[4:]) and log_id == self._log_id else None

    def epoch(self) -> int:
        """The current epoch, without checks: for the hot path."""
        return int.from_bytes(self._map[4:8], "little")

    def healthy(self, epoch: int) -> bool:
        """Whether this epoch goes on and is not poisoned: one look while nothing has changed."""
        try:
            raw = self._map[_HEALTH]
            if raw == self._healthy:
                return True
            if self.poisoned() or self.epoch() != epoch:
                return False
        except ValueError:
            raise _unmapped() from None
        self._healthy = raw
        return True

    def poison(self, epoch: int) -> None:
        """A sync failed: nobody of this epoch may write any more."""
        self._map[_POISON_AT : _POISON_AT + 4] = epoch.to_bytes(4, "little")

    def poisoned(self) -> int:
        """The epoch that is poisoned, 0 if none."""
        return int.from_bytes(self._map[_POISON_AT : _POISON_AT + 4], "little")

    def intend(self, segment: int, end: int) -> None:
        """Announce what is about to be written."""
        body = _INTENT_BODY.pack(0, segment, end)
        data = _value(body).to_bytes(4, "little") + body
        self._map[_INTENT_SPAN] = data
        self._intent = (data, (segment, end))

    def intended(self) -> tuple[int, int] | None:
        """Segment and end announced last, None when torn."""
        data = self._map[_INTENT_SPAN]
        known = self._intent
        if data == known[0]:
            return known[1]
        crc, _, segment, end = _INTENT.unpack(data)
        return (segment, end) if crc == _value(data[4:]) else None

    def holder(self, lock: str) -> int:
        """The process that took a lock last."""
        return int.from_bytes(self._map[_HOLDER_AT[lock]], "little")

    def set_holder(self, lock: str, process: bytes) -> None:
        """Leave this process's number (4 bytes) for the error of those who wait in vain."""
        self._map[_HOLDER_AT[lock]] = process

    def flush_mark(self) -> None:
        """Put the mark on disk."""
        self._mark_map.flush()

    def close(self) -> None:
        """Unmap and close both files."""
        self._mark_map.close()
        self._map.close()
        for fd in self._fds:
            self._system.close_file(fd)


class FileLock:
    """A lock between processes, taken within a limit of seconds or LogBusy.

    Presence is the held lock itself; the process number is only a label for the error. The threads of this process
    take turns by a lock of their own. Taken twice is taken once, and given back twice likewise: whoever was
    interrupted before giving it back keeps no thread of this process from it.
    """

    def __init__(self, system: System, path: str, *, name: str, limit: float) -> None:
        self._system = system
        self._fd = system.open_file(path, create=True)
        self._path = path
        self._folder = path.rpartition("/")[0]
        self._name = name
        self._limit = limit
        self._process = system.process_id().to_bytes(4, "little")
        self.shared: Shared | None = None

    def in_place(self) -> bool:
        """Whether the file that is locked is the one at its path: its folder was not moved or replaced."""
        return self._system.path_identity(self._path) == self._system.file_identity(self._fd)

    def acquire(self) -> None:
        """Take it; LogBusy names the holder after the limit."""
        try:
            if not self._system.try_lock_file(self._fd):
                self._wait(lambda: self._system.try_lock_file(self._fd))
        except BaseException as error:
            with suppress(OSError):
                self._system.unlock_file(self._fd)
            if isinstance(error, OSError):
                raise failures.storage_error(error, "taking a lock") from None
            raise
        shared = self.shared
        if shared is not None:
            shared.set_holder(self._name, self._process)

    def _wait(self, attempt: Callable[[], bool]) -> None:
        deadline = self._system.monotonic() + self._limit
        pause = 0.00002
        while not attempt():
            if self._system.monotonic() > deadline:
                raise self._busy()
            self._system.sleep(pause)
            pause = min(pause * 1.5, 0.005)

    def _busy(self) -> LogBusy:
        holder = self.shared.holder(self._name) if self.shared is not None else self._noted_holder()
        return LogBusy(
            f"the {self._name} lock was not free within {self._limit:g} s",
            where=f"process {holder}" if holder else None,
            hint="a process that holds it is stopped or stuck: continue or end it; nothing was acknowledged",
        )

    def _noted_holder(self) -> int:
        """The holder's number before `shared` is mapped, 0 when it can't be read."""
        try:
            fd = self._system.open_file(f"{self._folder}/shared", write=False)
        except OSError:
            return 0
        try:
            return int.from_bytes(self._system.read_at(fd, 4, _HOLDER_AT[self._name].start), "little")
        finally:
            self._system.close_file(fd)

    def release(self) -> None:
        """Give it back, held or not."""
        self._system.unlock_file(self._fd)

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self._system.unlock_file(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        self._system.close_file(self._fd)
