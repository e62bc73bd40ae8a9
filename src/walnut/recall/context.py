"""Context: hits packed into a token budget, one cited line each, as data that can't pass for another line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from walnut.errors import InvalidArgument
from walnut.model.results import Context, Hit

#: Counts the tokens of a text, for one model.
TokenCounter = Callable[[str], int]

_BYTES_PER_TOKEN = 3


def estimate(text: str) -> int:
    """Tokens of a text, estimated on the safe side: a third of its ASCII and two thirds of its other UTF-8 bytes.

    Tokenizers make one token of about four English letters, one or two of a CJK character (three bytes), up to
    three of an emoji (four bytes). Long numbers and code can cost more: pass your model's counter for those.

    >>> estimate("Prefers CSV exports"), estimate("黒猫"), estimate("")
    (7, 4, 0)
    """
    ascii_bytes = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "replace")) - ascii_bytes
    return -(-(ascii_bytes + 2 * other_bytes) // _BYTES_PER_TOKEN)


def pack(hits: Sequence[Hit], *, budget: int, count: TokenCounter = estimate) -> Context:
    """The best hits that fit, best first, a line each: `- [evt_…] 2026-02-01 text`.

    `budget` and `Context.tokens` are in tokens as `count` counts them, line by line with the line's end. A hit
    that does not fit is left out, and a shorter one after it may still get in. Line breaks within a text become
    blanks and citations in it lose their brackets, so that no memory passes for another.

    Errors: InvalidArgument for a budget below 1.
    """
    if budget < 1:
        raise InvalidArgument("the budget is below 1 token", where="budget", hint="1500 is a good start")
    lines: list[str] = []
    packed: list[Hit] = []
    used = 0
    for hit in hits:
        line = _line(hit)
        tokens = count(line + "\n")
        if used + tokens <= budget:
            used += tokens
            lines.append(line)
            packed.append(hit)
    return Context(
        text="\n".join(lines),
        tokens=used,
        budget=budget,
        citations=tuple(hit.event_id for hit in packed),
        hits=tuple(packed),
        left_out=len(hits) - len(packed),
    )


def _line(hit: Hit) -> str:
    speaker = hit.source.get("speaker") if hit.source else None
    said_by = f"{_flat(speaker)}: " if isinstance(speaker, str) and speaker.strip() else ""
    return f"- [{hit.event_id}] {hit.occurred_at:%Y-%m-%d} {said_by}{_flat(hit.text)}"


def _flat(text: str) -> str:
    """One line, without anything that looks like a citation."""
    return " ".join(text.split()).replace("[evt_", "(evt_")
