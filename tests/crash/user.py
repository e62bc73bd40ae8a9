"""A program that uses a store as programs do.

`python -m tests.crash.user folder report position name seed threads disk`

Its threads remember, alone and in batches, recall, make checkpoints; now and then it closes and opens the store
again; when its standard input ends it closes and ends. Each ack of what is on disk is a line of the report, with the
number that the file `position` held right after it (see `disk`). What it does follows from its name and seed. When
`disk` is `failing` it takes any of Walnut's errors for an answer and opens the store again, some ten times.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
import threading
from typing import NamedTuple

import walnut
from tests.crash.stores import small_segments
from walnut import Memory, StoreClosed
from walnut.model.results import Ack

#: Small enough that a run of some hundred events begins many segments.
SEGMENTS = 16 * 1024, 256 * 1024


class Told(NamedTuple):
    """An ack as it was reported: any power cut at `position` or later must leave it there."""

    position: int
    lsn: int
    event_id: str
    tag: str


def text(tag: str) -> str:
    """The text that goes with a tag: always the same."""
    chance = random.Random(tag)
    size = chance.choice([10, 10, 40, 40, 200, 600, 3000, 9000])
    return f"{tag} {chance.randbytes(size).hex()}"


def keyed(tag: str) -> str | None:
    """The idempotency key of a single one, if it has one."""
    return f"key {tag}" if random.Random(f"key {tag}").random() < 0.7 else None


def read_report(data: bytes) -> list[Told]:
    """What a program reported; its last line may be half written."""
    lines = [line.split() for line in data.decode().splitlines(keepends=True) if line.endswith("\n")]
    return [Told(int(position), int(lsn), event_id, tag) for position, lsn, event_id, tag in lines]


class User:
    """One process."""

    def __init__(
        self, folder: str, report: int, position: mmap.mmap, *, name: str, seed: int, threads: int, patience: int
    ) -> None:
        self._folder, self._report, self._position = folder, report, position
        self._name, self._seed, self._patience = name, seed, patience
        self._numbers = [0] * threads
        self._ended = threading.Event()
        self._strange: list[BaseException] = []

    def run(self) -> None:
        """Live until told to end, opening the store again and again."""
        threading.Thread(target=self._listen, daemon=True).start()
        while not self._ended.is_set():
            try:
                self._use()
            except walnut.WalnutError:
                if not self._patience:
                    raise
                self._patience -= 1
                if not self._patience:
                    return

    def _use(self) -> None:
        with walnut.open(self._folder, scope="global", busy_timeout=60, checkpoint_every=100) as m:
            args = [(m, thread) for thread in range(len(self._numbers))]
            threads = [threading.Thread(target=self._live, args=each) for each in args]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self._strange:
            raise self._strange.pop()

    def _listen(self) -> None:
        sys.stdin.read()
        self._ended.set()

    def _live(self, m: Memory, thread: int) -> None:
        chance = random.Random(f"{self._seed} {self._name} {thread} {self._numbers[thread]}")
        try:
            for _ in range(chance.randint(5, 60)):
                if self._ended.is_set():
                    return
                self._act(m, thread, chance)
        except StoreClosed:
            return
        except BaseException as error:
            self._strange.append(error)
            if not (self._patience and isinstance(error, walnut.WalnutError)):
                raise

    def _act(self, m: Memory, thread: int, chance: random.Random) -> None:
        number, dice = self._numbers[thread], chance.random()
        self._numbers[thread] += 1
        name = f"{self._name}.t{thread}.{number}"
        if dice < 0.65:
            tag = f"{name}.0.1"
            self._tell([m.remember(text(tag), idempotency_key=keyed(tag))], [tag])
        elif dice < 0.75:
            m.remember(text(f"{name}.0.1"), durability="process")
        elif dice < 0.93:
            count = chance.choice([2, 3, 8])
            tags = [f"{name}.{place}.{count}" for place in range(count)]
            self._tell(m.remember_many([{"text": text(tag)} for tag in tags]), tags)
        elif dice < 0.98:
            m.recall(name)
        else:
            m.upkeep.checkpoint()

    def _tell(self, acks: list[Ack], tags: list[str]) -> None:
        position = int.from_bytes(self._position[:8], "little")
        lines = [f"{position} {ack.lsn} {ack.event_id} {tag}\n" for ack, tag in zip(acks, tags, strict=True)]
        os.write(self._report, "".join(lines).encode())


def main() -> None:
    folder, path, counter, name, seed, threads, disk = sys.argv[1:]
    patience = 10 if disk == "failing" else 0
    report = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with open(counter, "rb") as file, small_segments(*SEGMENTS):
        position = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        user = User(folder, report, position, name=name, seed=int(seed), threads=int(threads), patience=patience)
        user.run()


if __name__ == "__main__":
    main()
