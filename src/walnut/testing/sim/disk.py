"""The simulated disk: files as they are in the page cache, and what of them a power cut leaves."""

from __future__ import annotations

import random
from enum import Enum

import msgspec

SECTOR = 512
PAGE = 4096


class Fate(Enum):
    """What becomes of the sectors of a file that no sync has covered."""

    OLD = "old"
    NEW = "new"
    MIXED = "mixed"
    VERSIONS = "versions"
    ONE_OLD = "one-old"
    ONE_NEW = "one-new"


_FATES = tuple(Fate)


class Write(msgspec.Struct):
    """Bytes that may not be on the disk, the `number`-th change of their file.

    `lost` once a sync that covered them has failed.
    """

    offset: int
    data: bytes
    number: int = 0
    lost: bool = False

    @property
    def end(self) -> int:
        """The offset behind them."""
        return self.offset + len(self.data)


class File:
    """A file: `data` as processes see it, `sure` as the disk surely holds it, and the writes between the two.

    `sizes`: the sizes between the two, each with the number of the change that made it. `failures`: syncs that failed.
    """

    __slots__ = ("changes", "data", "failures", "holder", "links", "number", "sharers", "sizes", "sure", "unsure")

    def __init__(self, number: int) -> None:
        self.number = number
        self.failures = self.changes = 0
        self.data = bytearray()
        self.sure = bytearray()
        self.unsure: list[Write] = []
        self.sizes: list[tuple[int, int]] = []
        self.links = 0
        self.holder: object = None  # of its flock: the open file that has it alone
        self.sharers: list[object] = []

    def copy(self) -> File:
        """Another one, with nobody at it."""
        other = File(self.number)
        other.data, other.sure = self.data[:], self.sure[:]
        other.unsure = [Write(each.offset, each.data, each.number, each.lost) for each in self.unsure]
        other.sizes, other.links, other.changes = self.sizes[:], self.links, self.changes
        return other

    def write(self, data: bytes, offset: int) -> None:
        """Into the page cache."""
        end = offset + len(data)
        self.changes += 1
        if end > len(self.data):
            self.data.extend(bytes(end - len(self.data)))
            self.sizes.append((self.changes, end))
        self.data[offset:end] = data
        self.unsure.append(Write(offset, data, self.changes))

    def resize(self, length: int) -> None:
        """Grow with zeros, or cut."""
        self.changes += 1
        if length < len(self.data):
            del self.data[length:]
        else:
            self.data.extend(bytes(length - len(self.data)))
        self.sizes.append((self.changes, length))

    def sync(self, upto: int) -> None:
        """The changes up to this one are sure from now on, but for what a failed sync has given up."""
        for number, size in self.sizes:
            if number <= upto:
                self._resize_sure(size)
        self.sizes = [each for each in self.sizes if each[0] > upto]
        kept: list[Write] = []
        for write in self.unsure:
            if write.lost or write.number > upto:
                kept.append(write)
                continue
            self.sure[write.offset : write.end] = write.data[: max(0, len(self.sure) - write.offset)]
            if kept:
                kept = [piece for each in kept for piece in _outside(each, write)]
        self.unsure = kept

    def sync_failed(self) -> None:
        """All that waited is called clean, and nobody knows whether it is on the disk."""
        self.failures += 1
        for write in self.unsure:
            write.lost = True

    def evict(self, rng: random.Random) -> None:
        """Some pages that are clean leave the cache: what is read there is what the disk holds."""
        twin = self.copy()
        twin.cut(rng, None)
        twin.data.extend(bytes(max(0, len(self.data) - len(twin.data))))
        for page in sorted({at for each in self.unsure for at in range(each.offset // PAGE, -(-each.end // PAGE))}):
            if rng.random() < 0.5:
                start, stop = page * PAGE, min((page + 1) * PAGE, len(self.data))
                gone = Write(start, bytes(twin.data[start:stop]))
                self.data[start:stop] = gone.data
                self.sure.extend(bytes(max(0, stop - len(self.sure))))
                self.sure[start:stop] = gone.data
                self.unsure = [piece for each in self.unsure for piece in _outside(each, gone)]

    def _resize_sure(self, length: int) -> None:
        if length < len(self.sure):
            del self.sure[length:]
        else:
            self.sure.extend(bytes(length - len(self.sure)))

    def cut(self, rng: random.Random, fate: Fate | None) -> None:
        """Lose power: what is found afterwards is surely on the disk."""
        if self.unsure or self.sizes:
            fate = fate or rng.choice(_FATES)
            size = rng.choice((len(self.sure), *(size for _, size in self.sizes))) if self.sizes else len(self.sure)
            self._settle(fate, rng, room=max(size, len(self.sure), len(self.data)))
            self._resize_sure(size)
        self.data = self.sure[:]
        self.unsure, self.sizes = [], []
        self.holder, self.sharers = None, []

    def _settle(self, fate: Fate, rng: random.Random, *, room: int) -> None:
        """Choose a version of each sector."""
        self._resize_sure(room)
        touched: dict[int, int] = {}
        for write in self.unsure:
            for sector in range(write.offset // SECTOR, -(-write.end // SECTOR)):
                touched[sector] = touched.get(sector, 0) + 1
        odd = rng.choice(sorted(touched)) if touched else -1
        kept = {sector: _versions(count, fate, rng, odd=sector == odd) for sector, count in sorted(touched.items())}
        for write in self.unsure:
            for sector in range(write.offset // SECTOR, -(-write.end // SECTOR)):
                if kept[sector]:
                    kept[sector] -= 1
                    start, stop = max(write.offset, sector * SECTOR), min(write.end, (sector + 1) * SECTOR)
                    self.sure[start:stop] = write.data[start - write.offset : stop - write.offset]


def _versions(count: int, fate: Fate, rng: random.Random, *, odd: bool) -> int:
    """How many of the writes to a sector have reached the disk."""
    if fate is Fate.VERSIONS:
        return rng.randint(0, count)
    if fate is Fate.MIXED:
        return rng.choice((0, count))
    newest = fate is Fate.NEW or (fate is Fate.ONE_NEW and odd) or (fate is Fate.ONE_OLD and not odd)
    return count if newest else 0


def _outside(old: Write, new: Write) -> list[Write]:
    """What of a lost write no later one has replaced."""
    if new.end <= old.offset or old.end <= new.offset:
        return [old]
    before = Write(old.offset, old.data[: max(0, new.offset - old.offset)], old.number, lost=True)
    after = Write(new.end, old.data[max(0, new.end - old.offset) :], old.number, lost=True)
    return [each for each in (before, after) if each.data]
