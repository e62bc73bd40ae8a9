"""Machines that fail: killed at the n-th touch of the disk, refused by the disk, with a clock that steps back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from walnut.system import MappedFile, System


class WatchedMap:
    """A mapped file whose stores are counted like calls."""

    def __init__(self, mapped: MappedFile, touch: Callable[[str, Callable[[], None]], None]) -> None:
        self._mapped = mapped
        self._touch = touch

    def __getitem__(self, index: slice) -> bytes:
        return self._mapped[index]

    def __setitem__(self, index: slice, value: bytes) -> None:
        middle = index.start + len(value) // 2

        def half() -> None:
            self._mapped[index.start : middle] = value[: len(value) // 2]

        self._touch("store", half)
        self._mapped[index] = value

    def flush(self) -> None:
        self._touch("flush", lambda: None)
        self._mapped.flush()

    def close(self) -> None:
        self._mapped.close()


class Touches(System):
    """Reports every touch of the disk to `at`, with what a half of it would be."""

    def at(self, name: str, half: Callable[[], None]) -> None:
        raise NotImplementedError

    def _nothing(self) -> None:
        pass

    def map_file(self, fd: int, length: int, *, write: bool = False) -> MappedFile:
        return WatchedMap(super().map_file(fd, length, write=write), self.at)

    def open_file(self, path: str, *, create: bool = False, exclusive: bool = False, write: bool = True) -> int:
        self.at(f"open {path.rpartition('/')[2]}", self._nothing)
        return super().open_file(path, create=create, exclusive=exclusive, write=write)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        self.at("write", lambda: System.write_at(self, fd, data[: len(data) // 2], offset))
        super().write_at(fd, data, offset)

    def datasync(self, fd: int) -> None:
        self.at("datasync", self._nothing)
        super().datasync(fd)

    def sync(self, fd: int) -> None:
        self.at("sync", self._nothing)
        super().sync(fd)

    def sync_directory(self, path: str) -> None:
        self.at("sync_directory", self._nothing)
        super().sync_directory(path)

    def truncate(self, fd: int, length: int) -> None:
        self.at("truncate", self._nothing)
        super().truncate(fd, length)

    def rename(self, source: str, target: str) -> None:
        self.at(f"rename {target.rpartition('/')[2]}", self._nothing)
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self.at("remove", self._nothing)
        super().remove(path)

    def try_lock_file(self, fd: int, *, shared: bool = False) -> bool:
        self.at("lock", self._nothing)
        return super().try_lock_file(fd, shared=shared)

    def unlock_file(self, fd: int) -> None:
        self.at("unlock", self._nothing)
        super().unlock_file(fd)


class DiesAt(Touches):
    """Kills its process at the n-th touch (named so) from `arm` on, before it or half-way through it."""

    def __init__(self, number: int, *, half: bool, name: str = "") -> None:
        self._number = number
        self._name = name
        self._half = half
        self._armed = False
        self.count = 0

    def arm(self) -> None:
        self._armed = True

    def at(self, name: str, half: Callable[[], None]) -> None:
        if not self._armed or not name.startswith(self._name):
            return
        self.count += 1
        if self.count == self._number:
            if self._half:
                half()
            os.kill(os.getpid(), signal.SIGKILL)


class Failing(Touches):
    """Refuses the touches whose names begin with a key of `refuse`, with its errno; records all of them."""

    def __init__(self) -> None:
        self.refuse: dict[str, int] = {}
        self.half_written = False
        self.touched: list[str] = []

    def at(self, name: str, half: Callable[[], None]) -> None:
        self.touched.append(name)
        for prefix, number in self.refuse.items():
            if name.startswith(prefix):
                if self.half_written:
                    half()
                raise OSError(number, os.strerror(number))


class SettableClock(System):
    """A wall clock that says what it is told."""

    def __init__(self, now: int) -> None:
        self.time = now

    def now(self) -> int:
        return self.time
