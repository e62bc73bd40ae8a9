"""Contexts: what `context` returns, a text with its cited lines, and what was left out of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from walnut.model.results import Hit

#: What a line of a context is.
Role: TypeAlias = Literal["hit", "before", "after", "evidence", "fact", "conflict"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One cited line of a context, as `role` says.

    A "hit", the turn "before" or "after" one in its session, or what stands with a hit: its "evidence", a "fact"
    derived from it, the other side of a "conflict". `cut`: the text was too long, and a passage is shown.
    """

    lsn: int
    event_id: str
    role: Role
    cut: bool = False


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Why hits of a context are not in its text.

    `budget`: no room for them. `similar`: no room either, and they wait behind all others, because they nearly
    repeat a better one. `repeated`: the same in the same words, which recall makes one hit (not in `left_out`).
    """

    budget: int = 0
    similar: int = 0
    repeated: int = 0

    def __str__(self) -> str:
        reasons = ((self.budget, "for want of room"), (self.similar, "much like a better one"))
        return ", ".join(f"{number} {reason}" for number, reason in reasons if number) or "none"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt-ready text within the budget (tokens, by the counter given or estimated), with citations `[evt_…]`.

    `lines` are its cited lines in their order, `citations` their event ids, `hits` the hits among them with what
    stands with them in the text. `left_out` counts the hits that were found and are not in the text.
    """

    text: str
    tokens: int
    budget: int
    citations: tuple[str, ...]
    hits: tuple[Hit, ...]
    left_out: int
    lines: tuple[Line, ...] = ()
    because: LeftOut = LeftOut()

    def __str__(self) -> str:
        return self.text
