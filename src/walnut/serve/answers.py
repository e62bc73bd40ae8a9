"""What the MCP tools answer with: structs that become structured output, and whose `str()` a model reads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from walnut.model.contexts import Context, LeftOut
from walnut.model.event import Json
from walnut.model.results import Ack, Conflict, Hit, MemoryRecord, PlanItem, Related, RevertPlan, Version


class Written(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A write that is on disk. `replayed`: the idempotency key was known, this is the first write's answer."""

    event_id: str
    lsn: int
    durability: str
    memory_id: str | None = None
    version: int | None = None
    replayed: bool = False
    reverted: bool = False
    erased: bool = False

    @classmethod
    def of(cls, ack: Ack) -> Written:
        """The same as the ack."""
        return msgspec.convert(ack, cls, from_attributes=True)

    def __str__(self) -> str:
        what = f"{self.memory_id} version {self.version}, " if self.memory_id else ""
        known = " The idempotency key was used before: this is the first write's answer." if self.replayed else ""
        undone = " It was undone since." if self.reverted else ""
        return f"On {self.durability}: {what}event {self.event_id}, LSN {self.lsn}.{known}{undone}"


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A memory as a model needs it. `version` is what `remember` takes as `expected_version`.

    In answer to a search: `evidence` is what it was derived from, `facts` what was derived from it, `repeats`
    when the same was said before, `conflicts` what contradicts it.
    """

    memory_id: str
    event_id: str
    version: int
    text: str
    scope: str
    actor: str
    occurred_at: datetime
    key: str | None = None
    tags: tuple[str, ...] = ()
    confidence: float | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    expires_at: datetime | None = None
    source: dict[str, Json] | None = None
    data: Json = None
    evidence: tuple[Related, ...] = ()
    facts: tuple[Related, ...] = ()
    said: int = 1
    repeats: tuple[Related, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @classmethod
    def of(cls, record: MemoryRecord) -> Memo:
        """Without scores: they mean nothing outside one search, and tell of what a reader may not see."""
        return msgspec.convert(record, cls, from_attributes=True)

    def __str__(self) -> str:
        facts = [f"{self.occurred_at:%Y-%m-%d}", f"by {self.actor}"]
        facts += [f"key {self.key}"] if self.key else []
        facts += ["tags " + " ".join(self.tags)] if self.tags else []
        facts += [f"confidence {self.confidence:g}"] if self.confidence is not None else []
        facts += [f"said {self.said} times"] if self.said > 1 else []
        beside = "".join(
            f"\n   {name} [{each.event_id}] {each.state if each.text is None else each.text}"
            for name, events in (("from", self.evidence), ("led to", self.facts), ("but", self.conflicts))
            for each in events
        )
        told = f"{', '.join(facts)}; {self.memory_id} version {self.version}, {self.event_id}"
        return f"{self.text}\n   ({told}){beside}"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found, best first."""

    memories: tuple[Memo, ...]

    @classmethod
    def of(cls, hits: Iterable[Hit]) -> Found:
        """The hits in their order, without their scores."""
        return cls(memories=tuple(map(Memo.of, hits)))

    def __str__(self) -> str:
        return "\n".join(f"{n}. {memo}" for n, memo in enumerate(self.memories, 1)) or "Nothing found."


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt-ready text: `tokens` of `budget` (estimated), cited events, how many memories did not fit, and why."""

    text: str
    tokens: int
    budget: int
    citations: tuple[str, ...]
    left_out: int
    because: LeftOut

    @classmethod
    def of(cls, context: Context) -> Packed:
        """The same without the hits."""
        return msgspec.convert(context, cls, from_attributes=True)

    def __str__(self) -> str:
        if not self.left_out:
            return self.text or "Nothing found."
        text = self.text or f"Nothing fits a budget of {self.budget}."
        return f"{text}\n(Left out: {self.because}. A larger budget shows more.)"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version, forget or undo in a memory's history."""

    lsn: int
    event_id: str
    kind: str
    state: str
    recorded_at: datetime
    actor: str | None = None
    memory: Memo | None = None

    @classmethod
    def of(cls, version: Version) -> Entry:
        """The same, with the memory as a model needs it."""
        return cls(
            lsn=version.lsn,
            event_id=version.event_id,
            kind=version.kind,
            state=version.state,
            recorded_at=version.recorded_at,
            actor=version.actor,
            memory=None if version.memory is None else Memo.of(version.memory),
        )

    def __str__(self) -> str:
        who = f" by {self.actor}" if self.actor else ""
        said = f": {self.memory.text}" if self.memory else ""
        return f"{self.recorded_at:%Y-%m-%d %H:%M} {self.state}, {self.kind}{who} [{self.event_id}]{said}"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened to a memory, oldest first."""

    memory_id: str
    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.entries))


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What an undo would touch. `plan_id` is what `apply` takes; None when there is nothing to undo."""

    plan_id: str | None
    undoes: int
    memory_ids: tuple[str, ...]
    items: tuple[PlanItem, ...]
    outline: str

    @classmethod
    def of(cls, plan: RevertPlan, plan_id: str | None) -> Planned:
        """The plan and the id it is applied by."""
        return cls(
            plan_id=plan_id,
            undoes=sum(item.reverts for item in plan.items),
            memory_ids=plan.memory_ids,
            items=plan.items,
            outline=str(plan),
        )

    def __str__(self) -> str:
        last = f"apply takes plan_id {self.plan_id}" if self.plan_id else "There is nothing to undo."
        return f"{self.outline}\n{last}"
