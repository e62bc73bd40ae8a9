"""Why: the tree of evidence under a memory down to raw events, or of what an event led to, seen from one scope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from walnut.model import ids
from walnut.model.event import Event
from walnut.model.requests import Direction
from walnut.model.results import Explanation, Step
from walnut.model.scope import within
from walnut.model.times import from_ns
from walnut.ports import Log

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot
    from walnut.views.visibility import Moment

#: How deep the tree goes, how many steps it has, how many any one step leads to.
MAX_DEPTH = 16
MAX_STEPS = 200
MAX_CHILDREN = 50

_MEMORY = ids.TOUCH_BYTES["mem"]
_WRITES = frozenset({"memory.write", "memory.update"})


def explain(
    snapshot: Snapshot,
    log: Log,
    lsn: int,
    readable: Sequence[str],
    moment: Moment,
    *,
    direction: Direction = "from",
) -> Explanation:
    """The chain from an event down to what it rests on ("from"), or up to what it led to ("influenced").

    "from" also lists the earlier versions of a memory, "influenced" who was shown it. Evidence outside the readable
    scopes is a stub, and so is influence below the scope; what others made of it does not exist. Undone steps say so
    in `reason`. What is left out shows as one step "… more".
    """
    event = log.get(lsn)
    tree = _Tree(snapshot, log, readable, moment, direction)
    return Explanation(memory_id=_memory_id(event), direction=direction, root=tree.root(event))


def _memory_id(event: Event) -> str:
    keys = event.touch_keys()
    return ids.touch_text(next((key for key in keys if key.startswith(_MEMORY)), keys[0])) if keys else event.id


class _Tree:
    """One walk: which events are in the tree already, how many steps are left."""

    def __init__(
        self, snapshot: Snapshot, log: Log, readable: Sequence[str], moment: Moment, direction: Direction
    ) -> None:
        self._snapshot = snapshot
        self._log = log
        self._readable = frozenset(readable)
        self._scope = readable[0]
        self._moment = moment
        self._next = self._evidence if direction == "from" else self._influence
        self._seen: set[int] = set()
        self._left = MAX_STEPS

    def root(self, event: Event) -> Step:
        self._seen.add(event.lsn)
        return self._step(event, event.kind, 0)

    def _step(self, event: Event, reason: str, depth: int) -> Step:
        self._left -= 1
        if event.lsn not in self._snapshot.counting([event.lsn], self._moment.lsn):
            reason += " (reverted)"
        content = event.content
        if content is None:
            return _stub(event, reason + " (erased)")
        if content.scope not in self._readable:
            return _stub(event, reason)
        text = content.payload.get("text")
        return Step(
            lsn=event.lsn,
            event_id=event.id,
            kind=event.kind,
            reason=reason,
            recorded_at=from_ns(event.recorded_at),
            actor=content.actor,
            scope=content.scope,
            source=content.source,
            text=text if isinstance(text, str) else None,
            steps=self._children(event, depth),
        )

    def _children(self, event: Event, depth: int) -> tuple[Step, ...]:
        steps: list[Step] = []
        for lsn, reason in self._next(event):
            if lsn > self._moment.lsn or lsn in self._seen:
                continue
            child = self._log.get(lsn)
            if not self._exists(event, child):
                continue
            if depth + 1 >= MAX_DEPTH or self._left <= 0 or len(steps) >= MAX_CHILDREN:
                steps.append(_stub(child, "… more"))
                break
            self._seen.add(lsn)
            steps.append(self._step(child, reason, depth + 1))
        return tuple(steps)

    def _exists(self, event: Event, child: Event) -> bool:
        """Whether the step is one: the view says so, the log must bear it out, and the scope may know of it."""
        content = child.content
        if self._next == self._evidence or content is None:
            return True
        if content.scope not in self._readable and not within(content.scope, self._scope):
            return False
        shown = content.payload.get("shown")
        leads = event.lsn in content.caused_by or (isinstance(shown, list) and event.lsn in shown)
        return leads or not set(event.touch_keys()).isdisjoint(child.touch_keys())

    def _evidence(self, event: Event) -> Iterator[tuple[int, str]]:
        content = event.content
        if content is not None:
            yield from ((lsn, "evidence") for lsn in sorted(set(content.caused_by)) if 0 < lsn < event.lsn)
        if event.before_lsn is not None:
            yield event.before_lsn, "earlier version"

    def _influence(self, event: Event) -> Iterator[tuple[int, str]]:
        yield from ((lsn, "derived") for lsn in sorted(self._snapshot.effects(event.lsn)))
        yield from ((note, "shown to") for note in sorted({n for n, _ in self._snapshot.shown([event.lsn])}))
        if event.kind in _WRITES:
            for touch in event.touch_keys():
                later = (n for n in self._log.stream(touch, before=self._moment.lsn + 1) if n > event.lsn)
                yield from ((lsn, "later version") for lsn in list(later)[:1])


def _stub(event: Event, reason: str) -> Step:
    return Step(
        lsn=event.lsn,
        event_id=event.id,
        kind=event.kind,
        reason=reason,
        recorded_at=from_ns(event.recorded_at),
    )
