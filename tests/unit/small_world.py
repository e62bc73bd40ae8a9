"""A log in memory and the views folded from it, without an engine: what tests of recall and undo stand on."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from walnut.log.memory_log import MemoryLog
from walnut.model import ids
from walnut.model.event import DELETE, INSERT, NONE, UPDATE, Content, Draft
from walnut.model.requests import Recall, Selector
from walnut.model.results import RevertPlan
from walnut.model.scope import ancestors
from walnut.ports import Batch
from walnut.recall.plan import SETTINGS, Settings
from walnut.recall.rank import Scored
from walnut.recall.search import search
from walnut.recall.texts import Texts
from walnut.recall.vectors import Vectors
from walnut.system import System
from walnut.undo import plan as undoing
from walnut.undo import revert
from walnut.views.folds.memories_sql import MemoriesFold
from walnut.views.folds.text import TextFold
from walnut.views.folds.vectors import VectorsFold
from walnut.views.reader import Snapshot
from walnut.views.visibility import Moment

#: Later than anything these tests write.
LATER = 2**62


class World:
    """Writes events and reads views; each write is a transaction. `upto` stops the views at an LSN."""

    def __init__(self, log: MemoryLog | None = None, *, upto: int | None = None) -> None:
        self.log = MemoryLog(System()) if log is None else log
        self.upto = upto
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.folds = (MemoriesFold(), TextFold(), VectorsFold())
        self.texts = Texts(System())
        self.vectors = Vectors(System())
        for fold in self.folds:
            for statement in fold.schema:
                self.db.execute(statement)
        self._applied = 0

    def close(self) -> None:
        self.db.close()
        self.log.close()

    # -- writing

    def memory(self, number: int) -> bytes:
        return ids.TOUCH_BYTES["mem"] + number.to_bytes(16, "big")

    def draft(
        self,
        text: str,
        *,
        memory: int | None = None,
        scope: str = "user:a",
        actor: str = "agent:x",
        tags: Sequence[str] = (),
        confidence: float | None = None,
        update: bool = False,
        **content: Any,
    ) -> Draft:
        payload: dict[str, Any] = {"text": text}
        if tags:
            payload["tags"] = list(tags)
        if confidence is not None:
            payload["confidence"] = confidence
        number = self.log.durable_lsn() + 1 if memory is None else memory
        return Draft(
            kind="memory.update" if update else "memory.write",
            op=UPDATE if update else INSERT,
            touches=(self.memory(number),),
            content=Content(scope=scope, actor=actor, payload=payload, **content),
        )

    def write(self, text: str, **given: Any) -> int:
        return self.append(self.draft(text, **given))

    def forget(self, memory: int, *, scope: str = "user:a", actor: str = "agent:x") -> int:
        content = Content(scope=scope, actor=actor)
        return self.append(Draft(kind="memory.delete", op=DELETE, touches=(self.memory(memory),), content=content))

    def shown(self, *lsns: int, scope: str = "user:a", actor: str = "agent:x") -> int:
        content = Content(scope=scope, actor=actor, payload={"shown": list(lsns)})
        return self.append(Draft(kind="memory.recalled", op=NONE, content=content))

    def event(self, kind: str, *, scope: str = "user:a", actor: str = "agent:x", **content: Any) -> int:
        return self.append(Draft(kind=kind, content=Content(scope=scope, actor=actor, **content)))

    def append(self, *together: Draft) -> int:
        """One transaction; the LSN of its first event."""
        return self.log.append(Batch(transactions=(tuple(together),)))[0].lsn

    def apply(self, plan: RevertPlan) -> int:
        batch = Batch(transactions=((revert.draft(plan),),), conditions=(revert.condition(plan),))
        return self.log.append(batch)[0].lsn

    # -- reading

    def snapshot(self) -> Snapshot:
        events = list(self.log.read(after=self._applied, upto=self.upto))
        for fold in self.folds:
            fold.apply(self.db, events)
        if events:
            self._applied = events[-1].lsn
        return Snapshot(self.db, self._applied, done=lambda _: None)

    def recall(
        self,
        query: str,
        *,
        scope: str = "user:a",
        at: int | None = None,
        below: bool = False,
        valid_at: int = LATER,
        settings: Settings = SETTINGS,
        **given: Any,
    ) -> list[Scored]:
        snapshot = self.snapshot()
        moment = Moment(snapshot.lsn if at is None else at, valid_at)
        request = Recall(query=query, explain=True, **given)
        found = search(
            snapshot, self.vectors, request, ancestors(scope), moment, below=below, texts=self.texts, settings=settings
        )
        return list(found)

    def found(self, query: str, **given: Any) -> list[int]:
        return [hit.lsn for hit in self.recall(query, **given)]

    def plan(self, *, scope: str = "user:a", include_suspects: bool = False, **selector: Any) -> RevertPlan:
        return undoing.plan(
            self.snapshot(),
            self.log,
            Selector(**selector),
            bound_scope=scope,
            actor="agent:judge",
            include_suspects=include_suspects,
        )
