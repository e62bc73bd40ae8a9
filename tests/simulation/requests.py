"""Requests: what the simulated agents ask of the log, each telling from its name alone which bytes it stores."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import msgspec

from walnut.errors import VersionConflict
from walnut.model.event import INSERT, Content, Draft, Event
from walnut.model.requests import Durability
from walnut.ports import Batch, Condition

Expectation = Literal["none", "current", "stale", "matches"]

_FAR = 4_000_000_000 * 10**9


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One append. `sizes`: bytes of text of each event, by transaction; `memory`: which one all of them touch.

    `key`: an idempotency key, the same for all requests of this name; `other`: the same key with another content.
    `expects`: a condition on the memory, as the caller sees it when it asks. `times`: the transactions bring times of
    their own, as an import's do, so that each is a frame.
    """

    name: str
    sizes: tuple[tuple[int, ...], ...]
    memory: int = 0
    durability: Durability = "disk"
    key: str | None = None
    expects: Expectation = "none"
    times: bool = False

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(map(len, self.sizes))

    @property
    def touch(self) -> bytes:
        """Key of the memory."""
        return touch(self.memory)

    def drafts(self) -> tuple[tuple[Draft, ...], ...]:
        """The transactions."""
        return _drafts(self.name, self.sizes, self.memory, self.key, self.times)

    def tags(self) -> list[str]:
        """What names its events, in order."""
        return [tag(self.name, t, n) for t, sizes in enumerate(self.sizes) for n in range(len(sizes))]

    def batch(self, after: int) -> Batch:
        """What the log is asked; `after` is what the condition, if any, rests on."""
        conditions: tuple[Condition, ...] = ()
        if self.expects == "matches":
            conditions = (Condition(after=after, matches=self._matches, error=conflict),)
        elif self.expects != "none":
            conditions = (Condition(after=after, touches=frozenset({self.touch}), error=conflict),)
        return Batch(transactions=self.drafts(), conditions=conditions, durability=self.durability)

    def _matches(self, event: Event) -> bool:
        return self.touch in event.raw_touches


def tag(name: str, transaction: int, number: int) -> str:
    """The name of one event of a request."""
    return f"{name}/{transaction}.{number}"


def tag_of(event: Event) -> str | None:
    """The name that a stored event carries."""
    return None if event.content is None else str(event.content.payload.get("tag"))


@lru_cache(maxsize=256)
def touch(memory: int) -> bytes:
    """The 17-byte key of a memory."""
    return b"\x01" + memory.to_bytes(16, "big")


@lru_cache(maxsize=4096)
def hashed(text: str) -> bytes:
    """16 bytes that follow from the text."""
    return blake2b(text.encode(), digest_size=16).digest()


def conflict(lsn: int) -> VersionConflict:
    """What a condition raises."""
    return VersionConflict("something came between", where=f"LSN {lsn}", current=lsn)


@lru_cache(maxsize=512)
def _drafts(
    name: str, sizes: tuple[tuple[int, ...], ...], memory: int, key: str | None, times: bool
) -> tuple[tuple[Draft, ...], ...]:
    return tuple(
        tuple(
            _draft(
                tag(name, t, n),
                size,
                touch(memory),
                f"{key}/{t}" if key is not None and n == 0 else None,
                _brought(name, t) if times else None,
            )
            for n, size in enumerate(part)
        )
        for t, part in enumerate(sizes)
    )


def _brought(name: str, transaction: int) -> int:
    """A time far ahead, ns: later requests have later ones, so that the log seldom refuses them."""
    number = "".join(letter for letter in name if letter.isdigit())
    return _FAR + (int(number or 0) * 100 + transaction) * 1_000_000


def _draft(called: str, size: int, memory: bytes, keyed: str | None, brought: int | None) -> Draft:
    content = Content(
        scope="user:simulated",
        actor="agent:simulated",
        payload={"tag": called, "text": (f"{called} " * (size // (len(called) + 1) + 1))[:size]},
        idempotency_key=keyed,
        request_hash=hashed(called) if keyed else None,
    )
    return Draft(
        kind="memory.write",
        content=content,
        op=INSERT,
        # Half of them may be new memories, for which the log has a way of its own on which nothing is looked up.
        kind_if_exists="memory.update" if hashed(called)[0] % 2 else None,
        touches=(memory,),
        idem=hashed(keyed) if keyed else None,
        recorded_at=brought,
    )
