"""The doctor: what it makes of file systems and devices, what it tries for real, and that it changes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

import walnut
from tests.unit.test_cli_verbs import Shell
from walnut.cli import ground, inspection, probes
from walnut.cli.doctor import verdict
from walnut.cli.ground import Device, Mount
from walnut.log import segment

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:27 / /mnt/a\040b rw shared:7 master:1 - tmpfs tmpfs rw,size=1k
31 27 0:27 / /data rw - xfs /dev/vdb1 rw
32 31 0:28 / /data rw,noatime - ext4 /dev/vdc rw,nobarrier,data=writeback
nothing of the kind
"""


def test_a_path_lies_on_the_deepest_mount_and_of_equals_on_the_last() -> None:
    table = ground.mounts(MOUNTS.splitlines())
    assert len(table) == 5
    found = {path: ground.mount_of(path, table) for path in ("/data/x", "/database", "/mnt/a b", "/mnt/a b/c")}
    assert {path: mount and mount.kind for path, mount in found.items()} == {
        "/data/x": "ext4",
        "/database": "ext4",
        "/mnt/a b": "tmpfs",
        "/mnt/a b/c": "tmpfs",
    }
    assert found["/data/x"] is not None
    assert found["/data/x"].options >= {"noatime", "nobarrier", "data=writeback"}
    assert ground.mount_of("relative", table) is None
    (mac,) = ground.darwin_mounts(["/dev/disk1s1 on /Users/a (b) (apfs, local, journaled)", "?"])
    assert mac == Mount("apfs", "/dev/disk1s1", "/Users/a (b)", frozenset({"local", "journaled"}))


@pytest.mark.parametrize(
    ("kind", "options", "network", "device", "said"),
    [
        ("ext4", "rw", None, None, "power loss yes (if the drive honours flushes)"),
        ("xfs", "rw", None, "vda", "power loss yes (if the drive honours flushes)"),
        ("ext4", "data=writeback,async", None, None, "power loss yes"),
        ("ext4", "nobarrier", None, None, "system crash yes, power loss no (barriers are off)"),
        ("ext4", "barrier=0", None, None, "system crash yes, power loss no (barriers are off)"),
        ("tmpfs", "rw", None, None, "system crash no, power loss no (this is memory)"),
        ("ext4", "rw", None, "zram0", "system crash no, power loss no (this is memory)"),
        ("overlay", "rw", None, None, "power loss not known"),
        ("fuse.thing", "rw", None, None, "power loss not known (a program (FUSE)"),
        ("vfat", "rw", None, None, "power loss not known (vfat may lose"),
        ("nfs4", "rw", "nfs4", None, "nothing is promised until this is mended: file system"),
    ],
)
def test_the_verdict_follows_file_system_options_and_device(
    kind: str, options: str, network: str | None, device: str | None, said: str
) -> None:
    mount = Mount(kind, "/dev/vda", "/", frozenset(options.split(",")))
    place = ground.judged(mount, Device(name=device) if device else None, network=network)
    told = verdict(place.checks, place)
    assert told.startswith("A `disk` ack here survives: ")
    assert said in told


def test_an_unknown_place_promises_no_more_than_is_known() -> None:
    place = ground.judged(None, None)
    assert "power loss not known" in verdict(place.checks, place)


def test_syncs_that_are_too_quick_are_doubted_with_care() -> None:
    quick, slow = (probes.sync_told(median, 40, in_memory=False) for median in (3e-6, 2e-3))
    assert (quick.status, slow.status) == ("warn", "ok")
    assert "may be answering" in quick.detail
    assert probes.sync_told(3e-6, 40, in_memory=True).status == "ok"
    assert probes.sync_told(3e-6, 40, in_memory=False, preload="/lib/libeatmydata.so").status == "fail"
    place = ground.judged(Mount("ext4", "/dev/vda", "/"), None)
    assert "power loss not known" in verdict((*place.checks, quick), place)


def test_a_device_is_read_from_the_system_also_under_a_partition(tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    disk = tmp_path / "vda"
    (disk / "queue").mkdir(parents=True)
    (disk / "vda1").mkdir()
    (disk / "vda1" / "partition").touch()
    for name, value in {
        "write_cache": "write back",
        "logical_block_size": "512",
        "physical_block_size": "4096",
    }.items():
        (disk / "queue" / name).write_text(value + "\n")
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / f"{os.major(number)}:{os.minor(number)}").symlink_to(disk / "vda1")
    device = ground.device_of(tmp_path, None, sysfs=tmp_path / "block")
    assert device == Device(name="vda", cache="write back", logical=512, physical=4096)
    place = ground.judged(Mount("ext4", "/dev/vda1", "/"), device)
    assert any("sectors of 512 bytes (4096 physical)" in check.detail for check in place.checks)
    assert ground.device_of(tmp_path, None, sysfs=tmp_path / "none") is None


def test_everything_is_tried_for_real_and_nothing_is_left(tmp_path: Path) -> None:
    found = {check.name: check for check in probes.probe(tmp_path)}
    assert {"free space", "clock", "sync", "rename", "locks"} <= set(found)
    assert [check for check in found.values() if check.status == "fail"] == []
    assert "respected between processes" in found["locks"].detail
    assert os.listdir(tmp_path) == []
    assert probes.clock(0).status == "warn"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="this machine has no folder in memory at a known place")
def test_a_folder_in_memory_is_told_as_such(shell: Shell) -> None:
    found = shell.json("doctor", "--store", "/dev/shm/walnut-that-is-not-there")
    assert "power loss no" in found["verdict"]
    assert found["ok"]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WALNUT_STORE", raising=False)
    return Shell(capsys)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("state", ["never read", "read", "behind", "not closed", "open"])
def test_looking_at_a_store_changes_no_file_of_it(shell: Shell, tmp_path: Path, state: str) -> None:
    store = tmp_path / "memory"
    with walnut.open(store) as m:
        m.remember("one")
        if state != "never read":
            m.list()
    if state == "behind":
        with walnut.open(store) as m:
            m.remember("two")
    if state == "not closed":
        shutil.rmtree(store)
        with walnut.open(tmp_path / "other") as m:
            m.remember("one")
            m.list()
            shutil.copytree(tmp_path / "other", store)
    if state == "open":
        with walnut.open(store) as m:
            m.remember("two")
            m.list()
            before = files(store)
            assert shell.json("doctor")["ok"]
            assert files(store) == before
        return
    before = files(store)
    found = shell.json("doctor")
    assert found["ok"], found
    assert files(store) == before
    assert ("1 event behind" in str(found)) == (state == "behind")


def test_damage_a_stuck_writer_and_an_unfinished_repair_are_told(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_PATIENCE", 0.01)
    store = tmp_path / "memory"
    with walnut.open(store) as m:
        m.remember("one")
    with (store / "log" / "lock.write").open("rb") as stuck:
        fcntl.flock(stuck, fcntl.LOCK_EX)
        assert "fail  writer" in shell("doctor", code=1)
    first = store / "log" / segment.name(1)
    data = bytearray(first.read_bytes())
    data[600] ^= 1
    first.write_bytes(data)
    told = shell("doctor", code=1)
    assert "fail  log" in told
    assert "nothing is promised until this is mended: log" in told
    (store / "log.new").mkdir()
    (store / segment.REPAIRING).write_text("{}")
    assert "a repair was interrupted" in shell("doctor", code=1)
