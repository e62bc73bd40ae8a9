"""Contradictions that are known without a model: two writers of one memory who disagree, and what callers marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from walnut.model.event import Event, Json
from walnut.model.results import Reason
from walnut.views import visibility
from walnut.views.folds import terms

#: A memory with this tag and another's id contradicts that other one: "contradicts:mem_…".
MARK = "contradicts:"


def disagreeing(stream: Sequence[Event], chosen: Event, valid_at: int) -> list[tuple[Event, Reason]]:
    """Versions of the chosen one's memory, by another writer in other words, that it has not simply replaced.

    "overlap": by its own dates the other version holds at `valid_at` (ns), too: it ends later, or both begin at
    the same stated time. "restored": what the other writer changed was changed back, at no stated time. Of equal
    words only the newest.
    """
    living = visibility.living(stream)
    if len(living) < 2:  # most memories have one version, and words take time
        return []
    mine, writer = words(chosen), _writer(chosen)
    found: dict[tuple[int, ...], tuple[Event, Reason]] = {}
    for other in living:
        if other.lsn == chosen.lsn or _writer(other) == writer or words(other) == mine:
            continue
        if _holds_too(other, chosen, valid_at):
            found[words(other)] = (other, "overlap")
        elif _changed_back(other, chosen, living):
            found[words(other)] = (other, "restored")
    return list(found.values())


def marked(tags: Iterable[str]) -> list[str]:
    """Ids of the memories that these tags mark as contradicted."""
    return [tag.removeprefix(MARK) for tag in tags if tag.startswith(MARK)]


def words(event: Event) -> tuple[int, ...]:
    """What it says, as terms: case, accents and punctuation make no difference."""
    text = None if event.content is None else event.content.payload.get("text")
    return tuple(terms.terms(text)) if isinstance(text, str) else ()


def _holds_too(other: Event, chosen: Event, valid_at: int) -> bool:
    if visibility.begins(other) > valid_at or visibility.expired(other, valid_at) or other.content is None:
        return False
    at_once = _stated(other) and _stated(chosen) and visibility.begins(other) == visibility.begins(chosen)
    return other.content.valid_until is not None or at_once


def _changed_back(other: Event, chosen: Event, living: Sequence[Event]) -> bool:
    if other.lsn > chosen.lsn or _stated(chosen):
        return False
    mine = words(chosen)
    return any(each.lsn < other.lsn and words(each) == mine for each in living)


def _stated(event: Event) -> bool:
    return event.content is not None and event.content.valid_from is not None


def _writer(event: Event) -> tuple[str | None, Json]:
    """Who says so: the actor, and whom it quotes."""
    content = event.content
    return (None, None) if content is None else (content.actor, (content.source or {}).get("speaker"))
