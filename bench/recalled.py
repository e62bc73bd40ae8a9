"""`python -m bench.recalled DEV.jsonl`: what recall finds on a development set, with each lever switched off in turn.

The file holds conversations and questions: `{"type": "conversation", "id", "sessions": [{"id", "turns": [{"id",
"speaker", "time", "text"}]}]}`, then `{"type": "question", "conversation", "question", "category", "gold": [turn]}`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import msgspec

import walnut
from bench.ground import ROOT
from walnut.cli.evaluate import Answer, Question, Row, ask, named_by, rows
from walnut.model.requests import Mode
from walnut.recall.plan import SETTINGS, Settings
from walnut.recall.search import search

#: Where the set lies when it lies beside the repository.
USUAL = ROOT.parent / "shared" / "data" / "dev.jsonl"

_OFF: dict[str, dict[str, float]] = {
    "turns before": {"ctx": 0.0},
    "session": {"session": 0.0},
    "speaker, first person": {"speaker": 0.0},
    "short turns": {"short": 0.0},
    "questions": {"question": 0.0},
    "repetitions": {"duplicate": 0.0},
    "text against the best thinkable": {"text_full": 0.0},
    "recency": {"recency": 0.0},
}


def load(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Conversations and questions."""
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line]
    conversations, questions = (
        [each for each in lines if each["type"] == kind] for kind in ("conversation", "question")
    )
    return conversations, questions


def fill(root: walnut.Memory, conversations: Sequence[Mapping[str, Any]]) -> None:
    """A scope a conversation, a memory a turn."""
    for conversation in conversations:
        items = [
            {
                "text": turn["text"],
                "source": {"session": session["id"], "speaker": turn["speaker"], "turn": turn["id"]},
                "occurred_at": turn["time"] + "Z",
            }
            for session in conversation["sessions"]
            for turn in session["turns"]
        ]
        handle = root.bind(scope=f"user:{conversation['id']}")
        for start in range(0, len(items), 500):
            handle.remember_many(items[start : start + 500])
    root.wait(timeout=600)


def scored(
    root: walnut.Memory, questions: Sequence[Mapping[str, Any]], *, mode: Mode, settings: Settings
) -> tuple[list[Answer], float]:
    """An answer a question, and the CPU of one in milliseconds."""
    handles = {each["conversation"]: root.bind(scope=f"user:{each['conversation']}") for each in questions}
    names, answers = named_by("source.turn"), list[Answer]()
    with patch.dict(search.__kwdefaults__ or {}, settings=settings):
        used = time.process_time()
        for each in questions:
            recall = handles[each["conversation"]].recall
            question = Question(each["question"], tuple(each["gold"]), each["category"])
            answers.append(ask(question, lambda query, recall=recall: recall(query, k=10, mode=mode), names))  # type: ignore[misc]
    return answers, (time.process_time() - used) / len(questions) * 1e3


def measured(path: Path) -> Iterator[str]:
    """The lines of the report, in Markdown."""
    conversations, questions = load(path)
    with tempfile.TemporaryDirectory() as folder, walnut.open(folder, scope="global") as root:
        fill(root, conversations)
        yield "| | R@5 | R@10 | MRR | worst conversation, R@10 | CPU ms |"
        yield "| --- | --- | --- | --- | --- | --- |"
        full: list[Answer] = []
        runs: list[tuple[str, Mode, dict[str, float]]] = [("**hybrid**", "hybrid", {}), ("vector alone", "vector", {})]
        runs += [("without vectors (keyword)", "keyword", {})]
        runs += [(f"without {name}", "hybrid", off) for name, off in _OFF.items()]
        for name, mode, off in runs:
            answers, cpu = scored(root, questions, mode=mode, settings=msgspec.structs.replace(SETTINGS, **off))
            full = full or answers
            yield _line(name, rows(answers)[-1], _worst(questions, answers), cpu)
        yield ""
        yield "| category | questions | R@5 | R@10 | MRR |"
        yield "| --- | --- | --- | --- | --- |"
        for row in rows(full):
            shares = f"{100 * row.recall_at_5:.1f} | {100 * row.recall_at_10:.1f} | {row.mrr:.3f}"
            yield f"| {row.category} | {row.questions} | {shares} |"
        yield ""
        yield f"{len(questions)} questions, {median(answer.ms for answer in full):.1f} ms each (median, by the clock)"


def _worst(questions: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> float:
    by: dict[str, list[float]] = {}
    for question, answer in zip(questions, answers, strict=True):
        by.setdefault(question["conversation"], []).append(answer.full)
    return min(sum(each) / len(each) for each in by.values())


def _line(name: str, row: Row, worst: float, cpu: float) -> str:
    shares = " | ".join(f"{100 * share:.1f}" for share in (row.recall_at_5, row.recall_at_10))
    return f"| {name} | {shares} | {row.mrr:.3f} | {100 * worst:.1f} | {cpu:.1f} |"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; where there is no set, say so."""
    parser = argparse.ArgumentParser(prog="python -m bench.recalled", description="Measure what recall finds.")
    parser.add_argument("file", nargs="?", type=Path, default=USUAL, help="the development set")
    path: Path = parser.parse_args(words).file
    if not path.is_file():
        print(f"not measured: there is no {path.name}; pass the file of a development set")
        return 0
    for line in measured(path):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
