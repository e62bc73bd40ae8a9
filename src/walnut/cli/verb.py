"""A verb: its words, its arguments, what it runs; and the parser that says what is wrong in one line."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterator
from typing import NamedTuple, NoReturn

from walnut.cli.exits import Usage
from walnut.cli.screen import Screen

_WIDTH = 96
_COLUMN = 30
COMMON = "common options"


class Verb(NamedTuple):
    """One command. `examples` are run by a test, as they are printed."""

    name: str
    about: str
    examples: tuple[str, ...]
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Screen], int]


class Parser(argparse.ArgumentParser):
    """Raises Usage where argparse exits, and prints help that is the same for every Python."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(prog=f"walnut {verb.name}", add_help=False, allow_abbrev=False)
        self.verb = verb

    def error(self, message: str) -> NoReturn:
        """What argparse found wrong; extra words are counted, not repeated."""
        if message.startswith("unrecognized arguments"):
            options = [word for word in message.split()[2:] if word.startswith("-")]
            message = "unknown option " + ", ".join(options) if options else "too many arguments"
        raise Usage(message, where=self.prog, hint=f"see `{self.prog} --help`")

    def format_help(self) -> str:
        """The page of `--help`, and of the reference."""
        verb = self.verb
        parts = [f"usage: {self._usage_line()}", *_paragraphs(verb.about)]
        for group in self._action_groups:
            rows = [_row(action) for action in group._group_actions if action.help != argparse.SUPPRESS]  # noqa: SLF001 - argparse offers no other way to its actions
            if rows:
                title = "arguments" if group.title == "positional arguments" else group.title
                parts.append("\n".join([f"{title}:", *(line for row in rows for line in _wrapped(*row))]))
        parts.append("\n".join(["examples:", *(f"  {example}" for example in verb.examples)]))
        return "\n\n".join(parts) + "\n"

    def _usage_line(self) -> str:
        words = [_name(action) for action in self._get_positional_actions()]
        return " ".join([self.prog, "[OPTIONS]", *words])


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield textwrap.fill(" ".join(paragraph.split()), _WIDTH)


def _name(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs in ("*", "?"):
        return f"[{name}]"
    return name


def _row(action: argparse.Action) -> tuple[str, str]:
    if not action.option_strings:
        return _name(action), action.help or ""
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return ", ".join(action.option_strings) + value, action.help or ""


def _wrapped(name: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, _WIDTH - _COLUMN) or [""]
    if len(name) + 4 > _COLUMN:
        yield f"  {name}"
    else:
        yield f"  {name}".ljust(_COLUMN) + lines.pop(0)
    for line in lines:
        yield " " * _COLUMN + line
