"""A program whose system calls are refused from outside: `python -m tests.crash.refused folder`.

It does forty things with a store, tells each ack and each error of Walnut's on descriptor 9, opens the store again
when it must (and once when it need not), and ends with an error only if it met one that is not Walnut's.
"""

from __future__ import annotations

import os
import sys

import walnut
from tests.crash.stores import small_segments
from tests.crash.user import SEGMENTS, keyed, text
from walnut import DurabilityUnknown, Memory, WalnutError
from walnut.model.results import Ack

REPORT = 9
STEPS, REOPENED_AT = 40, 25


def tell(line: str) -> None:
    os.write(REPORT, f"{line}\n".encode())


def told(acks: list[Ack], tags: list[str]) -> None:
    tell("\n".join(f"ack 0 {ack.lsn} {ack.event_id} {tag}" for ack, tag in zip(acks, tags, strict=True)))


def step(m: Memory, number: int) -> None:
    """The n-th thing it does."""
    tag = f"refused.t0.{number}.0.1"
    match number % 8:
        case 2:
            tags = [f"refused.t0.{number}.{place}.3" for place in range(3)]
            told(m.remember_many([{"text": text(each)} for each in tags]), tags)
        case 4:
            m.remember(text(tag), durability="process")
        case 6:
            m.recall("refused")
        case 7:
            m.upkeep.checkpoint()
        case _:
            told([m.remember(text(tag), idempotency_key=keyed(tag))], [tag])


class Program:
    """Where it is."""

    def __init__(self, folder: str) -> None:
        self._folder, self.number = folder, 0

    def use(self) -> None:
        """One opening of the store."""
        with walnut.open(self._folder, scope="global", busy_timeout=20) as m:
            tell("opened")
            while self.number < STEPS:
                self.number += 1
                try:
                    step(m, self.number)
                except DurabilityUnknown:
                    tell("error durability_unknown")
                    return
                except WalnutError as error:
                    tell(f"error {error.code}")
                if self.number == REOPENED_AT:
                    return


def main(folder: str) -> None:
    program = Program(folder)
    failed = 0
    with small_segments(*SEGMENTS):
        while program.number < STEPS and failed < STEPS:
            try:
                program.use()
            except WalnutError as error:  # while it was opened, or closed after an error
                tell(f"error {error.code}")
                failed += 1


if __name__ == "__main__":
    main(sys.argv[1])
