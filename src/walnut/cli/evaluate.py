"""The verb that measures recall on a set of questions: eval."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from walnut.cli import options, questions
from walnut.cli.exits import OK, Usage
from walnut.cli.progress import Progress
from walnut.cli.questions import Question, QuestionSet
from walnut.cli.screen import Screen
from walnut.cli.verb import Verb
from walnut.model.words import counted

if TYPE_CHECKING:
    from walnut.memory import Memory
    from walnut.model.requests import Mode
    from walnut.model.results import Hit, MemoryRecord, Related

#: How many of the first hits are looked at: each of these is a column.
DEPTHS = (5, 10)
_MOST = 1_000
#: Its reads are noted under a name of their own: nobody was shown anything.
_ACTOR = "agent:eval"
_SOURCE = "source."


class Answer(msgspec.Struct, frozen=True):
    """What came of one question: at which places its gold stands (from 1), of how many, and how long it took."""

    category: str
    places: tuple[int, ...]
    gold: int
    ms: float

    def share(self, depth: int) -> float:
        """The share of its gold among the first hits."""
        return sum(place <= depth for place in self.places) / self.gold

    @property
    def reciprocal(self) -> float:
        """1 / the first place, 0 when nothing was found."""
        return 1 / self.places[0] if self.places else 0.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The means over the questions of a category; latencies in milliseconds."""

    category: str
    questions: int
    recall: dict[int, float]
    mrr: float
    p50_ms: float
    p95_ms: float

    def plain(self) -> dict[str, object]:
        """For programs: `recall_at_5` and its like."""
        shares = {f"recall_at_{depth}": share for depth, share in self.recall.items()}
        times = {"p50_ms": self.p50_ms, "p95_ms": self.p95_ms}
        return {"category": self.category, "questions": self.questions, **shares, "mrr": self.mrr, **times}


def ask(question: Question, recall: Callable[[str], Sequence[Hit]], names: Callable[[Hit], set[str]]) -> Answer:
    """Ask, and see at which places the gold stands; each name of it counts once, where it stands first."""
    start = time.perf_counter()
    hits = recall(question.question)
    ms = (time.perf_counter() - start) * 1e3
    wanted, places = set(question.gold), list[int]()
    for place, hit in enumerate(hits, 1):
        found = wanted & names(hit)
        wanted -= found
        places += [place] * len(found)
    return Answer(question.category, tuple(places), len(set(question.gold)), ms)


def rows(answers: Sequence[Answer], depths: Sequence[int] = DEPTHS) -> list[Row]:
    """A row for each category in order of name, and one for all, the last."""
    categories = sorted({answer.category for answer in answers} - {""})
    parts = [(name, [each for each in answers if each.category == name]) for name in categories]
    return [_row(name, part, depths) for name, part in [*parts, ("all", answers)]]


def _row(name: str, answers: Sequence[Answer], depths: Sequence[int]) -> Row:
    times, count = sorted(answer.ms for answer in answers), len(answers)
    return Row(
        category=name,
        questions=count,
        recall={depth: sum(answer.share(depth) for answer in answers) / count for depth in depths},
        mrr=sum(answer.reciprocal for answer in answers) / count,
        p50_ms=times[count // 2],
        p95_ms=times[min(count - 1, count * 19 // 20)],
    )


def named_by(field: str | None, *, beside: bool = False) -> Callable[[Hit], set[str]]:
    """What gold may call a hit: its ids, key and LSN, or the value of one field of its source.

    `beside`: or of what stands beside it, its evidence, the facts made of it, and the times it was said before.
    """
    own = _own(field)
    if not beside:
        return own
    return lambda hit: own(hit).union(*(own(one) for one in (*hit.evidence, *hit.facts, *hit.repeats)))


def _own(field: str | None) -> Callable[[MemoryRecord | Related], set[str]]:
    if field is None:
        return _ids
    name = field.removeprefix(_SOURCE)
    if name == field or not name:
        raise Usage("not a field of the source", where="--gold", hint="--gold source.turn")
    return lambda one: {str(one.source[name])} if one.source and name in one.source else set()


def _ids(one: MemoryRecord | Related) -> set[str]:
    key = getattr(one, "key", None)
    return {one.event_id, str(one.lsn), *(each for each in (one.memory_id, key) if each is not None)}


def measure(
    memory: Memory,
    asked: Iterable[Question],
    *,
    names: Callable[[Hit], set[str]],
    mode: Mode,
    most: int,
    progress: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """Ask every question of its scope, and look at the first `most` hits."""
    answers: list[Answer] = []
    for question in asked:
        handle = memory.bind(scope=question.scope, actor=_ACTOR)

        def recall(query: str, handle: Memory = handle) -> Sequence[Hit]:
            return handle.recall(query, k=most, mode=mode)

        if not answers:
            recall(question.question)  # loads what a store loads once
        answers.append(ask(question, recall, names))
        progress()
    return answers


def _tell_unknown(screen: Screen, memory: Memory, asked: Iterable[tuple[Question, Answer]], field: str | None) -> None:
    """Gold that names no memory which could be recalled there is a mistake of the set, or of --gold, not of recall."""
    missing, known, names = 0, dict[str | None, set[str]](), _own(field)
    for question, answer in asked:
        if len(answer.places) < answer.gold:
            if question.scope not in known:
                known[question.scope] = _all_names(memory.bind(scope=question.scope), names)
            missing += len(set(question.gold) - known[question.scope])
    if missing:
        screen.aside(f"{counted(missing, 'name')} in gold that no memory there has; --gold says what they name")


def _all_names(handle: Memory, names: Callable[[MemoryRecord], set[str]]) -> set[str]:
    found, cursor = set[str](), None
    while True:
        page = handle.list(limit=_MOST, cursor=cursor)
        found.update(*map(names, page.items))
        cursor = page.cursor
        if cursor is None:
            return found


@contextmanager
def _ground(args: argparse.Namespace, asked: QuestionSet) -> Iterator[tuple[Memory, Sequence[Question]]]:
    """The store to ask, and questions with their scopes: a store of the file's conversations where it holds any."""
    if not asked.conversations:
        with options.open_store(args) as memory:
            questions.check_scopes(memory, asked)
            yield memory, asked.questions
        return
    import tempfile

    import walnut

    with tempfile.TemporaryDirectory(prefix="walnut-eval-") as folder, walnut.open(folder, scope="global") as memory:
        with Progress("fill") as progress:
            scopes = questions.fill(memory, asked.conversations, progress=progress)
        replaced = msgspec.structs.replace
        yield memory, [replaced(each, scope=scopes[each.conversation or ""]) for each in asked.questions]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="QUESTIONS", help="a JSONL file of questions; - reads standard input")
    parser.add_argument("-k", "--k", metavar="N", type=options.whole, action="append", help="how many of the first "
                        "hits count; may be given several times (5 and 10)")  # fmt: skip
    parser.add_argument("--mode", choices=("hybrid", "keyword", "vector", "recent"), default="hybrid", help="of recall "
                        "(hybrid)")  # fmt: skip
    parser.add_argument("--gold", metavar="FIELD", help="what gold names instead of ids and keys: source.turn, say "
                        "(of conversations in the file: their turns)")  # fmt: skip
    parser.add_argument("--beside", action="store_true", help="what stands beside a hit counts as well: its evidence, "
                        "facts made of it, the times it was said before")  # fmt: skip


def _eval(args: argparse.Namespace, screen: Screen) -> int:
    depths = sorted(set(args.k or DEPTHS))
    if not 1 <= depths[0] <= depths[-1] <= _MOST:
        raise Usage(f"1 to {_MOST:,} hits can be looked at", where="-k", hint="-k 5 -k 10")
    asked = questions.read(args.file)
    field = args.gold or ("source.turn" if asked.conversations else None)
    names = named_by(field, beside=args.beside)
    done, total = 0, len(asked.questions)
    with _ground(args, asked) as (memory, scoped), Progress("ask") as progress:

        def advance() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        answers = measure(memory, scoped, names=names, mode=args.mode, most=depths[-1], progress=advance)
        if not (args.beside or asked.conversations):  # these were checked line by line
            _tell_unknown(screen, memory, zip(scoped, answers, strict=True), field)
    found = rows(answers, depths)
    if screen.json:
        screen.document([row.plain() for row in found])
    else:
        head = ("CATEGORY", "QUESTIONS", *(f"R@{depth}" for depth in depths), "MRR", "P50 MS", "P95 MS")
        screen.table(head, [_cells(row) for row in found])
    return OK


def _cells(row: Row) -> tuple[object, ...]:
    shares = (f"{100 * share:.1f}" for share in row.recall.values())
    return (row.category, row.questions, *shares, f"{row.mrr:.3f}", f"{row.p50_ms:.1f}", f"{row.p95_ms:.1f}")


VERBS = {
    "eval": Verb(
        "eval",
        """Measure recall on your own questions: which share of the memories that answer them is among the first 5 and
        10 hits (R@5, R@10, percent), how high the first one stands (MRR: the mean of 1 / its rank), and how long it
        took.

        A line of the file is {"question": "…", "gold": ["…"], "category": "…", "scope": "…"}; the last two may be
        missing. Gold names memories by memory id, event id, LSN or key, or, with --gold source.turn, by a field of
        their source. A question's scope is the command's or one below it. What is found is noted as shown to
        agent:eval, so no undo suspects anyone for it.

        A file may also hold what it asks about, in lines {"type": "conversation", "id": "…", "sessions": [{"turns":
        [{"id": "…", "speaker": "…", "time": "…", "text": "…"}]}]}: then a store of these is made in a temporary folder
        and asked, and --store is not touched. Such a question says which "conversation" it is about, and its gold
        names turns.""",
        (
            "walnut eval questions.jsonl --scope user:alice",
            "walnut eval questions.jsonl --gold source.message_id -k 1 -k 20 --mode keyword --json",
            "walnut eval examples/recall.jsonl",
        ),
        _arguments,
        _eval,
    ),
}
