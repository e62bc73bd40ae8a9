"""The System of a simulated process: the same calls, on a simulated disk, with simulated threads and clocks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, NoReturn

from walnut.system import Condition, Lock, MappedFile, Queue, System, Thread
from walnut.testing.sim.disk import SECTOR, File
from walnut.testing.sim.faults import ERRNO
from walnut.testing.sim.locks import SimCondition, SimLock, SimQueue
from walnut.testing.sim.maps import Descriptor, SimMap
from walnut.testing.sim.names import parent
from walnut.testing.sim.schedule import Killed

if TYPE_CHECKING:
    from walnut.testing.sim.machine import SimMachine, SimProcess


def _refuse(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


class SimSystem(System):
    """One process's view of a `SimMachine`; made by the machine."""

    databases_in_memory = True

    def __init__(self, machine: SimMachine, process: SimProcess[object]) -> None:
        self._machine, self._process = machine, process
        self._schedule = machine.schedule
        self._names = machine.names
        self._fds: dict[int, Descriptor] = {}
        self.dead = False

    @property
    def machine(self) -> SimMachine:
        """The machine that the process runs on."""
        return self._machine

    # -- every call goes through here ---------------------------------------------------------------------------

    def check_alive(self) -> None:
        """Killed once the process is dead."""
        if self.dead:
            raise Killed

    def alive(self) -> bool:
        """Whether the process lives."""
        return not self.dead

    def look(self) -> None:
        """A call that changes nothing: others may go on first."""
        if self.dead:
            raise Killed
        self._schedule.pass_turn()
        if self.dead:
            raise Killed

    def interrupted(self, half: Callable[[], None]) -> bool:
        """Whether only half of it is done before others go on."""
        if not self._schedule.chance():
            return False
        half()
        self._schedule.give_way()
        self.check_alive()
        return True

    def call(
        self,
        name: str,
        file: File | None = None,
        half: Callable[[], None] | None = None,
        *,
        span: tuple[int, int] = (0, 0),
        path: str = "",
    ) -> str | None:
        """Count a call that has an effect: others may go on first, it may be the last, it may be refused."""
        self.look()
        refused = self._machine.called(self._process, name, file, half, span=span, path=path)
        if refused in ERRNO:
            _refuse(ERRNO[refused])
        return refused

    def let_go(self) -> None:
        """What the kernel does at the end of a process."""
        self.dead = True
        for descriptor in self._fds.values():
            self._unlock(descriptor)
        self._fds.clear()

    def _open(self, fd: int) -> Descriptor:
        if self.dead:
            raise Killed
        found = self._fds.get(fd)
        if found is None:
            _refuse(errno.EBADF)
        return found

    def _at(self, fd: int) -> File:
        return self._open(fd).file

    # -- files ---------------------------------------------------------------------------------------------------

    def open_file(self, path: str, *, create: bool = False, exclusive: bool = False, write: bool = True) -> int:
        self.look()
        names = self._names
        file = names.at(path)
        if path in names.folders:
            _refuse(errno.EISDIR)
        if file is None:
            if not create:
                _refuse(errno.ENOENT)
            self.call("create", path=path)
            self._need_room()
            file = names.at(path)
            if file is None:
                if parent(path) not in names.folders:
                    _refuse(errno.ENOENT)
                file = names.create(path)
            elif exclusive:
                _refuse(errno.EEXIST)
        elif exclusive:
            _refuse(errno.EEXIST)
        fd = next(number for number in count(3) if number not in self._fds)  # the lowest that is free, as everywhere
        self._fds[fd] = Descriptor(file, writable=write)
        return fd

    def close_file(self, fd: int) -> None:
        self._at(fd)
        self._unlock(self._fds.pop(fd))

    def _pread(self, fd: int, length: int, offset: int) -> bytes:
        self.look()
        file = self._at(fd)
        if refused := self._machine.befalls(self._process, "read", file, span=(offset, length)):
            _refuse(ERRNO[refused])
        return bytes(file.data[offset : offset + length])

    def _pwrite(self, fd: int, data: bytes, offset: int) -> int:  # type: ignore[override]
        file = self._at(fd)
        if not self._fds[fd].writable:
            _refuse(errno.EBADF)
        whole = bytes(data)

        def half() -> None:
            if part := self._part(whole, offset):
                file.write(part, offset)

        if self.call("write", file, half, span=(offset, len(whole))) == "short":
            whole = self._part(whole, offset) or whole
        elif self._schedule.chance():
            return self._slowly(file, whole, offset)
        if offset + len(whole) > len(file.data):
            self._need_room()
        file.write(whole, offset)
        return len(whole)

    def _slowly(self, file: File, data: bytes, offset: int) -> int:
        """Others see a part of it first."""
        if offset + len(data) > len(file.data):
            self._need_room()
        part = self._part(data, offset)
        if part:
            file.write(part, offset)
        self._schedule.give_way()
        self.check_alive()
        file.write(data[len(part) :], offset + len(part))
        return len(data)

    def _need_room(self) -> None:
        if self._machine.full:
            _refuse(errno.ENOSPC)

    def _part(self, data: bytes, offset: int) -> bytes:
        """Some first sectors' share, perhaps nothing: kernels copy by pages, no sector is torn."""
        first = SECTOR - offset % SECTOR
        ends = [0, *range(first, len(data), SECTOR)]
        return data[: ends[self._machine.below(len(ends))]]

    def datasync(self, fd: int) -> None:
        self.sync_file("datasync", self._open(fd))

    def sync(self, fd: int) -> None:
        self.sync_file("sync", self._open(fd))

    def sync_file(self, name: str, descriptor: Descriptor) -> None:
        """Bring a file to the disk; while it is under way others go on. A failure is told to all who have it open."""
        file = descriptor.file
        try:
            self.call(name, file)
        except OSError:
            file.sync_failed()
            self._machine.evict(file)
            descriptor.told = file.failures
            raise
        upto = file.changes
        self.look()
        if descriptor.told != file.failures:
            descriptor.told = file.failures
            _refuse(errno.EIO)
        file.sync(upto)

    def sync_directory(self, path: str) -> None:
        self.call("sync-directory", path=path)
        self._names.sync(path, ordered=self._machine.ordered)

    def truncate(self, fd: int, length: int) -> None:
        file = self._at(fd)
        self.call("truncate", file, span=(length, 0))
        if length > len(file.data):
            self._need_room()
        file.resize(length)

    def file_size(self, fd: int) -> int:
        self.look()
        return len(self._at(fd).data)

    def file_identity(self, fd: int) -> tuple[int, int]:
        return 1, self._at(fd).number

    def named_identity(self, fd: int) -> tuple[int, int] | None:
        self.look()
        return self.file_identity(fd) if self._at(fd).links else None

    def rename(self, source: str, target: str) -> None:
        self.look()
        if source not in self._names.paths:
            _refuse(errno.ENOENT)
        self.call("rename", path=f"{source} -> {target}")
        if source not in self._names.paths:
            _refuse(errno.ENOENT)
        self._names.rename(source, target)

    def remove(self, path: str) -> None:
        self.call("remove", path=path)
        if path not in self._names.paths:
            _refuse(errno.ENOENT)
        self._names.remove(path)

    def exists(self, path: str) -> bool:
        self.look()
        return path in self._names.paths or path in self._names.folders

    def path_identity(self, path: str) -> tuple[int, int] | None:
        self.look()
        file = self._names.at(path)
        return None if file is None else (1, file.number)

    def path_size(self, path: str) -> int:
        self.look()
        file = self._names.at(path)
        if file is None:
            _refuse(errno.ENOENT)
        return len(file.data)

    def is_folder(self, path: str) -> bool:
        self.look()
        return path in self._names.folders

    def list_folder(self, path: str) -> list[str]:
        self.look()
        if path not in self._names.folders:
            _refuse(errno.ENOENT)
        return self._names.entries(path)

    def make_folder(self, path: str) -> None:
        missing = []
        while path not in self._names.folders:
            missing.append(path)
            path = parent(path)
        for each in reversed(missing):
            self.call("make-folder", path=each)
            self._need_room()
            if each not in self._names.folders:
                self._names.make_folder(each)

    def absolute(self, path: str) -> str:
        return os.path.normpath("/" + path.lstrip("/"))

    def map_file(self, fd: int, length: int, *, write: bool = False) -> MappedFile:  # noqa: ARG002 - all of it is mapped
        return SimMap(self, self._open(fd))

    def network_file_system(self, path: str) -> str | None:  # noqa: ARG002 - a local disk
        return None

    # -- locks between processes ------------------------------------------------------------------------------

    def try_lock_file(self, fd: int, *, shared: bool = False) -> bool:
        file, mine = self._at(fd), self._fds[fd]
        if self.call("lock", file) == "EINTR":
            return False
        self.check_alive()
        self._unlock(mine)  # a conversion that fails has lost the lock, as on Linux
        if file.holder is not None or (file.sharers and not shared):
            return False
        if shared:
            file.sharers.append(mine)
        else:
            file.holder = mine
        return True

    def unlock_file(self, fd: int) -> None:
        file = self._at(fd)
        self.call("unlock", file)
        self._unlock(self._fds[fd])

    def _unlock(self, descriptor: Descriptor) -> None:
        file = descriptor.file
        if file.holder is descriptor:
            file.holder = None
        file.sharers = [each for each in file.sharers if each is not descriptor]

    # -- clocks and chance ------------------------------------------------------------------------------------

    def now(self) -> int:
        return self._machine.wall()

    def monotonic(self) -> float:
        self.check_alive()
        return self._schedule.now

    def random(self, length: int) -> bytes:
        return self._machine.random_bytes(length)

    def sleep(self, seconds: float) -> None:
        self.check_alive()
        self._schedule.wait(lambda: False, max(seconds, 1e-6), what="time")
        self.check_alive()

    # -- threads and processes --------------------------------------------------------------------------------

    def lock(self) -> Lock:
        return SimLock(self._schedule, self.alive)

    def condition(self) -> Condition:
        return SimCondition(self._schedule, self.alive)

    def queue(self) -> Queue:
        return SimQueue(self._schedule, self.alive, name=f"queue {self._machine.number()}")

    def start_thread(self, target: Callable[[], None], *, name: str) -> Thread:
        self.check_alive()
        return self._process.thread(target, name=name)

    def thread_id(self) -> int:
        current = self._schedule.current
        return current.number if current is not None else 0

    def process_id(self) -> int:
        return self._process.number

    def boot_id(self) -> bytes:
        return self._machine.boots.to_bytes(16, "big")

    def at_fork(
        self, *, before: Callable[[], None], in_parent: Callable[[], None], in_child: Callable[[], None]
    ) -> None:
        """Nobody forks here."""
