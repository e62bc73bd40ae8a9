"""A disk that is full: small file systems, real ones, filled by appends until they refuse, then given room again.

`python -m tests.crash.full folder ballast left seed` is the program that fills one: with a ballast that leaves so many
bytes it writes until nothing more goes in, looks at what is there, removes the ballast, and goes on in the same
handle. It tells each ack and each refusal. (Blocks are as large as pages: where they are smaller, SQLite's map of
its shared memory has holes, and a full disk kills whoever reads a view there.)
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import walnut
from tests.crash import mounts
from tests.crash.outage import Lost, survive
from tests.crash.stores import small_segments
from tests.crash.tally import Tally
from tests.crash.user import SEGMENTS, Told, keyed, text
from walnut import Memory, StorageFailed, StorageFull, WalnutError
from walnut.model.results import Ack

MEGABYTES = 14
REFUSALS = 12


class Program:
    """What fills the disk."""

    def __init__(self, folder: str, ballast: str, left: int, seed: int) -> None:
        self._folder, self._ballast, self._left = folder, ballast, left
        self._chance = random.Random(seed)
        self._number = 0

    def run(self) -> None:
        """Fill it, see that all is there, make room, go on."""
        self._fill_up(self._left)
        with self._open() as m:
            self._fill_up(self._left)
            refused = 0
            while refused < REFUSALS:
                refused += not self._write(m)
            assert len(list(m.log.read())) == m.log.durable_lsn
            self._recall(m)
            self._make_room()
            for _ in range(30):
                assert self._write(m), f"refused although there are {_room(self._folder)} bytes left"
            assert self._recall(m), "no recall although there is room"
            m.upkeep.checkpoint()
            assert all(check.ok for check in m.upkeep.verify_views())

    def _open(self) -> Memory:
        try:
            return walnut.open(self._folder, scope="global", busy_timeout=20, checkpoint_every=50)
        except StorageFull:  # not even an empty store goes in
            self._tell("refused at opening")
            self._make_room()
        return self._open()

    def _fill_up(self, left: int) -> None:
        room = _room(os.path.dirname(self._folder)) - left
        if room > 0 and not os.path.exists(self._ballast):
            Path(self._ballast).write_bytes(bytes(room))

    def _make_room(self) -> None:
        if os.path.exists(self._ballast):
            os.unlink(self._ballast)

    def _write(self, m: Memory) -> bool:
        """One thing; whether there was room for it."""
        self._number += 1
        name = f"full.t0.{self._number}"
        try:
            dice = self._chance.random()
            if dice < 0.7:
                tag = f"{name}.0.1"
                self._ack([m.remember(text(tag), idempotency_key=keyed(tag))], [tag])
            elif dice < 0.9:
                tags = [f"{name}.{place}.5" for place in range(5)]
                self._ack(m.remember_many([{"text": text(tag)} for tag in tags]), tags)
            elif dice < 0.95:
                self._recall(m)
            else:
                return self._checkpoint(m)
        except StorageFull:
            self._tell("refused")
            return False
        return True

    def _checkpoint(self, m: Memory) -> bool:
        """Views need room, too; SQLite does not always tell that it was that."""
        try:
            m.upkeep.checkpoint()
        except (StorageFull, StorageFailed) as error:
            self._tell(f"no checkpoint {error.code}")
            return False
        return True

    def _recall(self, m: Memory) -> bool:
        """Reading needs the views, and those need room: the answer is whole, or a refusal."""
        try:
            found = m.list(limit=1000).items
        except WalnutError as error:
            self._tell(f"unread {error.code}")
            return False
        there = [event.lsn for event in m.log.read() if event.kind == "memory.write"]
        assert [each.lsn for each in found] == there[::-1][:1000], "an answer that is not whole"
        return True

    def _ack(self, acks: list[Ack], tags: list[str]) -> None:
        for ack, tag in zip(acks, tags, strict=True):
            self._tell(f"ack 0 {ack.lsn} {ack.event_id} {tag}")

    def _tell(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def run(*, rounds: int) -> Tally:
    """So many disks filled, on ext4 and in memory in turn."""
    tally = Tally(fault="full disk", skipped=mounts.unable(), counts={}, problems=[])
    begun = time.monotonic()
    while tally.tried < rounds and not tally.skipped:
        with mounts.quick_folder() as folder:
            _one(folder, tally, seed=random.SystemRandom().getrandbits(32))
    tally.seconds = time.monotonic() - begun
    return tally


def _room(place: str | Path) -> int:
    return os.statvfs(place).f_bavail * os.statvfs(place).f_frsize


def _small(folder: Path, kind: str) -> AbstractContextManager[Path]:
    if kind == "tmpfs":
        return mounts.small_memory(folder / "mount", megabytes=MEGABYTES)
    return mounts.mounted(mounts.make(kind, folder / "image", megabytes=MEGABYTES), folder / "mount", kind=kind)


def _one(folder: Path, tally: Tally, *, seed: int) -> None:
    chance = random.Random(seed)
    kind = ("ext4", "tmpfs")[tally.tried % 2]
    name = f"seed {seed}, {kind}"
    with _small(folder, kind) as point:
        ballast, store = point / "ballast", point / "store"
        left = chance.choice([chance.randint(0, 64 * 1024), chance.randint(0, MEGABYTES * 1024 * 1024 // 4)])
        given = map(str, (store, ballast, left, seed))
        command = [sys.executable, "-B", "-X", "faulthandler", "-m", "tests.crash.full", *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        lines = [line.split() for line in done.stdout.splitlines()]
        known = [Told(0, int(line[2]), line[3], line[4]) for line in lines if line[0] == "ack"]
        tally.tried += 1
        tally.acknowledged += len(known)
        tally.count(f"filled {kind}")
        for line in lines:
            if line[0] != "ack":
                tally.count(" ".join(line))
        if done.returncode:
            tally.silent += "not whole" in done.stderr
            tally.problems.append(
                f"{name}, {left} bytes left: the program failed ({done.returncode}): {done.stderr[-1500:]}"
            )
        try:
            survive(store, known, chance, boot=1, here=lambda: 0)
        except Lost as error:
            tally.lost += 1
            tally.problems.append(f"{name}: lost: {error}")
        except (AssertionError, WalnutError) as error:
            tally.silent += isinstance(error, AssertionError)
            tally.problems.append(f"{name}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    with small_segments(*SEGMENTS):
        Program(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])).run()
