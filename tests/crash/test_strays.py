"""Stores that are moved, replaced, copied, mixed or shared between machines while somebody has them open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.crash.outage import Elsewhere
from tests.crash.stores import Ack, acks, fill, judge, reopened, single, small_segments
from walnut.errors import LogCorruption, StorageFailed
from walnut.log.file_log import FileLog
from walnut.log.verify import verify_folder
from walnut.system import System


def write_on(log: FileLog, name: str, count: int = 40) -> list[Ack]:
    """Over some segments, until refused."""
    known: list[Ack] = []
    for number in range(count):
        batch = single(f"{name}-{number}.0.1", 5000)
        try:
            known += acks(batch, log.append(batch))
        except StorageFailed:
            break
    return known


@pytest.mark.parametrize("replaced", ["by nothing", "by a new store", "by a copy of itself"])
def test_L1_a_store_moved_while_it_is_open_keeps_what_was_acknowledged_and_spoils_no_other(
    tmp_path: Path, replaced: str
) -> None:
    store, moved = tmp_path / "store", tmp_path / "moved"
    with small_segments(16 * 1024, 64 * 1024):
        log = FileLog.open(System(), str(store))
        known = fill(log, 5)
        store.rename(moved)
        others, other = list[Ack](), None
        if replaced == "by a copy of itself":
            shutil.copytree(moved, store)
            others += known
        if replaced != "by nothing":
            other = FileLog.open(System(), str(store))
            others += fill(other, 5, prefix="other")
        known += write_on(log, "old")
        with pytest.raises(StorageFailed):
            log.append(single("big.0.1", 100_000))
        if other is not None:
            others += write_on(other, "new")
            other.close()
            reopened(str(store), others)
        with pytest.raises(StorageFailed):
            log.append(single("big.0.1", 100_000))
        log.close()
        reopened(str(moved), known)


def test_L1_a_store_deleted_and_replaced_by_its_backup_while_it_is_open_takes_no_more_from_before(
    tmp_path: Path,
) -> None:
    store, backup = tmp_path / "store", tmp_path / "backup"
    with small_segments(16 * 1024, 64 * 1024):
        with FileLog.open(System(), str(store)) as log:
            known = fill(log, 5)
        shutil.copytree(store, backup)
        log = FileLog.open(System(), str(store))
        fill(log, 1, prefix="deleted")
        shutil.rmtree(store)
        shutil.copytree(backup, store)
        for size in (10, 100_000, 10):
            with pytest.raises(StorageFailed):
                log.append(single(f"late-{size}.0.1", size))
        reopened(str(store), known)
        with pytest.raises(StorageFailed):
            log.close()
        reopened(str(store), known)


def test_L5_a_copy_whose_mark_is_ahead_of_its_segments_is_refused(tmp_path: Path) -> None:
    """What `cp` makes of a store that is written to meanwhile."""
    store, copy = tmp_path / "store", tmp_path / "copy"
    with FileLog.open(System(), str(store)) as log:
        known = fill(log, 5)
        shutil.copytree(store, copy)
        known += fill(log, 5, prefix="more")
        shutil.copy(store / "log" / "mark", copy / "log" / "mark")
    with pytest.raises(LogCorruption):
        FileLog.open(System(), str(copy))
    assert not verify_folder(System(), str(copy)).ok
    reopened(str(store), known)


def test_L9_a_copy_and_its_original_live_apart_also_when_both_are_open(tmp_path: Path) -> None:
    store, copy = tmp_path / "store", tmp_path / "copy"
    with small_segments(16 * 1024, 64 * 1024):
        original = FileLog.open(System(), str(store))
        known = fill(original, 5)
        shutil.copytree(store, copy)
        twin = FileLog.open(System(), str(copy))
        ours, theirs = [*known], [*known]
        for number in range(10):
            ours += fill(original, 2, prefix=f"ours-{number}", size=5000)
            theirs += fill(twin, 2, prefix=f"theirs-{number}", size=5000)
        judge(original, ours)
        judge(twin, theirs)
        original.close()
        twin.close()
        reopened(str(store), ours)
        reopened(str(copy), theirs)


@pytest.mark.parametrize("name", ["keys", "FORMAT", "log/seg-000000000001.g0"])
def test_L5_another_stores_file_is_refused(tmp_path: Path, name: str) -> None:
    store, other = tmp_path / "store", tmp_path / "other"
    for folder in (store, other):
        with FileLog.open(System(), str(folder)) as log:
            fill(log, 5)
    shutil.copy(other / name, store / name)
    with pytest.raises(LogCorruption):
        FileLog.open(System(), str(store))
    assert not verify_folder(System(), str(store)).ok


@pytest.mark.parametrize("name", ["mark", "shared", "seg-000000000001.g0.idx", "spare"])
def test_L5_another_stores_evidence_is_not_believed(tmp_path: Path, name: str) -> None:
    store, other = tmp_path / "store", tmp_path / "other"
    with small_segments(16 * 1024, 64 * 1024):
        known: dict[Path, list[Ack]] = {}
        for folder in (store, other):
            with FileLog.open(System(), str(folder)) as log:
                known[folder] = fill(log, 9, prefix=folder.name, size=2000 if folder is other else 900)
                log._keeper._prepare(log._opened.shared.written.load())  # type: ignore[arg-type]
        if (other / "log" / name).exists():
            shutil.copy(other / "log" / name, store / "log" / name)
        reopened(str(store), known[store])


def test_L9_a_process_of_another_machine_is_refused_while_a_store_is_open_and_harms_nobody(tmp_path: Path) -> None:
    """Two hosts see one disk: locks may seem to work, memory is not shared."""
    folder = str(tmp_path)
    with FileLog.open(System(), folder) as log:
        known = fill(log, 3)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(LogCorruption) as raised:
            FileLog.open(Elsewhere(5), folder)
        assert raised.value.file == "log/shared"
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        known += fill(log, 3, prefix="after")
    with FileLog.open(Elsewhere(5), folder) as log:
        judge(log, known)
    reopened(folder, known)
