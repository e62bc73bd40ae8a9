"""Four processes of four threads each write to one store, and all are killed; again and again."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.stores import Ack, acks, judge, say, small_segments, wait_until
from tests.crash.worker import operation
from walnut.log.file_log import FileLog
from walnut.system import System

PROCESSES, THREADS = 4, 4


def start(folder: Path, report: Path, name: str, seed: int, threads: int = THREADS) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.crash.worker", str(folder), str(report), name, str(seed), str(threads)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def reported(report: Path) -> list[Ack]:
    """What a process said it got acknowledged; it may have been killed in the middle of a line."""
    lines = report.read_text().splitlines(keepends=True) if report.exists() else []
    found = []
    for line in lines:
        if line.endswith("\n"):
            lsn, event_id, tag = line.split()
            found.append(Ack(int(lsn), event_id, tag))
    return found


def storm(folder: Path, reports: Path, number: int, seed: int) -> list[Ack]:
    """One round: start all, kill each when it has acknowledged so many; returns what was acknowledged."""
    chance = random.Random(seed)
    names = [f"r{number}.p{n}" for n in range(PROCESSES)]
    running = {name: start(folder, reports / name, name, seed) for name in names}
    try:
        goals = {name: chance.randrange(1, 250) for name in names}
        while goals:
            wait_until(lambda: any(len(reported(reports / name)) >= goal for name, goal in goals.items()))
            for name in [name for name, goal in goals.items() if len(reported(reports / name)) >= goal]:
                del goals[name]
                running[name].kill()
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return [ack for name in names for ack in reported(reports / name)]


def send_again(log: FileLog, number: int, seed: int, known: list[Ack]) -> None:
    """Each thread's last acknowledged batch and the one that was under way: keyed ones are there once."""
    by_tag = {ack.tag: ack for ack in known}
    for name in [f"r{number}.p{p}.t{t}" for p in range(PROCESSES) for t in range(THREADS)]:
        done = 1 + max((int(ack.tag.split(".")[3]) for ack in known if ack.tag.startswith(f"{name}.")), default=-1)
        for n in (done - 1, done):
            batch = operation(name, seed, n) if n >= 0 else None
            if batch is None or batch.transactions[0][0].idem is None:
                continue
            first = log.append(batch)
            for ack in acks(batch, first):
                assert ack == by_tag.get(ack.tag, ack), f"another ack for the same key: {ack}"
            if n < done:
                assert all(each.replayed for each in first)
            again = log.append(batch)
            assert all(each.replayed for each in again)
            assert acks(batch, again) == acks(batch, first)


@pytest.mark.timeout(3600)
def test_L1_L2_L3_L9_L11_nothing_acknowledged_is_lost_or_doubled_when_all_writers_are_killed(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    folder, reports = tmp_path / "store", tmp_path / "reports"
    reports.mkdir()
    acknowledged: list[Ack] = []
    with small_segments():
        for number in range(rounds(50)):
            seed = random.SystemRandom().getrandbits(32)
            say(f"round {number}, seed {seed}")
            acknowledged += storm(folder, reports, number, seed)
            with FileLog.open(System(), str(folder)) as log:
                events = judge(log, acknowledged)
                send_again(log, number, seed, acknowledged)
                judge(log, acknowledged)
            say(f"{len(acknowledged)} acknowledged, {len(events)} events, {log.folder}")
