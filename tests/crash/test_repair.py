"""Repair interrupted anywhere, by a kill or a power cut: the next one comes to the same end, nobody opens before."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.power import Fate, Killed, Recorder, Tape
from tests.crash.stores import Ack, fill, single, small_segments
from tests.crash.test_power_loss import Rebooted, kill, quick_folder
from walnut.errors import LogBusy, LogCorruption
from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.log.repair import repair_folder
from walnut.log.verify import verify_folder
from walnut.system import System

EVENTS = 60


def damaged(folder: str, lsn: int) -> list[Ack]:
    """A store of several segments with one frame that was whole."""
    with FileLog.open(System(), folder) as log:
        known = fill(log, EVENTS, size=700)
        place = log.locate(lsn)
    with open(f"{folder}/{place.file}", "r+b") as file:
        file.seek(place.offset + 200)
        file.write(b"damage")
    return [ack for ack in known if ack.lsn != lsn]


def check(folder: str, known: list[Ack], lost: int) -> None:
    """Run the repair again: all that was intact is there under its LSN, the loss is named, and work goes on."""
    report = repair_folder(System(), folder, accept_loss=True)
    assert report.lost_ranges in ((), ((lost, lost),))
    if report.repaired:
        assert report.lost_ranges
    log = FileLog.open(Rebooted(7), folder)
    try:
        events = list(log.read())
        assert [event.lsn for event in events] == list(range(1, EVENTS + 1))
        assert [event.lsn for event in events if event.kind == "log.lost"] == [lost]
        assert all(events[ack.lsn - 1].raw_id.hex() == ack.event_id for ack in known)
        assert log.append(single("after.0.1"))[0].lsn == EVENTS + 1
    finally:
        kill(log)
    assert verify_folder(System(), folder).ok
    assert not repair_folder(System(), folder, accept_loss=True).repaired


def refused_or_repaired(folder: str, lost: int) -> None:
    """What an interrupted repair left shows the damage, or is whole."""
    log = None
    try:
        log = FileLog.open(Rebooted(6), folder)
        assert len(list(log.read())) == EVENTS
        assert log.get(lost).kind == "log.lost"
    except LogCorruption:
        assert not verify_folder(System(), folder).ok
    finally:
        if log is not None:
            kill(log)


def test_damage_behind_the_mark_of_a_machine_that_lost_power_is_repaired_too(tmp_path: Path) -> None:
    """The mark on disk may be old: what follows it is nobody's unfinished work once the repair is alone."""
    folder = str(tmp_path)
    with FileLog.open(System(), folder) as log:
        fill(log, 1)
        old_mark = Path(folder, "log", "mark").read_bytes()
    lost = EVENTS - 5
    known = damaged(folder, lost)
    Path(folder, "log", "mark").write_bytes(old_mark)
    with pytest.raises(LogCorruption):
        FileLog.open(System(), folder)
    assert repair_folder(System(), folder, accept_loss=True).lost_ranges == ((lost, lost),)
    with FileLog.open(System(), folder) as log:
        assert [event.lsn for event in log.read() if event.kind == "log.lost"] == [lost]
        assert log.durable_lsn() == len(known) + 2


@pytest.mark.parametrize("lost", [30, EVENTS])
def test_a_repair_that_is_killed_anywhere_is_finished_by_the_next_and_nothing_is_opened_meanwhile(
    lost: int, rounds: Callable[[int], int]
) -> None:
    with quick_folder() as folder, small_segments(8 * 1024, 32 * 1024):
        known = damaged(f"{folder}/damaged", lost)
        shutil.copytree(f"{folder}/damaged", f"{folder}/whole")
        whole = Recorder(f"{folder}/whole")
        start = len(whole.ops)
        repair_folder(whole, f"{folder}/whole", accept_loss=True)
        tape = Tape(whole)
        check(f"{folder}/whole", known, lost)
        renames = next(at for at in range(start, len(tape)) if tape.ops[at].path.endswith(f"{segment.REPAIRING}.tmp"))
        rng = random.Random(lost)
        for _ in range(rounds(200)):
            cut = rng.choice([rng.randint(start, len(tape)), rng.randint(renames, len(tape))])
            tape.image(f"{folder}/image", cut, rng.choice(list(Fate)), rng)
            refused_or_repaired(f"{folder}/image", lost)
            check(f"{folder}/image", known, lost)
        life, done = 1, False
        while not done:
            store = f"{folder}/killed-{life}"
            shutil.copytree(f"{folder}/damaged", store)
            try:
                repair_folder(Recorder(store).process(life=life), store, accept_loss=True)
                done = True
            except Killed:
                refused_or_repaired(store, lost)
            check(store, known, lost)
            shutil.rmtree(store)
            life += rng.randint(1, rounds(1) + 20) if life < 100 else 1


def test_who_opens_a_store_under_repair_waits_and_a_repair_waits_for_who_opens(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    damaged(folder, 30)
    outcomes: list[str] = []

    class Repairing(System):
        """Opens the store from another process's place at each rename of the repair."""

        def rename(self, source: str, target: str) -> None:
            try:
                FileLog.open(System(), folder, busy_timeout=0.01).close()
                outcomes.append("opened")
            except LogBusy:
                outcomes.append("busy")
            super().rename(source, target)

    assert repair_folder(Repairing(), folder, accept_loss=True).repaired
    assert set(outcomes) == {"busy"}
    with FileLog.open(System(), folder) as log:
        assert log.append(single("after.0.1"))[0].lsn == EVENTS + 1
        with pytest.raises(LogBusy):
            repair_folder(System(), folder, accept_loss=True)


@pytest.mark.parametrize("leaves", ["while it is waited for", "between two looks"])
def test_a_verify_is_not_taken_for_a_process_that_has_the_store_open(tmp_path: Path, leaves: str) -> None:
    folder = str(tmp_path)
    with FileLog.open(System(), folder) as log:
        fill(log, 3)
    (tmp_path / "log" / "shared").write_bytes(b"")  # what processes shared is from before a reboot, or was copied
    held = os.open(tmp_path / "log" / "presence", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)

    class Opening(System):
        def sleep(self, seconds: float) -> None:
            fcntl.flock(held, fcntl.LOCK_UN)

        def try_lock_file(self, fd: int, *, shared: bool = False) -> bool:
            if shared and leaves == "between two looks":
                fcntl.flock(held, fcntl.LOCK_UN)
            return super().try_lock_file(fd, shared=shared)

    with FileLog.open(Opening(), folder) as log:
        assert log.append(single("after.0.1"))[0].lsn == 4
    os.close(held)


@pytest.mark.parametrize("name", ["FORMAT", "keys"])
def test_a_repair_that_may_not_lose_changes_nothing_and_tells(tmp_path: Path, name: str) -> None:
    folder = str(tmp_path)
    with FileLog.open(System(), folder) as log:
        known = fill(log, 3)
    spoiled = bytearray((tmp_path / name).read_bytes())
    spoiled[20] ^= 1
    (tmp_path / name).write_bytes(spoiled)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told = repair_folder(System(), folder)
    assert (told.repaired, told.kept_events, told.lost_ranges) == (False, 3, ())
    assert [finding.file for finding in told.findings] == [name]
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = repair_folder(System(), folder, accept_loss=True)
    assert done.repaired
    assert "keys.damaged" in done.set_aside
    with FileLog.open(System(), folder) as log:
        assert [event.raw_id.hex() for event in log.read()] == [ack.event_id for ack in known]
