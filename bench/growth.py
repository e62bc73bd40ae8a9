"""`python -m bench.growth MEMORIES SCOPES`: a store of that size filled and searched; one line of JSON."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import msgspec

import walnut
from bench.ground import ROOT
from bench.texts import endless, queries, texts

#: Memories and the scopes they are spread over; `--full` adds those of a million.
SIZES = ((10_000, 1), (100_000, 1), (100_000, 10_000))
FULL = (*SIZES, (1_000_000, 1), (1_000_000, 10_000))
_BATCH, _SESSION, _ASKED = 500, 20, 200
LIMIT = 7200


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """One size: latency of hybrid recall, k = 10; memories a second from the call to every view; peak memory, files."""

    memories: int
    scopes: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    applied: float
    open_ms: float
    peak_mb: float
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
    """Fill scope by scope in batches, close, open, search scopes in turn."""
    start = time.perf_counter()
    with walnut.open(folder, scope="global", checkpoint_every=0) as root:
        _fill(root, memories, scopes)
        root.wait(timeout=LIMIT)
        applied = memories / (time.perf_counter() - start)
    questions = queries(texts(4_096), _ASKED)
    start = time.perf_counter()
    with walnut.open(folder, scope="global", create=False, checkpoint_every=0) as root:
        handles = [root.bind(scope=f"user:{number * scopes // _ASKED}") for number in range(_ASKED)]
        handles[0].recall(questions[0])
        open_ms = (time.perf_counter() - start) * 1e3
        times, used = [], time.process_time()
        for handle, question in zip(handles, questions, strict=True):
            start = time.perf_counter()
            handle.recall(question)
            times.append((time.perf_counter() - start) * 1e3)
        cpu_ms = (time.process_time() - used) / _ASKED * 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Grown(
        memories=memories,
        scopes=scopes,
        p50_ms=median(times),
        p95_ms=quantiles(times, n=20)[-1],
        cpu_ms=cpu_ms,
        applied=applied,
        open_ms=open_ms,
        peak_mb=peak / 1e6,
        disk_mb=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
    )


def _fill(root: walnut.Memory, memories: int, scopes: int) -> None:
    notes, each = endless(), memories // scopes
    for number in range(scopes):
        handle = root.bind(scope=f"user:{number}")
        for first in range(0, each, _BATCH):
            places = range(first, min(first + _BATCH, each))
            items = [{"text": next(notes), "source": {"session": str(place // _SESSION)}} for place in places]
            handle.remember_many(items, durability="process")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="growth-", dir=ROOT / ".cache") as name:
        print(msgspec.json.encode(grown(Path(name), int(sys.argv[1]), int(sys.argv[2]))).decode())
