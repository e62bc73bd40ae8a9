"""The agent of the demo: a process that remembers as fast as it can, reports each ack, and gets killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock, Thread
from typing import NamedTuple

import msgspec

import walnut
from walnut.model.event import Json
from walnut.model.results import Ack

SCOPE = "customer:acme"
ACTOR = "agent:teddy"
_WRITERS = 3


class Report(NamedTuple):
    """What the agent says about a write that was acknowledged."""

    lsn: int
    memory_id: str
    text: str


def facts() -> list[dict[str, object]]:
    """What the agent learns in a conversation. Times are valid times: when it was true, whenever it is recorded."""
    now = datetime.now(tz=UTC)
    source: dict[str, Json] = {"channel": "telegram", "conversation_id": "c1"}
    told = [
        ("csv", "Prefers CSV exports; PDF invoices cause delays", 20, "preference"),
        ("billing", "Invoices go to billing@acme.example", 20, "billing"),
        ("contact", "The contact at ACME is Ana", 20, "contact"),
        ("contact", "The contact at ACME is Boris", 3, "contact"),
    ]
    return [
        {
            "text": text,
            "key": key,
            "tags": [tag],
            "source": {**source, "message_id": f"m{number}"},
            "occurred_at": now - timedelta(days=days),
            "idempotency_key": f"telegram:m{number}",
        }
        for number, (key, text, days, tag) in enumerate(told, 1)
    ]


def main(store: str) -> None:
    """Remember the facts, then tickets without end."""
    lock, numbers = Lock(), count(1)
    with walnut.open(store, scope=SCOPE, actor=ACTOR) as memory:

        def tell(ack: Ack, text: str) -> None:
            line = msgspec.json.encode(Report(ack.lsn, ack.memory_id or "", text)) + b"\n"
            with lock:
                os.write(1, line)  # straight into the pipe: a killed process flushes nothing

        def tickets() -> Iterator[str]:
            while True:
                with lock:
                    number = next(numbers)
                yield f"Ticket {number}: order {1000 + number} was asked about and is on its way"

        def write() -> None:
            for text in tickets():
                tell(memory.remember(text, tags=["ticket"], source={"channel": "mail", "session": "tickets"}), text)

        for fact in facts():
            tell(memory.remember(**fact), str(fact["text"]))  # type: ignore[arg-type]
        threads = [Thread(target=write, daemon=True) for _ in range(_WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
