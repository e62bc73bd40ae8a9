"""What a store is asked to do: turns to take in and questions about them, and the calls it offers for that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol


class Turn(NamedTuple):
    """A turn of a conversation; `time` in ISO 8601 or empty."""

    scope: str
    id: str
    session: str
    speaker: str
    time: str
    text: str

    @property
    def said(self) -> str:
        """For stores that know vectors: who said what."""
        return f"{self.speaker}: {self.text}"

    @property
    def dated(self) -> str:
        """For stores that know words: who said it when, and what."""
        if not self.time:
            return self.said
        day = datetime.fromisoformat(self.time)
        return f"{self.speaker}, {day.day} {day:%B %Y}: {self.text}"


class Task(NamedTuple):
    """Turns, and questions with the scope that each is about."""

    turns: Sequence[Turn]
    questions: Sequence[tuple[str, str]]

    @classmethod
    def load(cls, file: Path) -> Task:
        """From a file that `store` wrote."""
        raw = json.loads(file.read_text(encoding="utf-8"))
        return cls([Turn(*each) for each in raw["turns"]], [(scope, text) for scope, text in raw["questions"]])

    def store(self, file: Path) -> None:
        """Write it for another process."""
        file.write_text(json.dumps({"turns": self.turns, "questions": self.questions}), encoding="utf-8")


class Finder(Protocol):
    """A store that finds turns."""

    def add(self, turns: Sequence[Turn]) -> None:
        """Take all of them in; afterwards they can be found."""

    def find(self, scope: str, question: str, k: int) -> Sequence[str]:
        """The ids of the best turns of a scope, best first."""

    def close(self) -> None:
        """Let go; everything is in files."""


def batches(turns: Sequence[Turn], size: int = 500) -> list[Sequence[Turn]]:
    """Parts of so many, each of one scope."""
    scopes = [list(part) for _, part in groupby(turns, key=lambda turn: turn.scope)]
    return [scope[start : start + size] for scope in scopes for start in range(0, len(scope), size)]
