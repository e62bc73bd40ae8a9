"""Trees on a screen: chains of evidence, and what an undo would touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from walnut.cli.screen import Screen, clip, moment, one_line, safe
from walnut.model.results import PlanItem, RevertPlan, Step

_T = TypeVar("_T")

#: Levels a tree is indented by; what lies deeper stands below one another.
_DEEPEST = 16


def draw(
    screen: Screen, roots: Iterable[_T], *, lines: Callable[[_T], list[str]], children: Callable[[_T], Iterable[_T]]
) -> None:
    """Print trees with branches; each node is one or more lines."""
    # Not recursive: a chain may be longer than Python's stack is deep.
    open_nodes = [(root, "", "", 0) for root in reversed(list(roots))]
    while open_nodes:
        item, first, rest, depth = open_nodes.pop()
        below = list(children(item))
        head, *more = lines(item)
        _put(screen, first + head)
        for line in more:
            _put(screen, rest + ("│  " if below else "   ") + line)
        inner = rest if depth < _DEEPEST else rest[:-3]
        for number, child in enumerate(reversed(below)):
            branch, bar = ("├─ ", "│  ") if number else ("└─ ", "   ")
            open_nodes.append((child, inner + branch, inner + bar, min(depth + 1, _DEEPEST)))


def _put(screen: Screen, text: str) -> None:
    screen.line(clip(text, screen.width) if screen.terminal else text)


def draw_steps(screen: Screen, root: Step) -> None:
    """A chain of evidence."""
    draw(screen, [root], lines=_step, children=lambda step: step.steps)


def _step(step: Step) -> list[str]:
    said = f'"{one_line(step.text)}"' if step.text is not None else step.kind
    source = " ".join(f"{name}={value}" for name, value in (step.source or {}).items())
    who = f"{step.actor} in {step.scope}" if step.actor else ""
    facts = [f"LSN {step.lsn}", step.event_id, moment(step.recorded_at), who, source]
    return [f"{step.reason}: {said}", " · ".join(safe(fact) for fact in facts if fact)]


def draw_plan(screen: Screen, plan: RevertPlan) -> None:
    """What an undo would touch: each event under the one that pulled it in."""
    roots, below = plan.tree()

    def lines(item: PlanItem) -> list[str]:
        said = f': "{one_line(item.text)}"' if item.text is not None else ""
        why = "" if item.reason == item.role else item.reason
        facts = [f"LSN {item.lsn}", item.event_id, moment(item.recorded_at), item.actor or "", why]
        mark = "undo" if item.reverts else "keep"
        return [f"{mark} {item.kind} ({item.role}){said}", " · ".join(safe(fact) for fact in facts if fact)]

    draw(screen, roots, lines=lines, children=lambda item: below.get(item.lsn, []))
