"""The screen: what is printed where, how wide, in colour or not; text of others can't steer a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TextIO

import msgspec

_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WIDEST = 120
#: Columns that a text should have at least.
_LEGIBLE = 20


def safe(text: str, *, keep: str = "") -> str:
    r"""The text with control characters and direction marks written out, but those in `keep`.

    >>> safe("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in keep or not (c in _BIDI or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")) else _escaped(c)
        for c in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """The text on one line: white space is one blank, control characters are written out."""
    return safe(" ".join(text.split()))


def cells(text: str) -> int:
    """How many columns a terminal needs for it: two for wide characters, none for combining ones.

    >>> cells("héllo"), cells("日本")
    (5, 4)
    """
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, width: int) -> str:
    """The text in at most `width` columns, an ellipsis at its end where something is left out."""
    if cells(text) <= width:
        return text
    taken, used = [], 0
    for char in text:
        used += _cell(char)
        if used > width - 1:
            break
        taken.append(char)
    return "".join(taken) + "…"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at blanks where there are any."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cells(word) > width:
            head = clip(word, width + 1)[:-1] or word[0]
            lines.append(head)
            word = word[len(head) :]  # noqa: PLW2901 - what is left of it
        line = word
    return [*lines, line]


def moment(when: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return "-" if when is None else f"{when:%Y-%m-%d %H:%M}Z"


class Screen:
    """Standard output of a command. `json` is whether output is for machines, `width` in columns.

    On a terminal lines are cut to its width; elsewhere nothing is cut.
    """

    def __init__(self, *, json: bool, out: TextIO | None = None) -> None:
        self.json = json
        self.out = out or sys.stdout
        self.terminal = self.out.isatty()
        self.width = min(_WIDEST, shutil.get_terminal_size().columns) if self.terminal else _WIDEST
        self._colour = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where there are colours."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colour else text

    def line(self, text: str = "") -> None:
        """One line."""
        print(text, file=self.out)

    def flush(self) -> None:
        """Hand over what was printed."""
        self.out.flush()

    def raw(self, text: str) -> None:
        """A text as it is stored; on a terminal control characters are written out."""
        self.line(safe(text, keep="\n\t") if self.terminal else text)

    def aside(self, text: str) -> None:
        """A line for people, on standard error: beside output that goes on into something else."""
        self.flush()
        with suppress(OSError, ValueError):
            sys.stderr.write(f"walnut: {one_line(text)}\n")

    def document(self, value: object) -> None:
        """One JSON document on a line."""
        self.line(msgspec.json.encode(value).decode())

    def card(self, head: str, text: str, foot: Sequence[str], *, lines: int = 3) -> None:
        """An entry of a listing: a short head, a text of a few lines, and a dim line of facts."""
        pad = " " * (cells(head) + 2)
        if self.terminal:
            body = wrap(one_line(text), max(20, self.width - len(pad)))
            if len(body) > lines:
                body = [*body[: lines - 1], clip(f"{body[lines - 1]} …", self.width - len(pad))]
        else:
            body = [one_line(text)]
        self.line(f"{self.paint(head, 'bold')}  {body[0]}")
        for line in body[1:]:
            self.line(pad + line)
        facts = " · ".join(safe(fact) for fact in foot if fact)
        for line in wrap(facts, max(20, self.width - len(pad))) if self.terminal else [facts]:
            self.line(pad + self.paint(line, "dim"))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]], *, spare: Sequence[str] = ()) -> None:
        """Aligned columns; the last one takes the room that is left.

        `spare` names columns that a narrow terminal can do without, the first to go first.
        """
        found = [[one_line("-" if cell is None else str(cell)) for cell in row] for row in rows]
        widths = [max([cells(h), *[cells(row[n]) for row in found]]) for n, h in enumerate(heads)]
        shown = [*range(len(heads) - 1)]
        for name in spare:
            if self.terminal and self._room(widths, shown) < _LEGIBLE:
                shown.remove(heads.index(name))
        room = max(1, self._room(widths, shown))
        for number, row in enumerate([[*heads], *found]):
            last = clip(row[-1], room) if self.terminal else row[-1]
            fixed = [row[n] + " " * (widths[n] - cells(row[n])) for n in shown]
            text = "  ".join([*fixed, last]).rstrip()
            self.line(text if number else self.paint(text, "bold"))

    def _room(self, widths: Sequence[int], shown: Sequence[int]) -> int:
        """What these columns leave for the last one."""
        return self.width - sum(widths[n] + 2 for n in shown)

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values, one pair a line; those without a value are left out."""
        shown = [(name, value) for name, value in pairs if value not in (None, "", (), [])]
        width = max((cells(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(f"{self.paint(name, 'dim')}{' ' * (width - cells(name))}  {one_line(str(value))}")
