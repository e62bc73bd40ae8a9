"""Open files of a simulated process, and maps of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from walnut.testing.sim.disk import File


class Calls(Protocol):
    """What a map needs of its process: each use of it is a call like any other."""

    def look(self) -> None:
        """A call that changes nothing."""
        ...

    def call(
        self, name: str, file: File | None = None, half: Callable[[], None] | None = None, *, span: tuple[int, int]
    ) -> str | None:
        """A call that has an effect."""
        ...

    def interrupted(self, half: Callable[[], None]) -> bool:
        """Whether only half of it is done before others go on."""
        ...

    def sync_file(self, name: str, descriptor: Descriptor) -> None:
        """Bring a file to the disk."""
        ...


class Descriptor:
    """An open file: what a lock belongs to."""

    __slots__ = ("file", "told", "writable")

    def __init__(self, file: File, *, writable: bool) -> None:
        self.file = file
        self.told = file.failures
        self.writable = writable


class SimMap:
    """A map of a whole file, shared by all that map it."""

    def __init__(self, system: Calls, descriptor: Descriptor) -> None:
        self._system, self._descriptor, self._file = system, descriptor, descriptor.file
        self._open = True

    def __getitem__(self, index: slice) -> bytes:
        self._system.look()
        if not self._open:
            raise ValueError("mmap closed or invalid")
        return bytes(self._file.data[index])

    def __setitem__(self, index: slice, value: bytes) -> None:
        if not self._open:
            raise ValueError("mmap closed or invalid")
        start, middle = index.start, index.start + len(value) // 2

        def half() -> None:
            self._file.write(value[: middle - start], start)

        self._system.call("store", self._file, half, span=(start, len(value)))
        if self._system.interrupted(half):
            self._file.write(value[middle - start :], middle)
        else:
            self._file.write(value, start)

    def flush(self) -> None:
        """To the disk."""
        self._system.sync_file("flush", self._descriptor)

    def close(self) -> None:
        """Unmap."""
        self._open = False
