"""What contradicts a hit, as far as the handle may see it: other versions of its memory, and memories marked so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from walnut.engine import keys
from walnut.engine.handle import Handle
from walnut.engine.hydrate import Found
from walnut.engine.moment import View
from walnut.engine.related import related
from walnut.model import ids
from walnut.model.event import Event
from walnut.model.results import Conflict, Reason
from walnut.recall import conflicts

#: So many of the newest events of a memory are looked at.
_VERSIONS = 8


def of(handle: Handle, view: View, hits: Sequence[Found], *, below: bool, most: int) -> list[tuple[Conflict, ...]]:
    """For each of these versions what contradicts it, at most so many."""
    marks = _marks(handle, view, hits, below=below)
    return [tuple(islice(_conflicts(handle, view, found, marks[found.memory], below=below), most)) for found in hits]


def _conflicts(handle: Handle, view: View, found: Found, marks: Sequence[int], *, below: bool) -> Iterator[Conflict]:
    log, event = handle.store.log, found.event
    if event.before_lsn is not None or found.version != event.lsn:
        stream = [log.get(lsn) for lsn in log.stream(found.memory, before=view.moment.lsn + 1, last=_VERSIONS)]
        for other, reason in conflicts.disagreeing(stream, event, view.moment.valid_at):
            yield from _shown(handle, view, other, reason, below=below, past=True)
    for lsn in marks:
        yield from _shown(handle, view, log.get(lsn), "marked", below=below)


def _shown(
    handle: Handle, view: View, event: Event, reason: Reason, *, below: bool, past: bool = False
) -> Iterator[Conflict]:
    """Nothing when it no longer holds, or is not to be seen."""
    found = related(handle, view, event, below=below, past=past)
    if found.text is not None:
        yield Conflict(**msgspec.structs.asdict(found), reason=reason)


def _marks(handle: Handle, view: View, hits: Sequence[Found], *, below: bool) -> dict[bytes, list[int]]:
    """By memory: versions that mark it as contradicted, and those that it marks itself."""
    marks: dict[bytes, list[int]] = defaultdict(list)
    if not view.snapshot.any_tag(conflicts.MARK):
        return marks
    by_tag = {conflicts.MARK + ids.touch_text(found.memory): found.memory for found in hits}
    scopes = [*handle.readable, *(view.snapshot.scopes_below(handle.binding.scope) if below else ())]
    for tag, lsn in view.snapshot.tagged(by_tag, scopes, view.moment.lsn):
        if tag in _tags(handle.store.log.get(lsn)):
            marks[by_tag[tag]].append(lsn)
    for found in hits:
        for memory_id in conflicts.marked(_tags(found.event)):
            memory = keys.memory_or_none(memory_id)
            chosen = None if memory is None else view.snapshot.choose(memory, view.moment)
            if chosen is not None and chosen.lsn not in marks[found.memory]:
                marks[found.memory].append(chosen.lsn)
    return marks


def _tags(event: Event) -> list[str]:
    tags = None if event.content is None else event.content.payload.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
