"""The machine: every syscall, clock reading, random draw, thread, lock and process fact of the core goes through here.

A `System` is passed down from whoever opens a store, so that a simulated one can take its place.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol

_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "9p", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs"}
    | {"fuse.s3fs", "lustre", "beegfs", "ocfs2", "webdav", "davfs"}
)
#: The highest descriptor of standard input, output and error.
_STANDARD = 2
_SHARED, _EXCLUSIVE = fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB


def _above_standard(fd: int) -> int:
    """Another descriptor for a file that got one of a closed standard stream: what is printed would go into it.

    The null device takes its place, or a map's own descriptor would.
    """
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STANDARD + 1)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, fd)
    if null > _STANDARD:
        os.close(null)
    return moved


class Lock(Protocol):
    """A mutual exclusion lock between the threads of this process; also a context manager."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading's signature
        """Take it; False when it was not free within `timeout` seconds."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    def locked(self) -> bool:
        """Whether somebody has it."""
        ...

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Condition(Protocol):
    """A lock, and a way to wait for news under it; also a context manager."""

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock back until told; whether it was within `timeout` seconds."""
        ...

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until it holds; whether it does after `timeout` seconds at most."""
        ...

    def notify(self, n: int = 1) -> None:
        """Tell `n` of those who wait."""
        ...

    def notify_all(self) -> None:
        """Tell all who wait."""
        ...

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Queue(Protocol):
    """An unbounded queue between threads."""

    def put(self, item: object) -> None:
        """Add at the end; never waits."""
        ...

    def get(self) -> object:
        """Take the first, when there is one."""
        ...


class MappedFile(Protocol):
    """A shared memory map of a whole file."""

    def __getitem__(self, index: slice) -> bytes: ...

    def __setitem__(self, index: slice, value: bytes) -> None: ...

    def flush(self) -> None:
        """Write it to disk and wait."""
        ...

    def close(self) -> None:
        """Unmap it."""
        ...


class Thread(Protocol):
    """A running thread."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        ...

    def is_alive(self) -> bool:
        """Whether it still runs."""
        ...


class System:
    """The real machine (Linux or macOS). Files are descriptors, paths are strings; errors are OSError."""

    #: Whether views live in memory, and only their checkpoints in files.
    databases_in_memory = False

    _pread = staticmethod(os.pread)
    _pwrite = staticmethod(os.pwrite)

    # -- files ---------------------------------------------------------------------------------------------------

    def open_file(self, path: str, *, create: bool = False, exclusive: bool = False, write: bool = True) -> int:
        """A descriptor; `create` makes the file with mode 0600, `exclusive` fails when it exists."""
        flags = os.O_RDWR if write else os.O_RDONLY
        if create:
            flags |= os.O_CREAT
        if exclusive:
            flags |= os.O_EXCL
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        return fd if fd > _STANDARD else _above_standard(fd)

    def close_file(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def read_at(self, fd: int, length: int, offset: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""
        data = self._pread(fd, length, offset)
        while len(data) < length:
            more = self._pread(fd, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`, going on after short writes."""
        written = self._pwrite(fd, data, offset)
        while written < len(data):
            written += self._pwrite(fd, memoryview(data)[written:], offset + written)

    def datasync(self, fd: int) -> None:
        """Return when the file's data is on disk (on macOS: on the platter, not in the drive's cache)."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    def sync(self, fd: int) -> None:
        """The same with the file's size and times."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    def sync_directory(self, path: str) -> None:
        """Return when the folder's entries are on disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, length: int) -> None:
        """Set the file's size (only ever to grow one, or on files that are not the log)."""
        os.ftruncate(fd, length)

    def file_size(self, fd: int) -> int:
        """Size in bytes."""
        return os.fstat(fd).st_size

    def file_identity(self, fd: int) -> tuple[int, int]:
        """Device and inode."""
        status = os.fstat(fd)
        return status.st_dev, status.st_ino

    def named_identity(self, fd: int) -> tuple[int, int] | None:
        """The same, None when the open file has no name any more: it is gone once it is closed."""
        status = os.fstat(fd)
        return (status.st_dev, status.st_ino) if status.st_nlink else None

    def rename(self, source: str, target: str) -> None:
        """Replace `target` atomically."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """Delete a file."""
        os.unlink(path)

    def exists(self, path: str) -> bool:
        """Whether anything is there."""
        return os.path.lexists(path)

    def path_identity(self, path: str) -> tuple[int, int] | None:
        """Device and inode of what is at `path`, None when nothing is. Opens nothing: SQLite's locks stay."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def path_size(self, path: str) -> int:
        """Size in bytes of the file at `path`."""
        return os.stat(path).st_size

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""
        return os.path.isdir(path)

    def list_folder(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        return sorted(os.listdir(path))

    def make_folder(self, path: str) -> None:
        """Make a folder and the parents it lacks, all with mode 0700; fine when it exists."""
        missing = [path]
        while (parent := os.path.dirname(missing[-1])) and not os.path.isdir(parent):
            missing.append(parent)
        for each in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(each, mode=0o700)

    def absolute(self, path: str) -> str:
        """The real absolute path."""
        return os.path.realpath(path)

    def map_file(self, fd: int, length: int, *, write: bool = False) -> MappedFile:
        """Map a file shared between processes."""
        access = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        return mmap.mmap(fd, length, flags=mmap.MAP_SHARED, prot=access)

    def network_file_system(self, path: str) -> str | None:
        """The name of the network file system that `path` is on, else None."""
        if sys.platform == "darwin":
            return None
        best, kind = "", ""
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                _, point, name, *_ = line.split(" ")
                point = point.encode("latin-1", "replace").decode("unicode_escape")
                inside = path == point or path.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, name
        return kind if kind in _NETWORK_FILE_SYSTEMS else None

    # -- locks between processes -----------------------------------------------------------------------------------

    def try_lock_file(self, fd: int, *, shared: bool = False) -> bool:
        """Take the flock of an open file if it is free; a second call converts it."""
        try:
            fcntl.flock(fd, _SHARED if shared else _EXCLUSIVE)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR):
                return False
            raise
        return True

    def unlock_file(self, fd: int) -> None:
        """Release the flock."""
        fcntl.flock(fd, fcntl.LOCK_UN)

    # -- clocks and chance -----------------------------------------------------------------------------------------

    def now(self) -> int:
        """Wall clock, ns since 1970 UTC."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def random(self, length: int) -> bytes:
        """Unpredictable bytes."""
        return os.urandom(length)

    def sleep(self, seconds: float) -> None:
        """Let others run."""
        time.sleep(seconds)

    def environment(self, name: str) -> str | None:
        """A variable of the process's environment, None when it is not set."""
        return os.environ.get(name)

    # -- threads and processes -------------------------------------------------------------------------------------

    def lock(self) -> Lock:
        """A new lock, free."""
        return threading.Lock()

    def condition(self) -> Condition:
        """A new condition with a lock of its own."""
        return threading.Condition(threading.Lock())

    def queue(self) -> Queue:
        """A new unbounded queue between threads."""
        return queue.SimpleQueue()

    def start_thread(self, target: Callable[[], None], *, name: str) -> Thread:
        """Run `target` in a daemon thread."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def thread_id(self) -> int:
        """The calling thread's number."""
        return threading.get_ident()

    def process_id(self) -> int:
        """This process's number: a label for people, never proof of life."""
        return os.getpid()

    def boot_id(self) -> bytes:
        """16 bytes that differ after every reboot of the machine."""
        if sys.platform == "darwin":
            import subprocess

            done = subprocess.run(
                ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=True, text=True
            )
            return bytes.fromhex(done.stdout.strip().replace("-", ""))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))

    def at_fork(
        self, *, before: Callable[[], None], in_parent: Callable[[], None], in_child: Callable[[], None]
    ) -> None:
        """Have these called around every fork, for the life of the process."""
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
