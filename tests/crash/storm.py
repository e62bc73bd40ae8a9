"""Four processes of four threads each write to one store, and all are killed; again and again.

After each round everything is judged, and what each thread wrote last is sent again.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.stores import Ack, acks, judge, say, small_segments, wait_until
from tests.crash.tally import Tally
from tests.crash.worker import operation
from walnut.errors import WalnutError
from walnut.log.file_log import FileLog
from walnut.system import System

#: Rounds that one store lives through.
LIFE = 20

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


class Lives:
    """A store that lives through some rounds."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self._store, self._reports, self._tally = folder / "store", folder / "reports", tally
        self._reports.mkdir()
        self._known: list[Ack] = []

    def round(self, number: int, seed: int) -> None:
        """One storm, and the judgement of what it left."""
        say(f"round {number}, seed {seed}, {self._tally.acknowledged} acknowledged, {self._tally.lost} lost")
        self._tally.tried += 1
        self._tally.count("processes killed", PROCESSES)
        found = storm(self._store, self._reports, number, seed)
        self._tally.acknowledged += len(found)
        self._known += found
        with FileLog.open(System(), str(self._store)) as log:
            judge(log, self._known)
            send_again(log, number, seed, self._known)
            judge(log, self._known)


def run(*, rounds: int) -> Tally:
    """So many rounds, on a fresh store now and then."""
    tally = Tally(fault="SIGKILL, 4 processes of 4 threads", counts={}, problems=[])
    begun = time.monotonic()
    while tally.tried < rounds and not tally.problems:
        with tempfile.TemporaryDirectory(prefix="walnut-storm-") as folder, small_segments():
            lives = Lives(Path(folder), tally)
            for number in range(min(LIFE, rounds - tally.tried)):
                seed = random.SystemRandom().getrandbits(32)
                try:
                    lives.round(number, seed)
                except (AssertionError, WalnutError) as error:
                    tally.lost += "lost" in str(error)
                    tally.silent += "lost" not in str(error) and isinstance(error, AssertionError)
                    tally.problems.append(f"round {number}, seed {seed}: {type(error).__name__}: {error}")
                    break
    tally.seconds = time.monotonic() - begun
    return tally
