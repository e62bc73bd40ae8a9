"""What the program around a store may do to it: close its descriptors, go elsewhere, start without standard streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

import walnut
from tests.crash.stores import Ack, acks, reopened, single
from walnut.errors import WalnutError
from walnut.log.file_log import FileLog
from walnut.system import System


def closes_descriptors(folder: str) -> None:
    """Close what it did not open, open other files under the same numbers, and go on writing."""
    log = FileLog.open(System(), folder)
    before = single("before.0.1")
    known = acks(before, log.append(before))
    os.closerange(3, 100)
    others: list[BinaryIO] = []
    for turn in range(2):
        try:
            log.append(single(f"lost-{turn}.0.1"))
        except WalnutError:
            pass
        else:
            raise AssertionError("acknowledged")
        others += [open(f"{folder}/../other-{turn}-{number}", "wb+") for number in range(40)]  # noqa: SIM115
    assert not any(os.path.getsize(other.name) for other in others)
    tell(known)
    os._exit(0)


def closes_the_last_segment(folder: str) -> None:
    """The same beside a write that is not synced yet: what another file's sync says is no ack."""

    class Swaps(System):
        armed = False

        def datasync(self, fd: int) -> None:
            if self.armed:
                other = os.open(f"{folder}/../other", os.O_RDWR | os.O_CREAT)
                os.dup2(other, fd)
            super().datasync(fd)

    system = Swaps()
    log = FileLog.open(system, folder)
    before = single("before.0.1")
    known = acks(before, log.append(before))
    system.armed = True
    try:
        log.append(single("unsynced.0.1"))
    except WalnutError:
        tell(known)
    os._exit(0)


def has_no_standard_streams(folder: str) -> None:
    """Start as a daemon does, have something print all the same, and get streams later; others come and go."""
    report = os.dup(1)
    for fd in range(3):
        os.close(fd)
    log = FileLog.open(System(), folder)
    for fd in range(3):
        os.write(fd, b"printed\n" * 500)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    with FileLog.open(System(), folder) as other:
        assert other._opened.epoch == log._opened.epoch, "it found nobody"
    before = single("before.0.1")
    known = acks(before, log.append(before))
    log.close()
    os.dup2(report, 1)
    tell(known)


def tell(known: list[Ack]) -> None:
    os.write(1, "".join(f"{ack.lsn} {ack.event_id} {ack.tag}\n" for ack in known).encode())


PROGRAMS: dict[str, Callable[[str], None]] = {
    each.__name__: each for each in (closes_descriptors, closes_the_last_segment, has_no_standard_streams)
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_L1_whatever_its_program_does_to_its_descriptors_a_store_acknowledges_only_what_it_keeps(
    tmp_path: Path, what: str
) -> None:
    command = [sys.executable, "-m", "tests.crash.test_hosts", what, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    known = [Ack(int(lsn), event_id, tag) for lsn, event_id, tag in map(str.split, done.stdout.splitlines())]
    assert [ack.lsn for ack in known] == [1]
    events = reopened(str(tmp_path / "store"), known)
    tags = [event.content.payload["tag"] for event in events if event.content]
    assert not any(str(tag).startswith("lost") for tag in tags)


def test_a_store_stays_where_it_was_opened_wherever_the_program_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    with walnut.open("memory") as m:
        monkeypatch.chdir(there)
        m.remember("first")
        assert len(m.recall("first")) == 1
        m.upkeep.checkpoint()
    assert not list(there.iterdir())
    assert (here / "memory" / "views").is_dir()


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2])
