"""`python -m bench.finders NAME TASK FOLDER`: let one store take in all turns and answer all questions; a line of JSON.

Runs in the environment of that store. Times of CPU are those of the whole process, threads included.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.finders.task import Finder, Task

K = 10

#: Name -> module, class, and what it is made with.
FINDERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "walnut": ("walnut", "Walnut", ("hybrid",)),
    "walnut-keyword": ("walnut", "Walnut", ("keyword",)),
    "walnut-vector": ("walnut", "Walnut", ("vector",)),
    "walnut-encoder": ("walnut", "Walnut", ("hybrid", "encoder")),
    "fts5": ("fts", "FullText", ()),
    "chroma": ("chroma", "Chroma", ("static",)),
    "chroma-encoder": ("chroma", "Chroma", ("encoder",)),
    "mem0": ("mem0ai", "Mem0", ("static",)),
}


def main() -> None:
    """Take in, ask, measure the files, print."""
    module, name, settings = FINDERS[sys.argv[1]]
    kind: Callable[..., Finder] = getattr(importlib.import_module(f"bench.finders.{module}"), name)
    task = Task.load(Path(sys.argv[2]))
    folder = Path(sys.argv[3])
    finder = kind(folder, *settings)
    wall, cpu = time.perf_counter(), time.process_time()
    finder.add(task.turns)
    ingested = {"ingest_s": time.perf_counter() - wall, "ingest_cpu_s": time.process_time() - cpu}
    finder.find(*task.questions[0], K)  # loads what a store loads once
    found, query_ms = [], []
    for scope, question in task.questions:
        cpu = time.process_time()
        found.append(finder.find(scope, question, K))
        query_ms.append((time.process_time() - cpu) * 1e3)
    finder.close()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    embedded = getattr(getattr(finder, "embedder", None), "cached_cpu_s", 0.0)
    ingested["ingest_cpu_s"] += embedded
    ingested["ingest_s"] += embedded
    print(json.dumps({**ingested, "bytes": size, "query_cpu_ms": query_ms, "found": found}), flush=True)


if __name__ == "__main__":
    main()
