"""Who takes part in the comparison of recall: each store's name, settings, environment and colour."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.environment import PYTHON
from bench.finders.task import Task, Turn
from bench.ground import ROOT
from bench.recalled import Found, of
from walnut.cli.evaluate import Answer
from walnut.cli.questions import QuestionSet

#: Seconds that one store may take for all of it.
LIMIT = 7200


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One party. `setup` says for readers what it was given, `home` that it runs in the project's own environment."""

    name: str
    label: str
    setup: str
    colour: str
    home: bool = False


_BLUE, _SKY, _ORANGE, _GREEN, _PINK = "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7"

CONTESTANTS = (
    Contestant(name="walnut", label="Walnut", setup="as it comes (mode `hybrid`)", colour=_BLUE, home=True),
    Contestant(name="walnut-keyword", label="Walnut, keyword", setup="without vectors", colour=_SKY, home=True),
    Contestant(name="walnut-vector", label="Walnut, vector", setup="vectors alone", colour=_SKY, home=True),
    Contestant(
        name="fts5",
        label="SQLite FTS5",
        setup="`porter`, the question's words joined by OR, `bm25`; the text starts with speaker and day",
        colour=_ORANGE,
        home=True,
    ),
    Contestant(
        name="chroma",
        label="Chroma",
        setup="Walnut's static vectors handed over, cosine; the text starts with the speaker",
        colour=_GREEN,
    ),
    Contestant(
        name="mem0",
        label="mem0",
        setup="`infer=False` (no model is called), the same vectors; qdrant in files, no threshold",
        colour=_PINK,
    ),
    Contestant(
        name="chroma-encoder",
        label="Chroma, encoder",
        setup="vectors of all-MiniLM-L6-v2, the sentence encoder itself (numpy, on the CPU)",
        colour=_GREEN,
    ),
    Contestant(
        name="walnut-encoder",
        label="Walnut, encoder",
        setup="the encoder's vectors handed over: `remember(embedding=…)`, `recall(embedding=…)`",
        colour=_BLUE,
    ),
)
BY_NAME = {each.name: each for each in CONTESTANTS}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One party's recall and costs: seconds and CPU to take all in, bytes in files, CPU of a query in milliseconds."""

    name: str
    found: Found
    ingest_s: float
    ingest_cpu_s: float
    bytes: int
    query_p50_ms: float
    query_p95_ms: float
    #: The questions, by number, of which it found some of the gold among its ten.
    answered: tuple[int, ...]


class _Answered(msgspec.Struct, frozen=True):
    """What a finder prints."""

    ingest_s: float
    ingest_cpu_s: float
    bytes: int
    query_cpu_ms: list[float]
    found: list[list[str]]


def task_of(asked: QuestionSet) -> Task:
    """The turns and questions of a set, a scope a conversation."""
    scopes = {each.id: f"user:conversation-{number}" for number, each in enumerate(asked.conversations, 1)}
    turns = []
    for conversation in asked.conversations:
        for place, session in enumerate(conversation.sessions, 1):
            for turn in session.turns:
                time = turn.time or session.time
                when = "" if time is None else time.isoformat() if time.tzinfo else f"{time.isoformat()}Z"
                name = session.id or f"session {place}"
                turns.append(Turn(scopes[conversation.id], turn.id, name, turn.speaker or "", when, turn.text))
    return Task(turns, [(scopes[each.conversation or ""], each.question) for each in asked.questions])


def run(contestant: Contestant, asked: QuestionSet, task: Path) -> Measured | str:
    """Let it take in and answer, in a process and a folder of its own; why not, where it can't."""
    python = Path(sys.executable) if contestant.home else PYTHON
    if not python.exists():
        return "the peers' environment could not be made here"
    parent = ROOT / ".cache"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="recall-", dir=parent) as folder:
        words = [str(python), "-m", "bench.finders", contestant.name, str(task), folder]
        # One thread of BLAS: more wait busily for one another, and CPU is what is compared here.
        environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OPENBLAS_NUM_THREADS": "1", "HOME": folder}
        done = subprocess.run(
            words, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=LIMIT
        )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["unknown"])[-1]
    return _counted(contestant.name, asked, msgspec.json.decode(done.stdout.splitlines()[-1], type=_Answered))


def _counted(name: str, asked: QuestionSet, answered: _Answered) -> Measured:
    answers = [
        _answer(question.category, question.gold, found)
        for question, found in zip(asked.questions, answered.found, strict=True)
    ]
    times = sorted(answered.query_cpu_ms)
    return Measured(
        name=name,
        found=of(name, asked, answers),
        ingest_s=answered.ingest_s,
        ingest_cpu_s=answered.ingest_cpu_s,
        bytes=answered.bytes,
        query_p50_ms=times[len(times) // 2],
        query_p95_ms=times[min(len(times) - 1, len(times) * 19 // 20)],
        answered=tuple(number for number, answer in enumerate(answers) if answer.places),
    )


def _answer(category: str, gold: Sequence[str], found: Sequence[str]) -> Answer:
    wanted = set(gold)
    places = tuple(place for place, each in enumerate(dict.fromkeys(found), 1) if each in wanted)
    return Answer(category, places, len(wanted), 0.0)
