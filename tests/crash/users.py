"""Some processes of `user` on one store: started, killed and replaced until they have enough acks."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from tests.crash.mounts import Remembering
from tests.crash.user import Told, read_report

#: Seconds after which processes that get no further are a failure.
_LIMIT = 120


class Users:
    """One to three processes at a time.

    A failing disk refuses a few writes or flushes now and then; that may well end it all, with fewer acks.
    """

    def __init__(self, store: Path, folder: Path, disk: Remembering, seed: int, *, failing: bool) -> None:
        self._store, self._folder, self._disk, self._seed, self._failing = store, folder, disk, seed, failing
        self._chance = random.Random(f"users {seed}")
        self._running: dict[Path, subprocess.Popen[bytes]] = {}
        self._reports: list[Path] = []

    def run(self) -> list[Told]:
        """From the first start to the last end; what was acknowledged."""
        goal, done, end = self._chance.choice([20, 100, 250]), 0, time.monotonic() + _LIMIT
        try:
            for _ in range(self._chance.randint(1, 3)):
                self._begin()
            while done < goal and not self._all_gave_up():
                assert time.monotonic() < end, "the processes stand still"
                time.sleep(0.02)
                found = len(self._told())
                if found > done:
                    self._disturb(found)
                done = found
            self._end()
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
        return self._told()

    def _begin(self) -> None:
        number = len(self._reports)
        report = self._folder / f"report-{self._seed}-{number}"
        report.write_bytes(b"")
        given = [str(self._store), str(report), str(self._disk.position), f"s{self._seed}.p{number}", str(self._seed)]
        given += [str(self._chance.randint(1, 3)), "failing" if self._failing else "sound"]
        command = [sys.executable, "-m", "tests.crash.user", *given]
        self._running[report] = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._reports.append(report)

    def _told(self) -> list[Told]:
        return [each for report in self._reports for each in read_report(report.read_bytes())]

    def _all_gave_up(self) -> bool:
        """Only a failing disk makes a process end by itself."""
        codes = [process.poll() for process in self._running.values()]
        assert {None, -9, 0 if self._failing else None}.issuperset(codes), "a process failed"
        return all(code == 0 for code in codes)

    def _disturb(self, acknowledged: int) -> None:
        if self._chance.random() < 0.05:
            killed = self._running.pop(self._chance.choice(list(self._running)))
            killed.kill()
            killed.wait()
            self._begin()
        if self._failing and acknowledged > 10 and self._chance.random() < 0.5:
            self._disk.fail(writes=self._chance.choice([0, 1, 3]), flushes=self._chance.choice([0, 1]))

    def _end(self) -> None:
        for process in self._running.values():
            if self._chance.random() < 0.5:
                process.kill()
            elif process.stdin is not None:
                process.stdin.close()
        for process in self._running.values():
            assert process.wait(60) in {0, -9}, "a process failed"
