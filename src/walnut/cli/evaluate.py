"""The verb that measures recall on a set of questions: eval."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from walnut.cli import options
from walnut.cli.exits import OK, Usage
from walnut.cli.screen import Screen
from walnut.cli.verb import Verb
from walnut.errors import ImportRejected

if TYPE_CHECKING:
    from walnut.memory import Memory
    from walnut.model.results import Hit, MemoryRecord

#: Hits that are looked at, and the shorter list beside it.
K, SHORT = 10, 5
#: Its reads are noted under a name of their own: nobody was shown anything.
_ACTOR = "agent:eval"
_SOURCE = "source."


class Question(msgspec.Struct, frozen=True):
    """A line of a question set. `gold` names the memories that answer it."""

    question: str
    gold: tuple[str, ...]
    category: str = ""
    scope: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """How one question went: shares of its gold among the first hits, 1 / rank of the first, milliseconds."""

    category: str
    short: float
    full: float
    reciprocal: float
    ms: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The means over the questions of a category; latencies in milliseconds."""

    category: str
    questions: int
    recall_at_5: float
    recall_at_10: float
    mrr: float
    p50_ms: float
    p95_ms: float


def ask(question: Question, recall: Callable[[str], Sequence[Hit]], names: Callable[[Hit], set[str]]) -> Answer:
    """Ask, and see at which places the gold stands. A hit counts for one name of the gold only."""
    start = time.perf_counter()
    hits = recall(question.question)
    ms = (time.perf_counter() - start) * 1e3
    wanted, places = set(question.gold), list[int]()
    for place, hit in enumerate(hits[:K], 1):
        found = wanted & names(hit)
        if found:
            wanted.discard(min(found))
            places.append(place)
    count = len(set(question.gold))
    return Answer(
        category=question.category,
        short=sum(place <= SHORT for place in places) / count,
        full=len(places) / count,
        reciprocal=1 / places[0] if places else 0.0,
        ms=ms,
    )


def rows(answers: Sequence[Answer]) -> list[Row]:
    """A row for each category in order of name, and one for all, the last."""
    categories = sorted({answer.category for answer in answers} - {""})
    return [_row(name, [each for each in answers if each.category == name]) for name in categories] + [
        _row("all", answers)
    ]


def _row(name: str, answers: Sequence[Answer]) -> Row:
    times, count = sorted(answer.ms for answer in answers), len(answers)
    return Row(
        category=name,
        questions=count,
        recall_at_5=sum(answer.short for answer in answers) / count,
        recall_at_10=sum(answer.full for answer in answers) / count,
        mrr=sum(answer.reciprocal for answer in answers) / count,
        p50_ms=times[count // 2],
        p95_ms=times[min(count - 1, count * 19 // 20)],
    )


def named_by(field: str | None) -> Callable[[MemoryRecord], set[str]]:
    """What gold may call a memory: its ids, key and LSN, or the value of one field of its source."""
    if field is None:
        return lambda hit: {hit.memory_id, hit.event_id, str(hit.lsn), *([hit.key] if hit.key else [])}
    name = field.removeprefix(_SOURCE)
    if name == field or not name:
        raise Usage("not a field of the source", where="--gold", hint="--gold source.turn")
    return lambda hit: {str(hit.source[name])} if hit.source and name in hit.source else set()


def _questions(path: str) -> list[Question]:
    from walnut.interchange.source import Source

    decode, found = msgspec.json.Decoder(Question).decode, list[Question]()
    source = Source(path)
    try:
        for line in source.lines():
            if not line.text.strip() and line.problem is None:
                continue
            try:
                question = decode(line.text)
            except (msgspec.MsgspecError, RecursionError, UnicodeError):
                question = None
            if question is None or not question.gold or line.problem is not None:
                hint = '{"question": "…", "gold": ["…"]} is a line; category and scope are optional'
                raise ImportRejected("not a question with gold", where=f"line {line.number}", hint=hint)
            found.append(question)
    finally:
        source.close()
    if not found:
        raise ImportRejected("holds no question", where=path)
    return found


def _measure(memory: Memory, questions: Iterable[Question], args: argparse.Namespace) -> list[Answer]:
    names = named_by(args.gold)
    answers: list[Answer] = []
    for question in questions:
        handle = memory.bind(scope=question.scope, actor=_ACTOR)

        def recall(query: str, handle: Memory = handle) -> Sequence[Hit]:
            return handle.recall(query, k=K, mode=args.mode)

        if not answers:
            recall(question.question)  # loads what a store loads once
        answers.append(ask(question, recall, names))
    return answers


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="QUESTIONS", help="a JSONL file of questions")
    parser.add_argument("--gold", metavar="FIELD", help="what gold names instead of ids and keys: source.turn, say")
    parser.add_argument("--mode", choices=("hybrid", "keyword", "vector", "recent"), default="hybrid", help="of recall "
                        "(hybrid)")  # fmt: skip


def _eval(args: argparse.Namespace, screen: Screen) -> int:
    questions = _questions(args.file)
    with options.open_store(args) as memory:
        found = rows(_measure(memory, questions, args))
    if screen.json:
        screen.document(found)
    else:
        screen.table(
            ("CATEGORY", "QUESTIONS", "R@5", "R@10", "MRR", "P50 MS", "P95 MS"), [_cells(row) for row in found]
        )
    return OK


def _cells(row: Row) -> tuple[object, ...]:
    shares = (f"{100 * share:.1f}" for share in (row.recall_at_5, row.recall_at_10))
    return (row.category, row.questions, *shares, f"{row.mrr:.3f}", f"{row.p50_ms:.1f}", f"{row.p95_ms:.1f}")


VERBS = {
    "eval": Verb(
        "eval",
        """Measure recall on your own questions: how many of the memories that answer them are among the first 5 and 10
        hits (R@5, R@10, percent), how high the first one stands (MRR: the mean of 1 / its rank), and how long it took.

        A line of the file is {"question": "…", "gold": ["…"], "category": "…", "scope": "…"}; the last two may be
        missing. Gold names memories by memory id, event id, LSN or key, or, with --gold source.turn, by a field of
        their source. A question's scope is the command's or one below it. What is found is noted as shown to
        agent:eval, so no undo suspects anyone for it.""",
        ("walnut eval questions.jsonl", "walnut eval questions.jsonl --mode keyword --json"),
        _arguments,
        _eval,
    ),
}
