"""Power cuts: a machine that records what it was asked to store, and what its disk may hold after a cut.

The model is that of a disk with a journal for names: folder changes reach it in order, each whole, and are sure
once their folder (or a later change's) was synced. Contents reach it by sectors of 512 bytes, in any order, each in
any version since the last that a sync covered. After a sync that failed, later syncs carry only what was written
again. Files that were mapped are stored whenever the machine likes.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import threading
from bisect import bisect_right
from collections.abc import Callable
from enum import Enum
from typing import Self

from walnut.system import MappedFile, System

SECTOR = 512


class Op:
    """One thing that happened: what to which file (its number) or path, and what it covers."""

    __slots__ = ("data", "file", "kind", "lost", "offset", "path", "target", "upto")

    def __init__(self, kind: str, *, file: int = 0, path: str = "", target: str = "") -> None:
        self.kind, self.file, self.path, self.target = kind, file, path, target
        self.data, self.offset, self.upto = b"", 0, 0
        self.lost = False


class Killed(BaseException):
    """The process is dead: it stores nothing any more."""


class Recorder(System):
    """The real machine, which notes everything that a disk would have to keep under `root`.

    `refuse_syncs` is the number of syncs of data that fail from now on, each with EIO. `life` is the number of
    operations until the process is killed, in the midst of one; -1 when it is not.
    """

    def __init__(self, root: str, *, boot: int = 0) -> None:
        self.root = os.path.realpath(root)
        self.ops: list[Op] = []
        self.refuse_syncs = 0
        self.life = -1
        self._boot = boot
        self._lock = threading.RLock()
        self._names: dict[str, int] = {}
        self._fds: dict[int, int] = {}
        self._take_in()

    def process(self, *, life: int = -1) -> Self:
        """Another process of the same machine."""
        other = copy.copy(self)
        other.life, other.refuse_syncs = life, 0
        return other

    def _live(self, half: Callable[[], None] | None = None) -> None:
        """Count one operation; the last one is done by half."""
        if self.life > 0:
            self.life -= 1
            if not self.life and half is not None:
                half()
        if not self.life:
            raise Killed

    def _take_in(self) -> None:
        """What is there already is on the disk."""
        for folder, _, names in sorted(os.walk(self.root)):
            self.ops.append(Op("folder", path=folder))
            for name in sorted(names):
                path = f"{folder}/{name}"
                with open(path, "rb") as file:
                    data = file.read()
                number = self._new(path)
                self._note("size", file=number).offset = len(data)
                self._note("write", file=number).data = data
                self._note("sync", file=number).upto = len(self.ops)
            self._note("names", path=folder).upto = len(self.ops)

    def _note(self, kind: str, *, file: int = 0, path: str = "", target: str = "") -> Op:
        op = Op(kind, file=file, path=path, target=target)
        self.ops.append(op)
        return op

    def _new(self, path: str) -> int:
        self._names[path] = number = len(self.ops)
        self._note("name", file=number, path=path)
        return number

    def boot_id(self) -> bytes:
        return self._boot.to_bytes(16, "big") if self._boot else super().boot_id()

    # -- what is recorded ------------------------------------------------------------------------------------------

    def open_file(self, path: str, *, create: bool = False, exclusive: bool = False, write: bool = True) -> int:
        with self._lock:
            self._live()
            fd = super().open_file(path, create=create, exclusive=exclusive, write=write)
            if path not in self._names:
                self._new(path)
            self._fds[fd] = self._names[path]
            return fd

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        def half() -> None:
            part = bytes(data[: len(data) // 2 // SECTOR * SECTOR])
            System.write_at(self, fd, part, offset)
            self._write(self._fds[fd], part, offset)

        with self._lock:
            self._live(half)
            super().write_at(fd, data, offset)
            self._write(self._fds[fd], bytes(data), offset)

    def _write(self, file: int, data: bytes, offset: int) -> None:
        op = self._note("write", file=file)
        op.data, op.offset = data, offset

    def truncate(self, fd: int, length: int) -> None:
        with self._lock:
            self._live()
            super().truncate(fd, length)
            self._note("size", file=self._fds[fd]).offset = length

    def datasync(self, fd: int) -> None:
        self._sync(self._fds[fd], super().datasync, fd)

    def sync(self, fd: int) -> None:
        self._sync(self._fds[fd], super().sync, fd)

    def _sync(self, file: int, sync: Callable[[int], None], fd: int) -> None:
        self._live()
        upto = len(self.ops)
        with self._lock:
            if self.refuse_syncs:
                self.refuse_syncs -= 1
                self._note("failed", file=file).upto = upto
                raise OSError(5, os.strerror(5))
        sync(fd)
        with self._lock:
            self._note("sync", file=file).upto = upto

    def sync_directory(self, path: str) -> None:
        self._live()
        upto = len(self.ops)
        super().sync_directory(path)
        with self._lock:
            self._note("names", path=path).upto = upto

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            self._live()
            super().rename(source, target)
            self._names[target] = self._names.pop(source)
            self._note("rename", path=source, target=target)

    def remove(self, path: str) -> None:
        with self._lock:
            self._live()
            super().remove(path)
            self._names.pop(path, None)
            self._note("remove", path=path)

    def make_folder(self, path: str) -> None:
        with self._lock:
            self._live()
            if not os.path.isdir(path):
                super().make_folder(path)
                self._note("folder", path=path)

    def map_file(self, fd: int, length: int, *, write: bool = False) -> MappedFile:
        return _RecordedMap(self, super().map_file(fd, length, write=write), self._fds[fd])


class _RecordedMap:
    def __init__(self, recorder: Recorder, mapped: MappedFile, file: int) -> None:
        self._recorder, self._mapped, self._file = recorder, mapped, file

    def __getitem__(self, index: slice) -> bytes:
        return self._mapped[index]

    def __setitem__(self, index: slice, value: bytes) -> None:
        middle = index.start + len(value) // 2  # the disk may be handed the page while it is being stored to

        def put(start: int, stop: int) -> None:
            part = value[start - index.start : stop - index.start]
            self._mapped[start:stop] = part
            self._recorder._write(self._file, part, start)

        with self._recorder._lock:
            self._recorder._live(lambda: put(index.start, middle))
            put(index.start, middle)
            put(middle, index.start + len(value))

    def flush(self) -> None:
        self._recorder._sync(self._file, lambda _: self._mapped.flush(), 0)

    def close(self) -> None:
        self._mapped.close()


class Fate(Enum):
    """What becomes of the sectors that no sync has covered."""

    OLD = "old"
    NEW = "new"
    MIXED = "mixed"
    VERSIONS = "versions"
    ONE_OLD = "one-old"
    ONE_NEW = "one-new"


class Tape:
    """What a recorder noted, ready to be cut anywhere."""

    def __init__(self, recorder: Recorder) -> None:
        self.root = recorder.root
        self.ops = list(recorder.ops)
        self._sure_at = self._certainty()

    def __len__(self) -> int:
        return len(self.ops)

    def _certainty(self) -> dict[int, int]:
        """Write or size -> the sync that made it sure; what a failed sync has seen is never sure."""
        sure: dict[int, int] = {}
        waiting: dict[int, list[int]] = {}
        for at, op in enumerate(self.ops):
            if op.kind in ("write", "size"):
                waiting.setdefault(op.file, []).append(at)
            elif op.kind in ("sync", "failed"):
                mine = waiting.get(op.file, [])
                covered = bisect_right(mine, op.upto - 1)
                if op.kind == "sync":
                    sure.update(dict.fromkeys(mine[:covered], at))
                waiting[op.file] = mine[covered:]
        return sure

    def _is_sure(self, at: int, cut: int) -> bool:
        return self._sure_at.get(at, len(self.ops)) < cut

    def tree(self, cut: int, rng: random.Random) -> tuple[list[str], dict[str, int]]:
        """The folders and the names of files that the disk holds."""
        sure = 0
        changes = [at for at, op in enumerate(self.ops[:cut]) if op.kind in ("name", "rename", "remove", "folder")]
        for op in self.ops[:cut]:
            if op.kind == "names":
                for at in changes:
                    if at >= op.upto:
                        break
                    change = self.ops[at]
                    if op.path in {each.rpartition("/")[0] for each in (change.path, change.target)}:
                        sure = max(sure, at + 1)
        unsure = [at + 1 for at in changes if at + 1 > sure]
        stop = rng.choice([sure, *unsure, *unsure[-1:] * 3])
        folders, names = [self.root], {}
        for op in self.ops[:stop]:
            if op.kind == "folder":
                folders.append(op.path)
            elif op.kind == "name":
                names[op.path] = op.file
            elif op.kind == "rename":
                names[op.target] = names.pop(op.path)
            elif op.kind == "remove":
                names.pop(op.path, None)
        return folders, names

    def content(self, file: int, cut: int, fate: Fate, rng: random.Random) -> bytes:
        """What the disk holds of one file."""
        mine = [at for at, op in enumerate(self.ops[:cut]) if op.file == file and op.kind in ("write", "size")]
        size = self._size(mine, cut, rng)
        touched: dict[int, list[int]] = {}  # sector -> its writes that may be missing, and before them a sure one
        for at in mine:
            op = self.ops[at]
            if op.kind == "write":
                for sector in range(op.offset // SECTOR, -(-(op.offset + len(op.data)) // SECTOR)):
                    if self._is_sure(at, cut):
                        touched[sector] = [at]
                    else:
                        touched.setdefault(sector, [-1]).append(at)
        unsure = sorted(sector for sector, versions in touched.items() if len(versions) > 1)
        odd = rng.choice(unsure) if unsure else -1
        last = {sector: _choose(versions, fate, rng, odd=sector == odd) for sector, versions in touched.items()}
        data = bytearray()
        for at in mine:
            op = self.ops[at]
            if op.kind == "size":
                del data[op.offset :]
                data.extend(bytes(op.offset - len(data)))
                continue
            end = op.offset + len(op.data)
            data.extend(bytes(max(0, end - len(data))))
            for sector in range(op.offset // SECTOR, -(-end // SECTOR)):
                if at <= last[sector]:
                    start, stop = max(op.offset, sector * SECTOR), min(end, (sector + 1) * SECTOR)
                    data[start:stop] = op.data[start - op.offset : stop - op.offset]
        del data[size:]
        return bytes(data)

    def _size(self, mine: list[int], cut: int, rng: random.Random) -> int:
        size = sure = 0
        for at in mine:
            op = self.ops[at]
            size = op.offset if op.kind == "size" else max(size, op.offset + len(op.data))
            sure = size if self._is_sure(at, cut) else sure
        return rng.choice([size, sure]) if sure < size else size

    def image(self, target: str, cut: int, fate: Fate, rng: random.Random) -> None:
        """Make the folder that is found after a power cut right before operation `cut`."""
        shutil.rmtree(target, ignore_errors=True)
        folders, names = self.tree(cut, rng)
        for folder in folders:
            os.makedirs(target + folder[len(self.root) :], exist_ok=True)
        for path, file in names.items():
            with open(target + path[len(self.root) :], "wb") as out:
                out.write(self.content(file, cut, fate, rng))


def _choose(versions: list[int], fate: Fate, rng: random.Random, *, odd: bool) -> int:
    """The newest write of a sector that is on the disk."""
    if fate is Fate.VERSIONS:
        return rng.choice(versions)
    if fate is Fate.MIXED:
        return rng.choice((versions[0], versions[-1]))
    newest = (fate is Fate.NEW) or (fate is Fate.ONE_NEW and odd) or (fate is Fate.ONE_OLD and not odd)
    return versions[-1] if newest else versions[0]
