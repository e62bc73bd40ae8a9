"""A second telling of what holds when: the plainest model of versions, times and undo, to hold recall against."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from walnut import Memory, NotFound, VersionConflict
from walnut.model.results import Ack
from walnut.model.scope import ancestors, within

SCOPES = ("global", "user:a", "user:a/s:1", "user:a/s:2", "user:b")
WORDS = ("tea", "coffee", "train", "paris", "cello", "budget", "otter", "snow")
_BEGINS = (None, None, None, "2000-01-01", "2010-01-01", "2200-01-01")
_ENDS = (None, None, None, "2005-01-01", "2020-01-01", "2150-01-01", "2250-01-01")


class Said(NamedTuple):
    """An event that touched a memory: a version (`given` holds its arguments), or a forgetting (None)."""

    lsn: int
    memory: str
    scope: str
    given: dict[str, Any] | None


class Asked(NamedTuple):
    """Who asks about which moment: system time as an LSN, valid time in ns."""

    scope: str
    lsn: int
    valid_at: int
    below: bool = False


def ns(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


class Story:
    """Lives a random life in a store, and remembers itself what was said and undone."""

    def __init__(self, root: Memory, seed: int) -> None:
        self.root = root
        self.chance = random.Random(seed)
        self.said: list[Said] = []
        self.undone: list[tuple[int, tuple[tuple[int, int], ...]]] = []  # the LSN of the undo, and what it names
        self.handles = {scope: root.bind(scope=scope) for scope in SCOPES}
        self._acks: list[Ack] = []

    # -- living

    def live(self, steps: int) -> None:
        for _ in range(steps):
            try:
                self.chance.choices((self._remember, self._revise, self._forget, self._undo), (6, 3, 1, 2))[0]()
            except (NotFound, VersionConflict):  # of what was forgotten or undone there is no new version
                continue

    def _remember(self) -> None:
        scope = self.chance.choice(SCOPES)
        key = self.chance.choice((None, None, "k1", "k2"))
        self._say(scope, {"key": key} if key else {})

    def _revise(self) -> None:
        known = [each for each in self.said if each.given and "key" not in each.given]
        if known:
            old = self.chance.choice(known)
            self._say(old.scope, {"memory_id": old.memory})

    def _say(self, scope: str, given: dict[str, Any]) -> None:
        chance = self.chance
        given["text"] = f"walnut {chance.choice(WORDS)} {chance.choice(WORDS)} number{len(self.said)}"
        begins, ends = chance.choice(_BEGINS), chance.choice(_ENDS)
        drawn = {
            "valid_from": begins,
            "valid_until": ends if ends is None or ends > (begins or "2026") else None,
            "occurred_at": chance.choice((None, "2001-01-01", "2015-01-01")),
            "ttl": chance.choice((None, None, None, "30d", "7300d")),
            "tags": chance.sample(["red", "blue"], k=chance.randint(0, 2)),
            "confidence": chance.choice((None, 0.2, 0.8)),
            "source": {"session": chance.choice("xy"), "speaker": chance.choice(["Ann", "user", "Bob"])},
        }
        given |= {name: value for name, value in drawn.items() if value is not None}
        causes = [ack for ack, said in zip(self._acks, self.said, strict=True) if said.scope in ancestors(scope)]
        if causes and chance.random() < 0.2:
            given["caused_by"] = [chance.choice(causes)]
        ack = self.handles[scope].remember(**given)
        self._note(ack, Said(ack.lsn, ack.memory_id or "", scope, given))

    def _forget(self) -> None:
        if self.said:
            old = self.chance.choice(self.said)
            ack = self.handles[old.scope].forget(old.memory)
            self._note(ack, Said(ack.lsn, old.memory, old.scope, None))

    def _note(self, ack: Ack, said: Said) -> None:
        self._acks.append(ack)
        self.said.append(said)

    def _undo(self) -> None:
        """Of one event or of an undo."""
        lsns = [said.lsn for said in self.said[-12:]] + [lsn for lsn, _ in self.undone[-2:]]
        if lsns:
            plan = self.root.plan_revert(events=[self.chance.choice(lsns)])
            if plan.ranges:
                self.undone.append((self.root.apply(plan).lsn, plan.ranges))

    # -- telling

    def times(self) -> dict[int, int]:
        """LSN -> when it was recorded (ns)."""
        return {event.lsn: event.recorded_at for event in self.root.log.read()}

    def versions(self, asked: Asked, times: dict[int, int]) -> dict[str, Said]:
        """The version of each memory that holds at the moment, in any scope that is read, hidden by a nearer or not."""
        counts = self._counting(asked.lsn)
        found: dict[str, Said] = {}
        for memory in {each.memory for each in self.said}:
            events = [each for each in self.said if each.memory == memory and each.lsn in counts]
            gone = max((each.lsn for each in events if each.given is None), default=0)
            begun = [
                (begins, each)
                for each in events
                if each.given and each.lsn > gone and (begins := self._begins(each, times)) <= asked.valid_at
            ]
            if begun and self._reads(asked, events[0].scope):
                latest = max(begun, key=lambda pair: (pair[0], pair[1].lsn))[1]
                if not self._ended(latest, asked.valid_at, times):
                    found[memory] = latest
        return found

    def seen(self, asked: Asked, times: dict[int, int], **filters: Any) -> list[Said]:
        """What a search must find: of equal keys the nearest, and what passes the filters."""
        versions = list(self.versions(asked, times).values())
        return [
            each for each in versions if self._passes(each, times, **filters) and not _hidden(each, versions, asked)
        ]

    def _counting(self, lsn: int) -> set[int]:
        undone = [span for _, ranges in self._standing(lsn) for span in ranges]
        return {
            each.lsn for each in self.said if each.lsn <= lsn and not any(lo <= each.lsn <= hi for lo, hi in undone)
        }

    def _standing(self, lsn: int) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
        """The undos that count: an undo can only be undone by a later one."""
        standing: list[tuple[int, tuple[tuple[int, int], ...]]] = []
        for at, ranges in reversed([each for each in self.undone if each[0] <= lsn]):
            if not any(lo <= at <= hi for _, named in standing for lo, hi in named):
                standing.append((at, ranges))
        return standing

    def _reads(self, asked: Asked, scope: str) -> bool:
        return scope in ancestors(asked.scope) or (asked.below and within(scope, asked.scope))

    def _begins(self, said: Said, times: dict[int, int]) -> int:
        given = said.given or {}
        day = given.get("valid_from", given.get("occurred_at"))
        return ns(day) if day else times[said.lsn]

    def _ended(self, said: Said, now: int, times: dict[int, int]) -> bool:
        given = said.given or {}
        days = int(given["ttl"][:-1]) if "ttl" in given else None
        expired = days is not None and times[said.lsn] + days * 86_400 * 10**9 <= now
        return expired or ("valid_until" in given and ns(given["valid_until"]) <= now)

    def _passes(
        self,
        said: Said,
        times: dict[int, int],
        *,
        tags: Iterable[str] = (),
        since: str | None = None,
        until: str | None = None,
        min_confidence: float | None = None,
    ) -> bool:
        given = said.given or {}
        occurred = ns(given["occurred_at"]) if "occurred_at" in given else times[said.lsn]
        return (
            {*tags} <= {*given["tags"]}
            and (since is None or occurred >= ns(since))
            and (until is None or occurred < ns(until))
            and (min_confidence is None or given.get("confidence", -1) >= min_confidence)
        )


def _hidden(said: Said, versions: Iterable[Said], asked: Asked) -> bool:
    """Whether a nearer scope has one of the same key."""
    readable, key = ancestors(asked.scope), (said.given or {}).get("key")
    if key is None or said.scope not in readable:
        return False
    nearer = readable[: readable.index(said.scope)]
    return any((each.given or {}).get("key") == key and each.scope in nearer for each in versions)
