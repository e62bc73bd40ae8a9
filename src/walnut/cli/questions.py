"""Question sets in JSONL: questions with their gold, and the conversations they are about where the file has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from walnut.errors import ImportRejected, ScopeError
from walnut.interchange.source import Line, Source

if TYPE_CHECKING:
    from walnut.memory import Memory

_QUESTION = '{"question": "…", "gold": ["…"]}; category, scope and conversation are optional'
_CONVERSATION = '{"type": "conversation", "id": "…", "sessions": [{"turns": [{"id": "…", "text": "…"}]}]}'
#: Turns of one batch.
_BATCH = 500

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True):
    """A line of a question set. `gold` names the memories that answer it."""

    question: str
    gold: tuple[str, ...]
    category: str = ""
    scope: str | None = None
    conversation: str | None = None


class Turn(msgspec.Struct, frozen=True):
    """What one said. `time` is in ISO 8601; without a zone it is UTC."""

    id: str
    text: str
    speaker: str | None = None
    time: datetime | None = None


class Session(msgspec.Struct, frozen=True):
    """Turns that belong together, in their order; `time` counts for turns without one."""

    turns: tuple[Turn, ...]
    id: str | None = None
    time: datetime | None = None


class Conversation(msgspec.Struct, frozen=True):
    """A line that holds a whole conversation: it gets a scope of its own."""

    id: str
    sessions: tuple[Session, ...]

    @property
    def turns(self) -> list[str]:
        """The ids of its turns."""
        return [turn.id for session in self.sessions for turn in session.turns]


class QuestionSet(msgspec.Struct, frozen=True):
    """A whole file; `lines` are the numbers of the questions' lines."""

    questions: tuple[Question, ...]
    lines: tuple[int, ...]
    conversations: tuple[Conversation, ...] = ()


class _Kind(msgspec.Struct):
    type: str = "question"


def read(path: str) -> QuestionSet:
    """A file's lines (`-`: of standard input), each checked.

    Errors: ImportRejected, which names the line and never what stands there.
    """
    questions: list[tuple[int, Question]] = []
    conversations: dict[str, Conversation] = {}
    source = Source("stdin", stream=sys.stdin.buffer) if path == "-" else Source(path)
    try:
        for line in source.lines():
            if not line.text.strip() and line.problem is None:
                continue
            if _decoded(line, _Kind, _QUESTION).type == "conversation":
                found = _decoded(line, Conversation, _CONVERSATION)
                if found.id in conversations:
                    raise _rejected(line.number, "a conversation of an id that came before", "give each its own id")
                conversations[found.id] = found
            else:
                question = _decoded(line, Question, _QUESTION)
                if not question.gold:
                    raise _rejected(line.number, "a question without gold", "name at least one memory that answers it")
                questions.append((line.number, question))
    finally:
        source.close()
    if not questions:
        raise ImportRejected("holds no question", where=source.name, hint=_QUESTION)
    if conversations:
        _check(questions, conversations)
    lines, asked = zip(*questions, strict=True)
    return QuestionSet(asked, lines, tuple(conversations.values()))


def _decoded(line: Line, kind: type[T], hint: str) -> T:
    place = ""
    if line.problem is None:
        try:
            return msgspec.json.decode(line.text, type=kind)
        except msgspec.ValidationError as error:
            place = str(error).partition(" - at `$.")[2].rstrip("`")  # names of fields and places in lists alone
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            pass
    what = "conversation" if kind is Conversation else "question with gold"
    raise _rejected(line.number, line.problem or f"not a {what}" + (f", for its {place}" if place else ""), hint)


def _check(questions: Sequence[tuple[int, Question]], conversations: Mapping[str, Conversation]) -> None:
    """What can never be found is a mistake of the set, not of recall."""
    known = {name: frozenset(each.turns) for name, each in conversations.items()}
    for number, question in questions:
        turns = known.get(question.conversation or "")
        if turns is None:
            raise _rejected(number, "asks about a conversation that the file does not hold", 'name it: "conversation"')
        if not turns.issuperset(question.gold):
            raise _rejected(number, "gold names a turn that its conversation does not hold", "name ids of its turns")


def check_scopes(memory: Memory, asked: QuestionSet) -> None:
    """Whether every question's scope can be asked from this handle. Errors: ImportRejected, which names the line."""
    known: set[str | None] = {None}
    for number, question in zip(asked.lines, asked.questions, strict=True):
        if question.scope not in known:
            try:
                memory.bind(scope=question.scope)
            except ScopeError:
                hint = "name the scope of the command (--scope) or one below it"
                raise _rejected(number, "a scope that can't be asked from here", hint) from None
            known.add(question.scope)


def _rejected(number: int, what: str, hint: str) -> ImportRejected:
    return ImportRejected(what, where=f"line {number}", hint=hint)


def fill(
    root: Memory, conversations: Sequence[Conversation], *, progress: Callable[[int, int], None] | None = None
) -> dict[str, str]:
    """Remember every turn, in a scope of its own for each conversation; the scope of each, by its id.

    A turn's source holds its id as `turn`, beside `session` and `speaker`.
    """
    scopes: dict[str, str] = {}
    for number, conversation in enumerate(conversations, 1):
        scopes[conversation.id] = f"user:conversation-{number}"
        handle = root.bind(scope=scopes[conversation.id])
        items = [
            _item(session, place, turn)
            for place, session in enumerate(conversation.sessions, 1)
            for turn in session.turns
        ]
        for start in range(0, len(items), _BATCH):
            handle.remember_many(items[start : start + _BATCH])
        if progress is not None:
            progress(number, len(conversations))
    root.wait(timeout=3600)
    return scopes


def _item(session: Session, place: int, turn: Turn) -> dict[str, object]:
    source = {"session": session.id or f"session {place}", "turn": turn.id}
    item: dict[str, object] = {"text": turn.text, "source": source}
    if turn.speaker is not None:
        source["speaker"] = turn.speaker
    time = turn.time or session.time
    if time is not None:
        item["occurred_at"] = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return item
