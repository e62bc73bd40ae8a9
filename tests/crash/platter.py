"""What a disk may hold when the power goes: images made from the tape of `disk`, cut anywhere.

Whatever was written before the last flush is there. Of the writes after it any may be missing, each 512-byte
sector by itself and in any version that it had since: that is what drives with a volatile cache promise.
"""

from __future__ import annotations

import random
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from tests.crash.disk import RECORD

SECTOR = 512


class Write(NamedTuple):
    """One write; no data is a flush."""

    offset: int
    data: bytes


class Fate(Enum):
    """What becomes of the writes that no flush followed."""

    NONE = "none of them"
    ALL = "all of them"
    SOME = "some of them"
    FIRST = "the first of them"
    LAST = "the last of them"
    BUT_ONE = "all but one"
    ONE = "one of them"
    SECTORS = "sectors of them"


class Tape:
    """What a disk was asked for, from `base` on."""

    def __init__(self, base: bytes, path: Path) -> None:
        self._base = base
        self.writes = list(_records(path.read_bytes()))
        self._flushed = bytearray(base)
        self._upto = 0

    def __len__(self) -> int:
        return len(self.writes)

    def image(self, cut: int, fate: Fate, chance: random.Random) -> bytearray:
        """The disk after a power cut right before the write number `cut`. Cheap when cuts ascend."""
        flush = max((at for at in range(cut) if not self.writes[at].data), default=0)
        if flush < self._upto:
            self._flushed, self._upto = bytearray(self._base), 0
        for write in self.writes[self._upto : flush]:
            _apply(self._flushed, write)
        self._upto = flush
        image = bytearray(self._flushed)
        for write in chosen([write for write in self.writes[flush:cut] if write.data], fate, chance):
            _apply(image, write)
        return image

    def unflushed(self, cut: int) -> int:
        """How many writes are at stake there."""
        flush = max((at for at in range(cut) if not self.writes[at].data), default=0)
        return sum(bool(write.data) for write in self.writes[flush:cut])


def _records(data: bytes) -> list[Write]:
    found, at = [], 0
    while at + RECORD.size <= len(data):
        offset, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        found.append(Write(offset, data[at : at + length]))
        at += length
    return found


def _apply(image: bytearray, write: Write) -> None:
    image[write.offset : write.offset + len(write.data)] = write.data


def chosen(writes: list[Write], fate: Fate, chance: random.Random) -> list[Write]:
    """Those of `writes` that reached the disk, or the sectors of them."""
    if not writes or fate is Fate.ALL:
        return writes
    place = chance.randrange(len(writes))
    match fate:
        case Fate.NONE:
            return []
        case Fate.SOME:
            return [write for write in writes if chance.random() < 0.5]
        case Fate.FIRST:
            return writes[:place]
        case Fate.LAST:
            return writes[place:]
        case Fate.BUT_ONE:
            return writes[:place] + writes[place + 1 :]
        case Fate.ONE:
            return [writes[place]]
        case Fate.SECTORS:
            share = chance.choice([0.1, 0.5, 0.9])
            return [each for write in writes for each in _sectors(write) if chance.random() < share]


def _sectors(write: Write) -> list[Write]:
    """A sector whose later version is missing keeps the earlier one: each is stored, or not, by itself."""
    return [Write(write.offset + at, write.data[at : at + SECTOR]) for at in range(0, len(write.data), SECTOR)]
