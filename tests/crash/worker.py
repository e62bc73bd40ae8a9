"""A process that writes until it is killed: `python -m tests.crash.worker folder report name seed threads`."""

from __future__ import annotations

import os
import random
import sys
import threading

from tests.crash.stores import acks, draft, small_segments
from walnut.log.file_log import FileLog
from walnut.ports import Batch
from walnut.system import System


def operation(name: str, seed: int, number: int) -> Batch:
    """The n-th thing that a thread writes: always the same, so that it can be sent again after the crash."""
    chance = random.Random(f"{seed} {name} {number}")
    count = chance.choice([1, 1, 1, 1, 2, 5, 8])
    size = chance.choice([40, 40, 200, 600, 5000, 20000])
    keyed = chance.random() < 0.6
    tags = [f"{name}.{number}.{place}.{count}" for place in range(count)]
    return Batch(
        transactions=tuple((draft(tag, size, key=f"key {tag}" if keyed else None),) for tag in tags),
        durability=chance.choice(["disk", "disk", "disk", "process"]),
    )


def work(log: FileLog, name: str, seed: int, report: int) -> None:
    """Write, and report after each ack."""
    number = 0
    while True:
        batch = operation(name, seed, number)
        appended = log.append(batch)
        lines = [f"{ack.lsn} {ack.event_id} {ack.tag}\n" for ack in acks(batch, appended)]
        os.write(report, "".join(lines).encode())
        number += 1


def main() -> None:
    folder, path, name, seed, threads = sys.argv[1:]
    report = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with small_segments():
        log = FileLog.open(System(), folder, busy_timeout=60)
        for number in range(int(threads)):
            args = (log, f"{name}.t{number}", int(seed), report)
            threading.Thread(target=work, args=args, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
