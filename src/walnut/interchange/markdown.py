"""Markdown memory files (CLAUDE.md, MEMORY.md): one memory a bullet or paragraph, tagged with its headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from walnut.interchange.source import Line, Piece

KIND = "notes"
_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s+(.*))?$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*$")
_RULE = re.compile(r" {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$")
_BULLET = re.compile(r"(\s*)(?:[-*+]|\d{1,9}[.)])\s+(\S.*)$")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_MAX_TAG = 128


def read(lines: Iterable[Line], *, name: str) -> Iterator[Piece]:
    """Headings become tags and the anchor of `source.uri`, the bullets above a nested one its `data.under`."""
    notes = _Notes(name)
    for line in lines:
        yield from notes.take(line)
    yield from notes.end()


class _Notes:
    """Where in the file we are: headings, open bullets, the block that is being gathered."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._headings: list[tuple[int, str]] = []
        self._bullets: list[tuple[int, str]] = []  # indent and text of the bullets that are open
        self._block: list[str] = []
        self._start = 0
        self._indent: int | None = None  # of the bullet that is gathered; None: a paragraph
        self._fence = ""
        self._hidden = ""  # what ends a comment or the front matter

    def take(self, line: Line) -> Iterator[Piece]:
        """One line; yields the memories that end with it."""
        if line.problem:
            yield Piece(line.number, problem=line.problem)
        elif self._hidden:
            if self._hidden in line.text:
                self._hidden = ""
        elif self._fence:
            self._block.append(line.text)
            if line.text.strip().startswith(self._fence) and not line.text.strip().strip(self._fence[0]):
                self._fence = ""
        elif (line.number == 1 and line.text.rstrip() == "---") or line.text.lstrip().startswith("<!--"):
            yield from self.end()
            yield from self._hide(line)
        else:
            yield from self._text(line)

    def _hide(self, line: Line) -> Iterator[Piece]:
        front = not line.text.lstrip().startswith("<!--")
        if front or "-->" not in line.text:
            self._hidden = "---" if front else "-->"
        yield Piece(line.number, skipped="front matter" if front else "a comment")

    def _text(self, line: Line) -> Iterator[Piece]:
        text = line.text
        heading, bullet, fence = _HEADING.match(text), _BULLET.match(text), _FENCE.match(text)
        if self._block and self._indent is None and len(self._block) == 1 and _UNDERLINE.match(text):
            self._head(1 if "=" in text else 2, self._block.pop())
        elif heading:
            yield from self.end()
            self._head(len(heading[1]), (heading[2] or "").rstrip().rstrip("#"))
        elif not text.strip() or _RULE.match(text):
            yield from self.end()
        elif bullet:
            yield from self.end()
            indent = len(bullet[1].expandtabs(4))
            self._bullets = [each for each in self._bullets if each[0] < indent]
            self._begin(line.number, bullet[2], indent)
        elif self._block:
            self._block.append(text if fence or self._indent is None else text.strip())
        else:
            if not text.startswith((" ", "\t")):
                self._bullets = []
            self._begin(line.number, text, None)
        if fence and self._block:
            self._fence = fence[1]

    def _head(self, level: int, title: str) -> None:
        self._headings = [each for each in self._headings if each[0] < level]
        if title.strip():
            self._headings.append((level, title.strip()))
        self._bullets = []

    def _begin(self, number: int, text: str, indent: int | None) -> None:
        self._block, self._start, self._indent = [text], number, indent

    def end(self) -> Iterator[Piece]:
        """The memory that was being gathered, if any."""
        if not self._block:
            return
        text = "\n".join(self._block).strip()
        titles = [title for _, title in self._headings]
        anchor = re.sub(r"[^\w\- ]", "", titles[-1].lower()).strip().replace(" ", "-") if titles else ""
        item: dict[str, object] = {
            "text": text,
            "tags": [title for title in dict.fromkeys(titles) if len(title) <= _MAX_TAG],
            "source": {"uri": f"{self._name}#{anchor}" if anchor else self._name},
        }
        under = [above for _, above in self._bullets]
        if under:
            item["data"] = {"under": under}
        if self._indent is not None:
            self._bullets.append((self._indent, text))
        self._block = []
        yield Piece(self._start, KIND, item)
