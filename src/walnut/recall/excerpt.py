"""Excerpts: of a text that is too long, the passage that holds most of what was asked, cut where one may cut."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from walnut.views.folds import terms

#: Shows that something was left out.
MARK = "…"

#: Characters a token: as few as are usual, and more than are.
_FEW, _MANY = 3, 8
_TRIES = 16
#: Of a piece, this share may go so that it ends with a sentence, or with a word.
_FOR_A_SENTENCE = 0.4
_FOR_A_WORD = 0.2
_SENTENCE = re.compile("[.!?\u0964\u061f]['\")\\]\u201d\u2019]*\\s+|[\u3002\uff01\uff1f]+")
#: Characters after which a passage may begin within a sentence.
_LONG = 300
#: About so many places at most are looked at where a passage may begin: in a long text, short sentences count together.
_MOST_STARTS = 20_000
_JOINER = "\u200d"


def excerpt(text: str, *, room: int, count: Callable[[str], int], wanted: Collection[int]) -> str | None:
    """At most `room` tokens of a text; None when not even a word fits.

    `count` counts the whole line that a piece would make; `wanted` are the terms of the question. The passage
    begins with a sentence, the first of those from where most of them are found; what is missing is marked.
    """
    if count(text) <= room:
        return text
    most = max(1, room) * _MANY
    start = _start(text, room * _FEW, wanted) if wanted else 0
    lead = f"{MARK} " if start else ""
    length = min(most, len(text) - start)
    for _ in range(_TRIES):
        piece = _cut(text[start : start + length + 1], length)
        if not piece:
            return None
        shown = lead + piece + ("" if start + len(piece) >= len(text) else f" {MARK}")
        tokens = count(shown)
        if tokens <= room:
            return shown
        length = min(len(piece) - 1, int(length * max(0.05, room / tokens * 0.95)))
    return None


def _start(text: str, length: int, wanted: Collection[int]) -> int:
    """Where that passage begins that holds most of the wanted terms, the first of several: at the first of them."""
    starts = list(_starts(text))
    ends = [*starts[1:], len(text)]
    asked = frozenset(wanted)
    held = [asked.intersection(terms.terms(text[a:b])) for a, b in zip(starts, ends, strict=True)]
    within: Counter[int] = Counter()
    best, most, last = 0, 0, 0  # the first sentence of the passage, what it holds, the sentence behind it
    for first, begin in enumerate(starts):
        while last < len(starts) and (last <= first or ends[last] - begin <= length):
            within.update(held[last])
            last += 1
        if len(within) > most:
            best, most = first, len(within)
        for term in held[first]:
            within[term] -= 1
            if not within[term]:
                del within[term]
    return next((begin for begin, terms_held in zip(starts[best:], held[best:], strict=True) if terms_held), 0)


def _starts(text: str) -> Iterator[int]:
    """Where sentences begin, and within long ones words."""
    begin, least = 0, len(text) // _MOST_STARTS
    for end in (*(found.end() for found in _SENTENCE.finditer(text)), len(text)):
        while begin < end and (end - begin >= least or end == len(text)):
            yield begin
            blank = text.find(" ", begin + _LONG, end) if end - begin > 2 * _LONG else -1
            begin = end if blank < 0 else blank + 1


def _cut(piece: str, length: int) -> str:
    """The piece up to `length`, back to the end of a sentence or of a word, never within a character.

    The character after `length` may be there, so that it shows what a cut would part.
    """
    if len(piece) <= length:
        return piece
    ends = [found.end() for found in _SENTENCE.finditer(piece, 0, length)]
    if ends and ends[-1] >= length * (1 - _FOR_A_SENTENCE):
        return piece[: ends[-1]].rstrip()
    blank = piece.rfind(" ", 0, length + 1)
    if blank > length * (1 - _FOR_A_WORD):
        return piece[:blank].rstrip()
    while length and _parts(piece, length):
        length -= 1
    return piece[:length].rstrip()


def _parts(piece: str, place: int) -> bool:
    """Whether a cut here would part what is seen as one character."""
    here, before = piece[place], piece[place - 1]
    if unicodedata.category(here) in {"Mn", "Mc", "Me"} or _JOINER in {here, before}:
        return True
    return "\U0001f3fb" <= here <= "\U0001f3ff" or (_flag(here) and _flag(before))


def _flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
