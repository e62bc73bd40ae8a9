"""Results: what the faces return, as frozen structs. Times are aware UTC datetimes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from walnut.model.event import Json
from walnut.model.requests import Durability, Selector
from walnut.model.words import counted

#: Levels a printed tree is indented by; what lies deeper stands below one another.
_DEEPEST = 16

#: What became, by a moment, of an event that stands beside a hit.
State: TypeAlias = Literal["current", "superseded", "reverted", "absent", "erased", "outside"]
#: How it is known that two memories, or two versions of one, contradict each other.
Reason: TypeAlias = Literal["overlap", "restored", "marked"]


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """A write that reached `durability`. `replayed`: the idempotency key was known, this is the first write's.

    `version` is the LSN of the last event that touched the memory: pass it as `expected_version`.
    """

    lsn: int
    event_id: str
    durability: Durability
    memory_id: str | None = None
    version: int | None = None
    replayed: bool = False
    reverted: bool = False
    erased: bool = False


class MemoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a memory. `version` counts reverts too, so it can be above `lsn`."""

    memory_id: str
    event_id: str
    lsn: int
    version: int
    text: str
    scope: str
    actor: str
    recorded_at: datetime
    occurred_at: datetime
    valid_from: datetime
    valid_until: datetime | None = None
    expires_at: datetime | None = None
    key: str | None = None
    tags: tuple[str, ...] = ()
    confidence: float | None = None
    data: Json = None
    source: dict[str, Json] | None = None
    subject: str | None = None
    caused_by: tuple[int, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One summand of a score: the parts of a hit sum to its score."""

    name: str
    value: float
    detail: str = ""


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """An event that stands beside a hit and takes no place of its own.

    `state` is "current", "superseded" (its memory has another version now), "reverted", "absent" (forgotten,
    expired, or not valid at the moment), "erased", or "outside" the scopes read. Only a current one, and the other
    side of a conflict, say more than their ids. `memory_id` is None for events that are not of a memory.
    """

    lsn: int
    event_id: str
    state: State
    memory_id: str | None = None
    text: str | None = None
    actor: str | None = None
    source: dict[str, Json] | None = None
    occurred_at: datetime | None = None


class Conflict(Related, frozen=True, kw_only=True):
    """What contradicts a hit, neither of them hidden.

    `reason` is "overlap" (another writer's version of the same memory, which by its own dates holds, too),
    "restored" (another writer's version, which was changed back) or "marked" (one of the two memories has the tag
    `contradicts:` with the other's id).
    """

    reason: Reason


class Hit(MemoryRecord, frozen=True, kw_only=True):
    """A recalled memory with its score; with `explain=True` the parts that sum to it.

    `evidence` is what the memory was derived from (`caused_by`, and what that was derived from), oldest first;
    `facts` what was derived from the memory and answers worse than it does. `said` counts how often the same
    was said, `repeats` the times before, newest first. `conflicts` are what contradicts it, as far as that can be
    known without a model. Of each at most eight stand here.
    """

    score: float
    parts: tuple[Part, ...] = ()
    evidence: tuple[Related, ...] = ()
    facts: tuple[Related, ...] = ()
    said: int = 1
    repeats: tuple[Related, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a listing; pass `cursor` to go on at the same LSN (None at the end)."""

    items: tuple[MemoryRecord, ...]
    cursor: str | None
    lsn: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a memory's history.

    `state` is "current", "superseded", "reverted", "deleted" (before or at a forget), "expired", "scheduled"
    (valid later) or "erased"; undos are "current" while they count;
    `memory` is None for entries without text of their own (a forget, a revert, an erased event).
    """

    lsn: int
    event_id: str
    kind: str
    op: str
    actor: str | None
    recorded_at: datetime
    state: str
    memory: MemoryRecord | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event in a chain of evidence, with what it rests on (or led to); a stub when it lies outside the scope."""

    lsn: int
    event_id: str
    kind: str
    reason: str
    recorded_at: datetime
    actor: str | None = None
    scope: str | None = None
    source: dict[str, Json] | None = None
    text: str | None = None
    steps: tuple[Step, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a memory says what it says, down to raw events; `str()` draws the tree."""

    memory_id: str
    direction: str
    root: Step

    def __str__(self) -> str:
        lines: list[str] = []

        def draw(step: Step, depth: int) -> None:
            who = f" by {step.actor}" if step.actor else ""
            said = f": {step.text}" if step.text is not None else ""
            lines.append(f"{'  ' * depth}{step.reason} [{step.event_id}] {step.recorded_at:%Y-%m-%d %H:%M}{who}{said}")
            for child in step.steps:
                draw(child, depth + 1)

        draw(self.root, 0)
        return "\n".join(lines)


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a revert plan.

    `role` is "selected", "derived" (goes with its evidence), "suspect" (written after being shown a reverted
    memory), "needs_recompute" (kept: other evidence is left) or "kept" (can't be reverted). `because` holds the
    LSNs that pulled it in, `reverts` tells whether `apply` undoes it.
    """

    lsn: int
    event_id: str
    kind: str
    role: Literal["selected", "derived", "suspect", "needs_recompute", "kept"]
    reason: str
    reverts: bool
    memory_ids: tuple[str, ...] = ()
    because: tuple[int, ...] = ()
    actor: str | None = None
    text: str | None = None
    recorded_at: datetime | None = None


class RevertPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an undo would touch; nothing is done until `apply`. `lsn` is where the log stood."""

    scope: str
    actor: str
    lsn: int
    selector: Selector
    items: tuple[PlanItem, ...]
    ranges: tuple[tuple[int, int], ...]
    memory_ids: tuple[str, ...]
    include_suspects: bool = False

    def tree(self) -> tuple[list[PlanItem], dict[int, list[PlanItem]]]:
        """The items that nothing planned pulled in, and by LSN those that each one did."""
        known = {item.lsn for item in self.items}
        roots: list[PlanItem] = []
        below: dict[int, list[PlanItem]] = {}
        for item in self.items:
            parent = next((lsn for lsn in item.because if lsn in known and lsn != item.lsn), None)
            (roots if parent is None else below.setdefault(parent, [])).append(item)
        return roots, below

    def __str__(self) -> str:
        roots, below = self.tree()
        lines: list[str] = []
        open_items = [(item, 0) for item in reversed(roots)]  # a chain may be longer than Python's stack is deep
        while open_items:
            item, depth = open_items.pop()
            mark = "undo" if item.reverts else "keep"
            why = item.role if item.reason == item.role else f"{item.role}, {item.reason}"
            said = f": {item.text}" if item.text is not None else ""
            lines.append(f"{'  ' * min(depth, _DEEPEST)}{mark} [{item.event_id}] {why}{said}")
            open_items += [(child, depth + 1) for child in reversed(below.get(item.lsn, []))]
        undone = counted(sum(item.reverts for item in self.items), "event")
        memories = counted(len(self.memory_ids), "memory")
        lines.append(f"{undone}, {memories}; nothing is done until the plan is applied")
        return "\n".join(lines)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of damage: the file, the byte offset, the LSNs it concerns, and what is wrong."""

    file: str
    offset: int
    message: str
    first_lsn: int | None = None
    last_lsn: int | None = None


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an offline check: `ok`, what was read, and every finding."""

    ok: bool
    segments: int
    frames: int
    events: int
    last_lsn: int
    bytes_read: int
    chain: str
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> str:
        """One line."""
        what = f"{counted(self.events, 'event')} in {counted(self.segments, 'segment')}, {self.bytes_read:,} bytes"
        return f"intact: {what}" if self.ok else f"DAMAGED ({counted(len(self.findings), 'finding')}): {what}"


class RepairReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair did (`repaired`) or would do: events kept, LSN ranges lost, and where damaged files were put."""

    repaired: bool
    kept_events: int
    lost_ranges: tuple[tuple[int, int], ...]
    set_aside: tuple[str, ...]
    findings: tuple[Finding, ...]


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event lies: `file` within the store, `offset` and `length` of its frame in bytes."""

    lsn: int
    file: str
    offset: int
    length: int


class ViewStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A view: where it stands, and the error it stopped at, if any."""

    name: str
    version: int
    applied_lsn: int
    failed_at: int | None = None
    failure: str | None = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """How far the embedder that a store was opened with has come.

    `lsn`: the log is read up to here. `vectors` are kept, for texts of which each was embedded once; `waiting`
    memories have none yet, `given_up` had none after many attempts (tried again at the next opening, or by
    `upkeep.embed`). `failures`: calls that failed since the last that did not; `failure` says how.
    """

    model: str
    dimensions: int
    lsn: int
    vectors: int
    waiting: int
    given_up: int
    failures: int
    failure: str | None


class IndexStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An approximate index of a scope's vectors: of the first `rows`, up to an LSN; `bytes` of its file.

    What came since, what is asked of the past, and what filters leave little of is searched exactly.
    """

    scope: str
    rows: int
    lsn: int
    bytes: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and sizes (bytes) of a store; `indexes` of the bound scope and below: all others are searched exactly."""

    last_lsn: int
    memories: int
    scopes: int
    segments: int
    log_bytes: int
    view_bytes: int
    checkpoint_bytes: int
    views: tuple[ViewStatus, ...]
    checkpoints: tuple[int, ...]
    indexes: tuple[IndexStatus, ...]
    embedding: Embedding | None
    format: int


class ViewCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Live against replayed: equal digests of logical rows mean the view is what the log says."""

    name: str
    lsn: int
    ok: bool
    live_digest: str
    replayed_digest: str
    differences: tuple[str, ...] = ()
