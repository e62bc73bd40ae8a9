"""`python -m bench.growth MEMORIES SCOPES`: a store of that size filled and searched; one line of JSON.

Whoever fills ends before another process searches, so that opening is cold and each has its own peak of memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median, quantiles

import msgspec

import walnut
from bench.ground import ROOT
from bench.texts import queries, texts
from walnut.model.requests import Mode

#: Memories and the scopes they are spread over; `--full` adds those of a million.
SIZES = ((10_000, 1), (100_000, 1), (100_000, 10_000))
FULL = (*SIZES, (1_000_000, 1), (1_000_000, 10_000))
_BATCH, _SESSION, _ASKED = 500, 20, 200
LIMIT = 7200


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Latency of recall, k = 10, hybrid and by words; from opening to the first answer; peak memory."""

    p50_ms: float
    p95_ms: float
    cpu_ms: float
    keyword_p50_ms: float
    keyword_p95_ms: float
    open_ms: float
    peak_mb: float


class Grown(Asked, frozen=True, kw_only=True):
    """One size: memories a second written, and applied from the log to every view; peak memory of that, files."""

    memories: int
    scopes: int
    written: float
    applied: float
    applied_cpu_us: float
    applying_mb: float
    disk_mb: float


def measured(*, full: bool = False) -> Iterator[Grown]:
    """Every size, in a process of its own."""
    for memories, scopes in FULL if full else SIZES:
        words = [sys.executable, "-m", "bench.growth", str(memories), str(scopes)]
        done = subprocess.run(words, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True, timeout=LIMIT)
        if done.returncode:
            print(f"growth, {memories:,} memories: failed", file=sys.stderr)
            continue
        print(f"growth, {memories:,} memories in {scopes:,} scopes: measured", file=sys.stderr)
        yield msgspec.json.decode(done.stdout, type=Grown)


def grown(folder: Path, memories: int, scopes: int) -> Grown:
    """Fill scope by scope in batches, apply, close; another process opens it and searches."""
    start = time.perf_counter()
    with walnut.open(folder, scope="global", checkpoint_every=0) as root:
        last = _fill(root, memories, scopes)
        written = time.perf_counter()
        while (
            root.log.durable_lsn < last
        ):  # what is not on disk yet is not applied, and syncs of that level take their time
            time.sleep(0.01)
        durable, used = time.perf_counter(), time.process_time()
        root.wait(last, timeout=LIMIT)
        applied, used = time.perf_counter(), time.process_time() - used
    words = [sys.executable, "-m", "bench.growth", "--ask", str(folder), str(scopes)]
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=LIMIT)
    return Grown(
        **msgspec.to_builtins(msgspec.json.decode(done.stdout, type=Asked)),
        memories=memories,
        scopes=scopes,
        written=memories / (written - start),
        applied=memories / (applied - durable),
        applied_cpu_us=used / memories * 1e6,
        applying_mb=_peak_mb(),
        disk_mb=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
    )


def asked(folder: Path, scopes: int) -> Asked:
    """Open, and search scopes in turn."""
    questions = queries(texts(4_096), _ASKED)
    start = time.perf_counter()
    with walnut.open(folder, scope="global", create=False, checkpoint_every=0) as root:
        handles = [root.bind(scope=f"user:{number * scopes // _ASKED}") for number in range(_ASKED)]
        handles[0].recall(questions[0])
        open_ms, used = (time.perf_counter() - start) * 1e3, time.process_time()
        hybrid = _times(handles, questions, "hybrid")
        used = time.process_time() - used
        keyword = _times(handles, questions, "keyword")
    return Asked(
        p50_ms=median(hybrid),
        p95_ms=quantiles(hybrid, n=20)[-1],
        cpu_ms=used / _ASKED * 1e3,
        keyword_p50_ms=median(keyword),
        keyword_p95_ms=quantiles(keyword, n=20)[-1],
        open_ms=open_ms,
        peak_mb=_peak_mb(),
    )


def _times(handles: Sequence[walnut.Memory], questions: Sequence[str], mode: Mode) -> list[float]:
    """Milliseconds of each."""
    times = []
    for handle, question in zip(handles, questions, strict=True):
        start = time.perf_counter()
        handle.recall(question, mode=mode)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _fill(root: walnut.Memory, memories: int, scopes: int) -> int:
    """Write; returns the last LSN, which is what to wait for: nothing of this need be durable yet."""
    notes, each, last = _notes(), memories // scopes, 0
    for number in range(scopes):
        handle = root.bind(scope=f"user:{number}")
        for first in range(0, each, _BATCH):
            places = range(first, min(first + _BATCH, each))
            items = [{"text": next(notes), "source": {"session": str(place // _SESSION)}} for place in places]
            last = handle.remember_many(items, durability="process")[-1].lsn
    return last


def _notes() -> Iterator[str]:
    """Never the same twice: what repeats itself is ranked last."""
    for seed in count(7):
        yield from texts(4_096, seed=seed)


if __name__ == "__main__":
    if sys.argv[1] == "--ask":
        found: Asked = asked(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        (ROOT / ".cache").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="growth-", dir=ROOT / ".cache") as name:
            found = grown(Path(name), int(sys.argv[1]), int(sys.argv[2]))
    print(msgspec.json.encode(found).decode())
