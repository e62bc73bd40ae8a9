"""The raw limit: what the disk gives a few lines of C, or of Python where there is no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from array import array
from itertools import count
from pathlib import Path

from bench.figure import Rate
from walnut.system import System

_SOURCE = Path(__file__).with_name("limit.c")
_PREPARED = 8 << 20


class Limit:
    """Writes and syncs bytes into a prepared file of `folder`; `language` is what it is written in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = _compiled(folder)
        self.language = "C" if self._program else "Python (no gcc here)"

    def run(self, size: int, seconds: float, *, threads: int = 1, latencies: list[int] | None = None) -> Rate:
        """Write `size` bytes and sync, again and again, from so many threads; `latencies` gets nanoseconds (in C)."""
        file, times = self._folder / "limit.data", self._folder / "limit.times"
        try:
            if self._program is None:
                return _in_python(file, size, seconds, threads)
            words = [str(self._program), str(file), str(size), str(seconds), str(threads)]
            words += [str(times)] if latencies is not None else []
            run = subprocess.run(words, check=True, capture_output=True, text=True, timeout=seconds + 120)
            done = run.stdout.split()
            if latencies is not None:
                latencies += array("q", times.read_bytes())
            return Rate(int(done[0]), float(done[1]), float(done[2]))
        finally:
            file.unlink(missing_ok=True)
            times.unlink(missing_ok=True)


def _compiled(folder: Path) -> Path | None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "limit"
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(_SOURCE)], check=True)
    return program


def _in_python(file: Path, size: int, seconds: float, threads: int) -> Rate:
    system = System()
    fd = system.open_file(str(file), create=True)
    try:
        prepared = max(size, _PREPARED)
        os.pwrite(fd, bytes(prepared), 0)
        os.fsync(fd)
        data, places, turn = b"w" * size, prepared // size, count()
        done: list[int] = []
        start, cpu = time.perf_counter(), time.process_time()

        def work() -> None:
            mine = 0
            while not mine or time.perf_counter() < start + seconds:
                os.pwrite(fd, data, next(turn) % places * size)
                system.datasync(fd)
                mine += 1
            done.append(mine)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return Rate(sum(done), time.perf_counter() - start, time.process_time() - cpu)
    finally:
        os.close(fd)
