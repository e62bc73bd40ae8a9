"""Writes the golden store: the same bytes every time. Run it only when a new format gets files of its own.

python -m tests.golden.make tests/golden/format-1
"""

from __future__ import annotations

import hashlib
import sys

from walnut.log.file_log import FileLog
from walnut.model.event import Content, Draft
from walnut.ports import Batch
from walnut.system import System

START = 1_767_225_600_000_000_000


class FixedSystem(System):
    """Chance, clock and boot of a fixed kind."""

    def __init__(self) -> None:
        self._drawn = 0
        self._now = START

    def random(self, length: int) -> bytes:
        self._drawn += 1
        drawn = hashlib.shake_256(self._drawn.to_bytes(8, "big")).digest(length)
        # The third batch: when the files were made, a draft that was given twice had one salt, that of its last place.
        return drawn[32:] + drawn[16:] if length == 48 else drawn

    def now(self) -> int:
        self._now += 1_000_000
        return self._now

    def boot_id(self) -> bytes:
        return b"golden boot id 1"


def events() -> list[Batch]:
    """What the golden store holds."""
    first = b"\x01" + bytes(range(16))
    plain = Draft(
        kind="memory.write",
        op="INSERT",
        touches=(first,),
        kind_if_exists="memory.update",
        content=Content(
            scope="user:alice", actor="agent:teddy", payload={"text": "Prefers CSV exports", "key": "export"}
        ),
    )
    full = Draft(
        kind="memory.write",
        op="INSERT",
        touches=(first,),
        kind_if_exists="memory.update",
        idem=bytes(range(16, 32)),
        content=Content(
            scope="user:alice",
            actor="agent:teddy",
            source={"channel": "telegram", "conversation_id": "c1", "turn": 7},
            subject="person:alice",
            payload={"text": "Prefers Parquet 🪵", "key": "export", "tags": ["preference"], "confidence": 0.8},
            caused_by=(1,),
            idempotency_key="telegram:m7",
            request_hash=bytes(16),
            occurred_at=START,
            valid_from=START,
            valid_until=START + 10**18,
        ),
    )
    gone = Draft(kind="memory.delete", op="DELETE", touches=(first,), content=Content(scope="user:alice", actor="a"))
    return [
        Batch(transactions=((plain,),)),
        Batch(transactions=((full,), (gone,))),
        Batch(transactions=((plain, gone), (plain,))),
    ]


def make(folder: str) -> None:
    """Write it."""
    with FileLog.open(FixedSystem(), folder) as log:
        for batch in events():
            log.append(batch)


if __name__ == "__main__":
    make(sys.argv[1])
