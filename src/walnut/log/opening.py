"""Opening a folder: created if it is new, recovered if nobody has it open, joined if somebody has.

Everybody holds a shared lock on `presence` while a store is open. Who gets it exclusively, under the write lock, is
alone: only then is the end of the log looked for and made durable again. Otherwise the shared state of the others
is joined. A poisoned log is recovered under a new epoch: handles of the old one stay refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from walnut.errors import LogBusy, LogCorruption, NotAStore
from walnut.log import failures, keys, recovery, segment
from walnut.log.keys import Identity
from walnut.log.segments import Segments
from walnut.log.shared import FileLock, Shared, State
from walnut.system import System

#: Each opening by who is alone begins one; the files have room for no more.
_EPOCHS = 2**32
#: Seconds for one whose opening failed, or who died, to let go of its presence after the write lock.
_GRACE = 1.0
_OURS = frozenset({"log", "views", "checkpoints", "keys.tmp", "FORMAT.tmp"})


class Opened:
    """What an open store holds: files, locks, and its place among the processes."""

    def __init__(self, system: System, folder: str, *, limit: float) -> None:
        self.folder = folder
        self.epoch = 0
        self._system = system
        self._fds: list[int] = []
        self._closed = False
        self._limit = limit
        log = f"{folder}/log"
        self.write_lock: FileLock
        self.sync_lock: FileLock
        try:
            self.write_lock = FileLock(system, f"{log}/lock.write", name="write", limit=limit)
            self.sync_lock = FileLock(system, f"{log}/lock.sync", name="sync", limit=limit)
            self.presence_fd = self._open(f"{log}/presence")
            self.prepare_fd = self._open(f"{log}/lock.prepare")
        except BaseException:
            self.close()
            raise
        self.identity: Identity
        self.segments: Segments
        self.shared: Shared

    def _open(self, path: str) -> int:
        fd = self._system.open_file(path, create=True)
        self._fds.append(fd)
        return fd

    def attach(self, identity: Identity) -> None:
        """Map the shared files and get ready to open segments."""
        self.identity = identity
        log = f"{self.folder}/log"
        self.segments = Segments(self._system, log, identity.log_id)
        self.shared = Shared(self._system, log, identity.log_id)
        self.write_lock.shared = self.sync_lock.shared = self.shared

    def alone(self) -> bool:
        """Whether no other process has the store open; under the write lock. Leaves the presence lock shared.

        A verify holds it exclusively for a moment. Who then gets it shared looks once more, lest it take the
        verify for a process that has the store open, and join nobody.
        """
        attempt, fd, looked = self._system.try_lock_file, self.presence_fd, False
        deadline = self._system.monotonic() + self._limit
        while not attempt(fd):
            if attempt(fd, shared=True):
                if looked:
                    return False
                looked = True
                continue
            looked = False
            self._pause(deadline)
        while not attempt(fd, shared=True):
            self._pause(deadline)
        return True

    @contextmanager
    def present_on_success(self) -> Iterator[None]:
        """Give the presence lock back when opening fails, before the write lock: who looks next must find nobody."""
        try:
            yield
        except BaseException:
            self._system.unlock_file(self.presence_fd)
            raise

    def _pause(self, deadline: float) -> None:
        if self._system.monotonic() > deadline:
            raise LogBusy("a verify or a repair has the store", where=self.folder, hint="try again when it is done")
        self._system.sleep(0.002)

    def mark_clean(self, mark: State) -> None:
        """Note that nothing lies behind the mark."""
        self.shared.mark.store(msgspec.structs.replace(mark, clean=1), mark.seq + 1)

    def close(self) -> None:
        """Let go of every file and lock."""
        if self._closed:
            return
        self._closed = True
        for part in ("segments", "shared", "write_lock", "sync_lock"):
            if hasattr(self, part):
                getattr(self, part).close()
        for fd in self._fds:
            self._system.close_file(fd)


def open_folder(system: System, folder: str, *, create: bool, limit: float) -> Opened:
    """Open, create or join; see FileLog.open for the errors. Raises OSError too."""
    _refuse_foreign(system, folder)
    if not create and not system.exists(f"{folder}/FORMAT") and not system.exists(f"{folder}/keys"):
        raise NotAStore("the folder is not a Walnut store", where=folder, hint="name the folder of a store")
    _make_folders(system, f"{folder}/log")
    opened = Opened(system, folder, limit=limit)
    try:
        with opened.write_lock, opened.present_on_success():
            _refuse_half_repaired(system, folder)
            if not system.exists(f"{folder}/FORMAT"):
                _create(system, opened)
            else:
                opened.attach(keys.load(system, folder))
            _enter(system, opened)
    except BaseException:
        opened.close()
        raise
    return opened


def _make_folders(system: System, path: str) -> None:
    """Make a folder and its parents, each private, its name on disk before anything is acknowledged in it."""
    missing: list[str] = []
    deepest = f"{path}/{segment.name(1)}.idx.00000000.tmp"
    while not system.exists(path):
        missing.append(path)
        path = path.rpartition("/")[0] or "/"
    for name in (deepest, *(f"{path}/{each.rpartition('/')[2]}" for each in missing)):
        with suppress(FileNotFoundError):  # what is too long is refused before anything is made
            system.path_size(name)
    for each in reversed(missing):
        system.make_folder(each)
        system.sync_directory(each.rpartition("/")[0] or "/")


def _refuse_foreign(system: System, folder: str) -> None:
    """NotAStore when something else lies here."""
    if not system.exists(folder):
        return
    if not system.is_folder(folder):
        raise NotAStore("the path is a file, not a folder", where=folder, hint="name the folder of a store")
    names = set(system.list_folder(folder))
    if not names & {"FORMAT", "keys"} and names - _OURS:
        raise NotAStore("the folder holds other things and no store", where=folder, hint="name a new or empty folder")


def _refuse_half_repaired(system: System, folder: str) -> None:
    if system.exists(f"{folder}/{segment.REPAIRING}"):
        raise LogCorruption(
            "a repair was interrupted", file=segment.REPAIRING, offset=0, hint="finish it: run `walnut repair`"
        )


def _create(system: System, opened: Opened) -> None:
    """Make the store: keys, the first segment, and FORMAT last. What a crash left of an earlier try is removed.

    A folder that ever acknowledged anything is never taken for a new one: it is missing its FORMAT.
    """
    folder, log = opened.folder, f"{opened.folder}/log"
    for name in system.list_folder(log):
        if name != "mark" and segment.parse_name(name) is None:
            continue
        if system.path_size(f"{log}/{name}") and _holds_something(system, f"{log}/{name}", name):
            raise LogCorruption("the file FORMAT is missing", file="FORMAT", offset=0)
        system.remove(f"{log}/{name}")
    identity = keys.create_keys(system, folder)
    opened.attach(identity)
    _first_segment(system, opened)
    keys.create_format(system, folder, identity)


def _holds_something(system: System, path: str, name: str) -> bool:
    """Whether a segment has bytes behind its header, or a mark any byte at all."""
    start = 0 if name == "mark" else segment.HEADER_SIZE
    fd = system.open_file(path, write=False)
    try:
        return bool(system.read_at(fd, system.file_size(fd), start).strip(b"\0"))
    finally:
        system.close_file(fd)


def _enter(system: System, opened: Opened) -> None:
    """Take our place: recover when alone or poisoned, else join. Under the write lock."""
    deadline = system.monotonic() + _GRACE
    while not opened.alone():
        if opened.shared.poisoned():
            opened.segments.discover()
            with opened.sync_lock:
                opened.epoch = _recover(system, opened)
            return
        head = opened.shared.head()
        if head is not None and head[1] == system.boot_id():
            opened.segments.discover()
            opened.epoch = head[0]
            with opened.sync_lock:
                recovery.soil(opened.shared)
            return
        if system.monotonic() > deadline:
            raise LogCorruption(
                "the shared state is damaged while others have the store open",
                file="log/shared",
                offset=0,
                hint="close every process that has it open, then open it again",
            )
        system.sleep(0.002)
    _clear_leftovers(system, f"{opened.folder}/log")
    opened.epoch = _recover(system, opened)


def _recover(system: System, opened: Opened) -> int:
    """Find the end, make it durable, begin a new epoch; returns the epoch."""
    shared, segments = opened.shared, opened.segments
    mark = shared.mark.load()
    if not segments.discover():
        raise LogCorruption("all segment files are missing", file=f"log/{segment.name(1)}", offset=0)
    ending = recovery.find_end(system, segments, mark)
    head = shared.head()
    epoch = 1 + max(mark.epoch if mark else 0, head[0] if head else 0, ending.state.epoch)
    if epoch >= _EPOCHS:
        raise LogCorruption("an epoch that was never reached", file="log/shared", offset=4)
    try:
        if mark is None:
            _sync_names(system, opened.folder)
        recovery.make_durable(system, segments, ending.state, mark)
    except OSError as error:
        raise failures.storage_error(error, "making the end of the log durable") from None
    recovery.begin_epoch(system, shared, ending, epoch=epoch)
    return epoch


def _sync_names(system: System, folder: str) -> None:
    """Whoever made the store, or a folder above it, may have died before its name was on disk."""
    while True:
        try:
            system.sync_directory(folder)
        except PermissionError:  # somebody else's folder
            return
        if folder == "/":
            return
        folder = folder.rpartition("/")[0] or "/"


def _first_segment(system: System, opened: Opened) -> None:
    header = segment.SegmentHeader(
        log_id=opened.identity.log_id,
        number=1,
        epoch=1,
        first_lsn=1,
        prev_end=0,
        prev_last_lsn=0,
        chain=bytes(32),
        capacity=segment.capacity(1),
        created_at=opened.identity.created_at,
    )
    segment.install(system, f"{opened.folder}/log", header)
    system.sync_directory(f"{opened.folder}/log")
    opened.segments.discover()


def _clear_leftovers(system: System, folder: str) -> None:
    for name in system.list_folder(folder):
        if name.endswith(".tmp"):
            system.remove(f"{folder}/{name}")
