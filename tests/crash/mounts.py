"""Real file systems for a while: made in an image, mounted by a loop device, and always taken away again."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.crash.disk import FAILED, FAILING_WRITES, POSITION

#: File systems: how each is made, how mounted, and its size in MiB.
MAKE = {
    "ext4": (
        ["mke2fs", "-q", "-t", "ext4", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
        "",
        40,
    ),
    "ext4 data=writeback": (["mke2fs", "-q", "-t", "ext4", "-F", "-b", "1024"], "data=writeback,commit=1", 40),
    "xfs": (["mkfs.xfs", "-q", "-f"], "", 320),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], "", 120),
}
_NEW_NAMESPACE = 0x00020000


class CannotMount(Exception):
    """The kernel refused to mount; says why."""


def unable(kind: str = "ext4") -> str:
    """Why such a file system can't be made and mounted here, empty when it can."""
    if sys.platform != "linux":
        return "mounting images needs Linux"
    if os.geteuid():
        return "mounting needs root"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.access(device, os.R_OK | os.W_OK):
            return f"there is no {device}"
    for tool in (MAKE[kind][0][0], "mount", "umount"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    with quick_folder() as folder:
        try:
            with mounted(make(kind, folder / "image"), folder / "mount", kind=kind):
                return ""
        except (CannotMount, subprocess.CalledProcessError, OSError) as error:
            return f"mounting is refused: {error}"


def own_namespace() -> None:
    """Mount for this process and its children only, if that may be: whatever ends them, nothing stays mounted."""
    if sys.platform == "linux" and not os.geteuid():
        libc = ctypes.CDLL(None, use_errno=True)
        if not libc.unshare(_NEW_NAMESPACE):
            subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is one, removed at the end."""
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="walnut-crash-", dir=shm if shm.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make(kind: str, image: Path, *, megabytes: int = 0) -> Path:
    """An empty file system in a file."""
    command, _, least = MAKE[kind]
    with image.open("wb") as file:
        file.truncate((megabytes or least) * 1024 * 1024)
    subprocess.run([*command, str(image)], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return image


@contextmanager
def mounted(image: Path, point: Path, *, kind: str = "ext4") -> Iterator[Path]:
    """Mount an image; CannotMount when it is refused. Its journal is replayed by that."""
    point.mkdir(exist_ok=True)
    options = ",".join(filter(None, ["loop", MAKE[kind][1]]))
    _mount(["-t", kind.partition(" ")[0], "-o", options, str(image)], point)
    try:
        yield point
    finally:
        unmount(point)


@contextmanager
def small_memory(point: Path, *, megabytes: int) -> Iterator[Path]:
    """A tmpfs of a fixed size."""
    point.mkdir(exist_ok=True)
    _mount(["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"], point)
    try:
        yield point
    finally:
        unmount(point)


def _mount(what: list[str], point: Path) -> None:
    done = subprocess.run(["mount", *what, str(point)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMount(done.stderr.strip())


def unmount(point: Path) -> None:
    """Take it away; lazily when somebody still uses it."""
    for lazily in ([], [], ["-l"]):
        if subprocess.run(["umount", *lazily, str(point)], capture_output=True, check=False).returncode == 0:
            return


class Remembering:
    """A disk of `disk` on an image: where it is, and how far its tape is."""

    def __init__(self, folder: Path) -> None:
        self.device, self.tape, self.position = folder / "disk", folder / "tape", folder / "position"

    def now(self) -> int:
        """How much is on the tape."""
        return int.from_bytes(self.position.read_bytes()[:8], "little")

    def failed(self) -> int:
        """How many did."""
        return int.from_bytes(self.position.read_bytes()[FAILED:POSITION], "little")

    def fail(self, *, writes: int = 0, flushes: int = 0) -> None:
        """Have so many of the next writes and flushes fail."""
        with self.position.open("r+b") as file:
            file.seek(FAILING_WRITES)
            file.write(writes.to_bytes(8, "little") + flushes.to_bytes(8, "little"))


@contextmanager
def remembering(image: Path, folder: Path) -> Iterator[Remembering]:
    """Serve `image` as a disk that remembers; the tape is complete when the block ends."""
    folder.mkdir(exist_ok=True)
    disk = Remembering(folder)
    disk.device.write_bytes(b"")
    disk.position.write_bytes(bytes(POSITION))
    command = [sys.executable, "-m", "tests.crash.disk", *map(str, (disk.device, image, disk.tape, disk.position))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            if server.stdout.readline() != "mounted\n":
                raise CannotMount("FUSE is refused")
            yield disk
        finally:
            unmount(disk.device)
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()
