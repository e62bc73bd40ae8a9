"""`python -m bench.recalled SET.jsonl`: what recall finds on a set of questions, with each lever switched off in turn.

The set is one of `walnut eval` that brings its conversations.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import msgspec

import walnut
from bench.ground import ROOT
from bench.tables import Table, aligned
from walnut.cli.evaluate import Answer, measure, named_by, rows
from walnut.cli.questions import QuestionSet, fill, read
from walnut.model.requests import Mode
from walnut.recall.plan import SETTINGS, Settings
from walnut.recall.search import search

#: Where the development set lies when it lies beside the repository, and the small one that is part of it.
USUAL = ROOT.parent / "shared" / "data" / "dev.jsonl"
EXAMPLE = ROOT / "examples" / "recall.jsonl"
#: Recall@10, percent, that no conversation of the development set may fall below.
FLOOR = 64.0

_OFF: dict[str, dict[str, float]] = {
    "turns before": {"ctx": 0.0},
    "session": {"session": 0.0},
    "speaker, first person": {"speaker": 0.0, "assistant": 0.0},
    "short turns": {"short": 0.0},
    "questions": {"question": 0.0},
    "repetitions": {"duplicate": 0.0},
    "text against the best thinkable": {"text_full": 0.0},
    "recency": {"recency": 0.0},
    "times named": {"time": 0.0},
    "exact identifiers, phrases": {"exact": 0.0},
    "the latest, the first": {"order": 0.0},
    "when": {"when": 0.0},
}


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of some questions: shares from 0 to 1."""

    name: str
    questions: int
    at_5: float
    at_10: float
    mrr: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One way of searching: all questions, category by category, conversation by conversation; CPU ms a query."""

    name: str
    everything: Share
    categories: tuple[Share, ...]
    conversations: tuple[Share, ...]
    cpu_ms: float | None = None

    @property
    def worst(self) -> Share:
        """The conversation in which the least was found."""
        return min(self.conversations, key=lambda each: each.at_10)


class Lever(msgspec.Struct, frozen=True, kw_only=True):
    """A lever switched off (none: all are on), with vectors and without."""

    name: str
    hybrid: Found
    keyword: Found


class Levers(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `data` is the name of the set."""

    data: str
    vector: Found
    levers: tuple[Lever, ...]


def of(name: str, asked: QuestionSet, answers: Sequence[Answer], cpu_ms: float | None = None) -> Found:
    """Count the answers to a set's questions, given in their order."""
    *categories, everything = (_share(row.category, answers, row.category) for row in rows(answers))
    by: dict[str, list[Answer]] = {}
    for question, answer in zip(asked.questions, answers, strict=True):
        by.setdefault(question.conversation or "", []).append(answer)
    conversations = tuple(_share(each, by[each], "all") for each in by)
    return Found(
        name=name, everything=everything, categories=tuple(categories), conversations=conversations, cpu_ms=cpu_ms
    )


def _share(name: str, answers: Sequence[Answer], category: str) -> Share:
    row = next(row for row in rows(answers) if row.category == category)
    return Share(name=name, questions=row.questions, at_5=row.recall[5], at_10=row.recall[10], mrr=row.mrr)


def measured(path: Path, *, quick: bool = False) -> Levers:
    """Fill a store with the set's conversations and ask it in every way; `quick`: with all levers on alone."""
    asked = read(str(path))
    with tempfile.TemporaryDirectory() as folder, walnut.open(folder, scope="global") as root:
        scopes = fill(root, asked.conversations)

        def found(name: str, mode: Mode, off: Mapping[str, float]) -> Found:
            answers, cpu = _answers(root, asked, scopes, mode=mode, settings=msgspec.structs.replace(SETTINGS, **off))
            print(name or "all levers", mode, file=sys.stderr)
            return of(name, asked, answers, cpu)

        ways: dict[str, dict[str, float]] = {"": {}} if quick else {"": {}, **_OFF}
        return Levers(
            data=path.name,
            vector=found("vector alone", "vector", {}),
            levers=tuple(
                Lever(name=name, hybrid=found(name, "hybrid", off), keyword=found(name, "keyword", off))
                for name, off in ways.items()
            ),
        )


def _answers(
    root: walnut.Memory, asked: QuestionSet, scopes: Mapping[str, str], *, mode: Mode, settings: Settings
) -> tuple[list[Answer], float]:
    """An answer a question, and the CPU of one in milliseconds."""
    scoped = [msgspec.structs.replace(each, scope=scopes[each.conversation or ""]) for each in asked.questions]
    with patch.dict(search.__kwdefaults__ or {}, settings=settings):
        used = time.process_time()
        answers = measure(root, scoped, names=named_by("source.turn"), mode=mode, most=10)
    return answers, (time.process_time() - used) / len(scoped) * 1e3


def percent(share: float) -> str:
    """A share for people.

    >>> percent(0.7061)
    '70.6'
    """
    return f"{100 * share:.1f}"


def levers(found: Levers) -> Table:
    """A row a lever: what is left without it, with vectors and without."""
    head = ["", "R@5", "R@10", "MRR", "worst conversation, R@10", "CPU ms", "without vectors: R@10", "MRR"]
    rows = [[f"without {each.name}" if each.name else "**all levers**", *_lever(each)] for each in found.levers]
    vector = found.vector
    rows.insert(1, ["vectors alone", *_cells(vector), "-", "-"])
    return Table("Each lever switched off in turn", head, rows)


def _lever(lever: Lever) -> list[str]:
    keyword = lever.keyword.everything
    return [*_cells(lever.hybrid), percent(keyword.at_10), f"{keyword.mrr:.3f}"]


def _cells(found: Found) -> list[str]:
    all_ = found.everything
    shares = [percent(all_.at_5), percent(all_.at_10), f"{all_.mrr:.3f}", percent(found.worst.at_10)]
    return [*shares, "-" if found.cpu_ms is None else f"{found.cpu_ms:.1f}"]


def by_category(found: Levers) -> Table:
    """R@10 category by category, a row a lever."""
    names = [each.name for each in found.vector.categories]
    head = ["R@10", *(f"{each.name} ({each.questions})" for each in found.vector.categories)]
    ways = [("**all levers**", found.levers[0].hybrid), ("without vectors", found.levers[0].keyword)]
    ways += [("vectors alone", found.vector)]
    ways += [(f"without {each.name}", each.hybrid) for each in found.levers[1:]]
    rows = [[name, *(percent(each.at_10) for each in way.categories)] for name, way in ways]
    rows.append(["MRR, all levers", *(f"{each.mrr:.3f}" for each in found.levers[0].hybrid.categories)])
    return Table(f"Category by category ({len(names)})", head, rows)


def floors(found: Levers) -> list[str]:
    """In which conversation least is found; of the development set, whether any is below the floor."""
    said = []
    for name, way in (("hybrid", found.levers[0].hybrid), ("keyword", found.levers[0].keyword)):
        below = [each.name for each in way.conversations if 100 * each.at_10 < FLOOR]
        least = f"the least is found of {way.worst.name}, {percent(way.worst.at_10)}"
        verdict = f"below {FLOOR:g}: {', '.join(below)}; " if below else f"no conversation is below {FLOOR:g}; "
        said.append(
            f"{name}: {verdict if found.data == USUAL.name else ''}{least} of {len(way.conversations)} conversations."
        )
    return said


def report(found: Levers) -> Iterator[str]:
    """The lines for a terminal."""
    for table in (levers(found), by_category(found)):
        yield from (aligned(table), "")
    yield from floors(found)


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables; where there is no set, say so."""
    parser = argparse.ArgumentParser(prog="python -m bench.recalled", description="Measure what recall finds.")
    parser.add_argument("file", nargs="?", type=Path, default=USUAL, help="a set of questions with its conversations")
    parser.add_argument("--quick", action="store_true", help="switch no lever off")
    asked = parser.parse_args(words)
    if not asked.file.is_file():
        print(f"not measured: there is no {asked.file.name}; pass the file of a set, {EXAMPLE.name} say")
        return 0
    for line in report(measured(asked.file, quick=asked.quick)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
