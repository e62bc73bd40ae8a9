"""A process that is killed at the n-th touch of the disk: `python -m tests.crash.dier folder what touch half report`.

`touch` is a number, or a name and a number (`write-1`: the first write).
`what` is what it does from the moment that touches are counted: `append`, `roll`, `open` (with an append) or
`close`. It reports each ack, and at its end how many touches there were.
"""

from __future__ import annotations

import os
import sys

from tests.crash.faults import DiesAt
from tests.crash.stores import Ack, acks, single, small_segments
from walnut.log.file_log import FileLog


def main(folder: str, what: str, touch: str, *, half: bool, report: int) -> None:
    def tell(found: list[Ack]) -> None:
        lines = [f"{ack.lsn} {ack.event_id} {ack.tag}\n" for ack in found]
        os.write(report, "".join(lines).encode())

    def append(name: str, size: int) -> None:
        batch = single(f"{what}-{touch}-{half}-{name}.0.1", size, key=f"key {what} {touch} {half} {name}")
        tell(acks(batch, log.append(batch)))

    name, _, number = touch.rpartition("-")
    system = DiesAt(int(number), half=half, name=name)
    if what == "open":
        system.arm()
    log = FileLog.open(system, folder, busy_timeout=20)
    if what != "open":
        append("before", 100)
        system.arm()
    if what == "roll":
        append("roll", 200_000)  # more than a small segment takes
    elif what != "close":
        append("append", 9000)
    if what == "close":
        log.close()
    os.write(report, f"done {system.count}\n".encode())


if __name__ == "__main__":
    with small_segments():
        main(sys.argv[1], sys.argv[2], sys.argv[3], half=sys.argv[4] == "half", report=int(sys.argv[5]))
    os._exit(0)
