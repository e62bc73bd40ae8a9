"""A process that writes: opens the store, says so, waits for the word, and remembers for so many seconds."""

from __future__ import annotations

import json
import sys
import time

import walnut
from bench.ground import timed
from bench.texts import endless


def main() -> None:
    """`python -m bench.worker <folder> <seconds>`."""
    notes = endless()
    with walnut.open(sys.argv[1]) as memory:
        memory.remember(next(notes))
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.monotonic()
        rate = timed(lambda: memory.remember(next(notes)), float(sys.argv[2]))
        print(json.dumps({"count": rate.count, "start": start, "end": start + rate.wall, "cpu": rate.cpu}), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
