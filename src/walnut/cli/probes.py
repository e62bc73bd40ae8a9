"""Probes of a folder: syncs, renames, locks and shared memory tried for real in a scratch folder that is removed."""

from __future__ import annotations

import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from walnut.cli.checks import Check, fail, ok, warn
from walnut.cli.upkeep import size
from walnut.system import System

_LITTLE_SPACE = 256 << 20
_FEW_FILES = 1000
_PAGE = 4096
_SYNCS = 40
#: Seconds after which a slow disk has been asked often enough.
_LONG_ENOUGH = 3.0
#: A sync that reaches a medium takes longer (seconds), one that stops in a drive's protected memory too.
_TOO_QUICK = 20e-6
#: 2024-01-01: this code is younger.
_YOUNGEST = 1_704_067_200
_CHILD = """
import fcntl, mmap, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("free")
    except OSError:
        print("held")
    with mmap.mmap(file.fileno(), 4096) as shared:
        print(shared[:4].decode("latin-1"))
        shared[4:8] = b"pong"
"""


def probe(folder: Path, *, in_memory: bool = False) -> Iterator[Check]:
    """Try everything that Walnut relies on in this folder; `in_memory`: a quick sync is no wonder."""
    yield from room(folder)
    yield clock(time.time())
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".walnut-doctor-") as scratch:
            for name, work in _PROBES.items():
                yield _tried(name, work, Path(scratch), in_memory=in_memory)
    except OSError as error:
        yield fail("writing", f"no scratch folder can be made in {folder}: {error.strerror}")


def _tried(name: str, work: Callable[..., Check], scratch: Path, *, in_memory: bool) -> Check:
    try:
        return work(scratch, in_memory=in_memory)
    except OSError as error:
        return fail(name, f"failed: {error.strerror}")
    except subprocess.SubprocessError as error:
        return warn(name, f"could not be tried with a second process ({type(error).__name__})")


def room(folder: Path) -> Iterator[Check]:
    """Free space, and inodes where the file system counts them."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    yield (ok if free > _LITTLE_SPACE else warn)("free space", size(free))
    if status.f_files:
        left = status.f_favail
        yield (ok if left > _FEW_FILES else warn)("free inodes", f"{left:,}")


def clock(now: float) -> Check:
    """Whether the wall clock can be right at all."""
    if now < _YOUNGEST:
        return warn("clock", "stands before this program was written: times of events will be wrong")
    return ok("clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def sync(scratch: Path, *, in_memory: bool) -> Check:
    """Write and sync pages of a prepared file, as the log does."""
    system, times = System(), list[float]()
    fd = system.open_file(str(scratch / "sync"), create=True)
    try:
        system.write_at(fd, bytes(_PAGE * _SYNCS), 0)
        system.sync(fd)
        end = time.perf_counter() + _LONG_ENOUGH
        for number in range(_SYNCS):
            system.write_at(fd, os.urandom(_PAGE), number * _PAGE)
            start = time.perf_counter()
            system.datasync(fd)
            times.append(time.perf_counter() - start)
            if start > end:
                break
    finally:
        system.close_file(fd)
    preload = os.environ.get("LD_PRELOAD", "")
    return sync_told(statistics.median(times), len(times), in_memory=in_memory, preload=preload)


def sync_told(median: float, count: int, *, in_memory: bool, preload: str = "") -> Check:
    """What a median (seconds) says of a disk."""
    how = " with F_FULLFSYNC" if sys.platform == "darwin" else ""
    told = f"works{how}, {median * 1e3:.3f} ms (median of {count} of 4 KiB)"
    if "eatmydata" in preload:
        return fail("sync", "switched off by libeatmydata (LD_PRELOAD): nothing is ever synced")
    if in_memory:
        return ok("sync", f"{told}; in memory it means nothing")
    if median < _TOO_QUICK:
        doubt = "quicker than a drive that writes before it answers: a virtual disk or a cache may be answering for it"
        return warn("sync", f"{told}: {doubt}; ask who runs the machine what a flush does there")
    return ok("sync", told)


def rename(scratch: Path, *, in_memory: bool) -> Check:  # noqa: ARG001 - all probes are called alike
    """Put a file in another's place and sync the folder."""
    system, old, new = System(), scratch / "old", scratch / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    system.rename(str(new), str(old))
    system.sync_directory(str(scratch))
    if old.read_bytes() != b"new" or new.exists():
        return fail("rename", "a rename did not replace the other file")
    return ok("rename", "replaces a file at once; folders can be synced")


def share(scratch: Path, *, in_memory: bool) -> Check:  # noqa: ARG001 - all probes are called alike
    """A lock that another process must respect, and memory it must share."""
    path = scratch / "shared"
    path.write_bytes(bytes(_PAGE))
    system = System()
    fd = system.open_file(str(path))
    try:
        with mmap.mmap(fd, _PAGE) as shared:
            shared[:4] = b"ping"
            locked = system.try_lock_file(fd)
            first = _child(path)
            seen = shared[4:8]
            system.unlock_file(fd)
        then = _child(path)
    finally:
        system.close_file(fd)
    if not locked or first[0] != "held" or then[0] != "free":
        return fail("locks", "another process does not respect them here: no two processes may use a store at once")
    if first[1] != "ping" or seen != b"pong":
        return fail("locks", "memory mapped by two processes differs: no two processes may use a store at once")
    return ok("locks", "respected between processes, and mapped memory is shared")


def _child(path: Path) -> list[str]:
    command = [sys.executable, "-I", "-S", "-c", _CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603 - our own words
    return done.stdout.split()


_PROBES: dict[str, Callable[..., Check]] = {"sync": sync, "rename": rename, "locks": share}
