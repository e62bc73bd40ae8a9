"""The ground a store stands on: its file system, mount options and device, and what they mean for a power loss."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from walnut.cli.checks import Check, fail, ok, warn
from walnut.system import System

#: Whether what was synced is there after a loss of power, as far as the system knows.
Power: TypeAlias = Literal["yes", "no", "unknown"]

_JOURNALED = frozenset({"ext3", "ext4", "xfs", "btrfs", "apfs", "zfs", "f2fs", "jfs", "bcachefs", "hfs"})
_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_LAYERS = frozenset({"overlay", "aufs"})
_NO_BARRIERS = frozenset({"nobarrier", "barrier=0", "barrier=none"})
_OCTAL = re.compile(r"\\([0-7]{3})")
_DARWIN = re.compile(r"(.+?) on (.+) \(([^,)]+)(.*)\)")


class Mount(msgspec.Struct, frozen=True):
    """Where a path is mounted from: kind of file system, device, mount point, options."""

    kind: str
    device: str
    point: str
    options: frozenset[str] = frozenset()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A block device; sizes of sectors in bytes, 0 when not known. `cache` is what the kernel takes it for."""

    name: str
    cache: str = ""
    logical: int = 0
    physical: int = 0

    @property
    def in_memory(self) -> bool:
        """Whether it is made of RAM."""
        return self.name.startswith(("ram", "zram"))


class Ground(msgspec.Struct, frozen=True):
    """What was found; `because` says in half a sentence why `power` is not "yes"."""

    checks: tuple[Check, ...]
    power: Power
    because: str = ""
    in_memory: bool = False


def mounts(lines: Iterable[str]) -> list[Mount]:
    """The mounts of Linux's mountinfo, in its order."""
    found = []
    for line in lines:
        before, separator, after = line.rstrip("\n").partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if separator and len(fields) >= 6 and len(rest) >= 3:
            point, device = (_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), each) for each in (fields[4], rest[1]))
            options = frozenset((*fields[5].split(","), *rest[2].split(",")))
            found.append(Mount(rest[0], device, point.encode("latin-1", "replace").decode(errors="replace"), options))
    return found


def darwin_mounts(lines: Iterable[str]) -> list[Mount]:
    """The same from what `mount` prints on macOS."""
    matches = (_DARWIN.fullmatch(line.strip()) for line in lines)
    return [Mount(m[3], m[1], m[2], frozenset(m[4].replace(" ", "").strip(",").split(","))) for m in matches if m]


def mount_of(path: str, table: Iterable[Mount]) -> Mount | None:
    """The mount that a real path lies on: the deepest, of equals the last."""
    best: Mount | None = None
    for each in table:
        inside = path == each.point or path.startswith(each.point.rstrip("/") + "/")
        if inside and (best is None or len(each.point) >= len(best.point)):
            best = each
    return best


def _table() -> list[Mount]:
    try:
        if sys.platform == "darwin":
            told = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True, timeout=10)
            return darwin_mounts(told.stdout.splitlines())
        with Path("/proc/self/mountinfo").open(encoding="latin-1") as file:
            return mounts(file)
    except (OSError, subprocess.SubprocessError):
        return []


def device_of(folder: Path, mount: Mount | None, *, sysfs: Path = Path("/sys/dev/block")) -> Device | None:
    """The block device under a folder, None where there is none to be seen (memory, network, macOS)."""
    numbers = [folder.stat().st_dev]
    if mount is not None and mount.device.startswith("/dev/"):
        try:
            status = Path(mount.device).stat()
        except OSError:
            pass
        else:
            numbers += [status.st_rdev] if stat.S_ISBLK(status.st_mode) else []
    for number in numbers:
        place = sysfs / f"{os.major(number)}:{os.minor(number)}"
        if place.exists():
            real = place.resolve()
            return _device(real.parent if (real / "partition").exists() else real)
    return None


def _device(place: Path) -> Device:
    def told(name: str) -> str:
        try:
            return (place / "queue" / name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    logical, physical = told("logical_block_size"), told("physical_block_size")
    return Device(
        name=place.name,
        cache=told("write_cache"),
        logical=int(logical) if logical.isdecimal() else 0,
        physical=int(physical) if physical.isdecimal() else 0,
    )


def survey(folder: Path) -> Ground:
    """What is known about the place of an existing folder without writing to it."""
    real = str(folder.resolve())
    mount = mount_of(real, _table())
    device = device_of(folder, mount)
    return judged(mount, device, network=System().network_file_system(real))


def judged(mount: Mount | None, device: Device | None, *, network: str | None = None) -> Ground:
    """What a mount and a device mean; `network` is the kind that `walnut.open` refuses."""
    kind = "" if mount is None else mount.kind
    if network is not None:
        told = f"{network}: locks and syncs can't be relied on over a network, so Walnut refuses it"
        return Ground((fail("file system", told),), "unknown", "the file system is on a network")
    if kind in _MEMORY or (device is not None and device.in_memory):
        told = f"{kind}: memory; nothing here survives a reboot"
        return Ground((warn("file system", told),), "no", "this is memory", in_memory=True)
    checks, power, because = _local(mount)
    if device is not None:
        checks.append(_of_device(device))
    return Ground(tuple(checks), power, because)


def _local(mount: Mount | None) -> tuple[list[Check], Power, str]:
    if mount is None:
        told = "its kind could not be told"
        return [warn("file system", told)], "unknown", "the kind of the file system is not known"
    kind = mount.kind
    if kind.startswith("fuse"):
        told = f"{kind}: a program stands between Walnut and the disk, and decides what a sync means"
        return [warn("file system", told)], "unknown", "a program (FUSE) decides what a sync means"
    if kind in _LAYERS:
        told = f"{kind}: a container's own layer, which goes with the container; keep a store on a mounted volume"
        return [warn("file system", told)], "unknown", "what lies under the container's layer is not seen from here"
    if kind not in _JOURNALED:
        told = f"{kind}: without a journal that Walnut knows of"
        return [warn("file system", told)], "unknown", f"{kind} may lose a file's name or place"
    return _options(mount)


def _options(mount: Mount) -> tuple[list[Check], Power, str]:
    checks = [ok("file system", f"{mount.kind}, local")]
    off = sorted(mount.options & _NO_BARRIERS)
    if off:
        told = f"{', '.join(off)}: the drive is not asked to empty its cache; mount it with barriers"
        return [*checks, warn("mount options", told)], "no", "barriers are off"
    harmless = sorted(mount.options & {"data=writeback", "async", "nodiratime", "noatime"})
    if harmless:
        checks.append(ok("mount options", f"barriers on; {', '.join(harmless)}: harmless, as every ack is synced"))
    else:
        checks.append(ok("mount options", "barriers on"))
    return checks, "yes", ""


def _of_device(device: Device) -> Check:
    sectors = f"sectors of {device.logical} bytes" if device.logical else "sectors of unknown size"
    if device.physical > device.logical:
        sectors += f" ({device.physical} physical)"
    cache = {
        "write back": "a write cache, which every sync asks it to empty",
        "write through": "no write cache as far as the system knows, so no sync asks it to empty one",
    }.get(device.cache, "nothing is known of its write cache")
    return ok("device", f"{device.name}: {sectors}; {cache}")
