"""A process is killed at each touch of the disk, before it and half-way through it, while another one goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.stores import Ack, acks, fill, judge, reopened, single, small_segments
from walnut.log.file_log import FileLog
from walnut.system import System

#: More touches than any of the things done takes.
MOST = 60


def die(folder: str, what: str, number: int, *, half: bool) -> tuple[list[Ack], bool]:
    """Run the process; its acks, and whether it came to its end before the n-th touch."""
    read, write = os.pipe()
    command = [sys.executable, "-m", "tests.crash.dier", folder, what, str(number), "half" if half else "before"]
    with subprocess.Popen([*command, str(write)], pass_fds=[write]) as process:
        os.close(write)
        with open(read, encoding="ascii") as report:
            lines = report.read().splitlines()
    assert process.returncode in (0, -9), process.returncode
    words = [line.split() for line in lines if "done" not in line]
    return [Ack(int(lsn), event_id, tag) for lsn, event_id, tag in words], process.returncode == 0


@pytest.mark.parametrize("half", [False, True], ids=["before", "half"])
@pytest.mark.parametrize("what", ["append", "roll", "open", "close"])
@pytest.mark.parametrize("others", [True, False], ids=["beside-others", "alone"])
def test_L4_L9_a_process_killed_anywhere_blocks_nobody_and_loses_nothing(
    tmp_path: Path, rounds: Callable[[int], int], what: str, half: bool, others: bool
) -> None:
    folder = str(tmp_path)
    step = 1 if rounds(10) == 10 else 5  # every touch in a soak, else a fifth of them
    first = 1 + (len(what) + 2 * half + others) % step
    with small_segments():
        survivor = FileLog.open(System(), folder, busy_timeout=20)
        known = fill(survivor, 3)
        if not others:
            survivor.close()
        for number in range(first, MOST, step):
            found, ended = die(folder, what, number, half=half)
            known += found
            if others:
                batch = single(f"survivor-{number}.0.1")
                known += acks(batch, survivor.append(batch))
                judge(survivor, known)
            else:
                reopened(folder, known)
            if ended:
                break
        else:
            raise AssertionError("it never came to its end")
        survivor.close()
        reopened(folder, known)
