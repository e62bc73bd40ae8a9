"""Counting tokens: the caller's counter, checked, or an estimate that errs on the safe side."""

from __future__ import annotations

import re
from collections.abc import Callable

from walnut.errors import InvalidArgument

#: Counts the tokens of a text, for one model.
TokenCounter = Callable[[str], int]

#: Characters whose tokens never take in the blank before them: emoji and rare scripts.
_RARE = "\u0e80-\u1dff\u2c00-\u2fff\ud800-\ufeff\ufff0-\uffff\U00010000-\U0010ffff"
#: Pieces of ASCII that cost a token at most: four letters of a word, a capital, two digits, a sign, a line's end,
#: a run of blanks, the blank before a number or a rare character (others belong to the word behind them).
_PIECES = re.compile(
    r"[A-Z](?![a-z])|[A-Za-z][a-z]{0,3}|[0-9]{1,2}|[!-/:-@\[-`{-~\n]|[^\S\n]{2,}|[\x00-\x08\x0e-\x1f\x7f]"
    rf"|[^\S\n](?=[0-9{_RARE}])"
)
#: Other characters, and what one costs in half tokens: letters of Western Europe, Cyrillic; Greek, Arabic, Hebrew,
#: CJK; Latin with marks, Devanagari, Thai; other scripts of the south of Asia, rare ones, emoji; Gujarati, the rest.
_OTHERS = tuple(
    (re.compile(f"[{characters}]"), halves)
    for characters, halves in (
        ("\u0080-\u00ff\u0400-\u052f\u2010-\u2027", 2),
        ("\u0370-\u03ff\u0590-\u06ff\u3000-\ud7ff\uff00-\uffef", 3),
        ("\u0100-\u036f\u0700-\u097f\u0e00-\u0e7f\u1e00-\u200f\u2028-\u2bff", 4),
        ("\u0530-\u058f\u0980-\u0a7f\u0b00-\u0dff\u0e80-\u1dff\u2c00-\u2fff", 6),
        ("\ud800-\ufeff\ufff0-\uffff\U0001f000-\U0001fbff", 6),
        ("\u0a80-\u0aff\U00010000-\U0001efff\U0001fc00-\U0010ffff", 8),
    )
)


def estimate(text: str) -> int:
    """Tokens of a text, estimated on the safe side of usual tokenizers.

    More than they count for prose and code (by a quarter to a half), citations, dates and JSON; up to five times
    as much for Cyrillic, Arabic or Indic scripts with newer ones. A lone line of Finnish, Hungarian or Polish may
    cost a fifth more than estimated with older ones, long random letters (keys in base64) a quarter more: pass your
    model's counter for those.

    >>> estimate("Prefers CSV exports"), estimate("黒猫"), estimate("")
    (7, 3, 0)
    """
    pieces = len(_PIECES.findall(text))
    if text.isascii():
        return pieces
    halves = sum(cost * len(characters.findall(text)) for characters, cost in _OTHERS)
    return pieces - (-halves // 2)


class CounterFailed(Exception):
    """Carries an error of the caller's counter past all that would take it for one of Walnut's."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def checked(count: TokenCounter) -> TokenCounter:
    """The counter, whose answers must be whole numbers, 0 or more. Errors: InvalidArgument, CounterFailed."""
    if not callable(count):
        raise InvalidArgument("not a counter", where="count", hint="a function from a text to its number of tokens")

    def counted(text: str) -> int:
        try:
            tokens: object = count(text)
        except Exception as error:
            raise CounterFailed(error) from error
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            raise InvalidArgument(
                f"the counter gave {type(tokens).__name__}, not a number of tokens",
                where="count",
                hint="a function from a text to a whole number, 0 or more",
            )
        return tokens

    return counted
