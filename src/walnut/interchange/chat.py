"""Chats: lists of messages with role and content, one memory a message with its session, turn and speaker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec

from walnut.interchange import times
from walnut.interchange.source import Bad, Piece
from walnut.model.event import Json

KIND = "messages"
_SESSIONS = ("conversation_id", "session_id", "session", "thread_id", "chat_id")
_TEXT_PARTS = ("text", "input_text", "output_text")
#: A conversation without an id is named by its beginning, up to the first message of a user, at most so many.
_BEGINNING = 8


def read(rows: Iterable[tuple[int, dict[str, Json] | str]], *, assume_utc: bool) -> Iterator[Piece]:
    """Rows are messages of one conversation, or conversations `{"messages": […]}`. A str in a row is a reason."""
    turns: dict[str, int] = {}
    waiting: list[tuple[int, dict[str, Json]]] = []  # messages before the conversation has a name
    unnamed: str | None = None
    for number, row in rows:
        if isinstance(row, str):
            yield Piece(number, problem=row)
        elif isinstance(messages := row.get("messages"), list):
            yield from _conversation(number, row, messages, assume_utc=assume_utc)
        elif unnamed is None and not _named(row):
            waiting.append((number, row))
            if row.get("role") in ("user", "human") or len(waiting) == _BEGINNING:
                unnamed = _name(message for _, message in waiting)
                for each in waiting:
                    yield _message(*each, unnamed, turns, assume_utc=assume_utc)
                waiting.clear()
        else:
            yield _message(number, row, unnamed or "", turns, assume_utc=assume_utc)
    if waiting:
        unnamed = _name(message for _, message in waiting)
        for each in waiting:
            yield _message(*each, unnamed, turns, assume_utc=assume_utc)


def _conversation(number: int, row: dict[str, Json], messages: list[Json], *, assume_utc: bool) -> Iterator[Piece]:
    if not all(isinstance(message, dict) for message in messages):
        yield Piece(number, problem="a message is not an object")
        return
    dicts = [message for message in messages if isinstance(message, dict)]
    session = _named(row) or (row["id"] if isinstance(row.get("id"), str) else None) or _name(_opening(dicts))
    turns: dict[str, int] = {}
    for message in dicts:
        yield _message(number, message, str(session), turns, assume_utc=assume_utc)


def _opening(messages: list[dict[str, Json]]) -> list[dict[str, Json]]:
    end = next((n for n, m in enumerate(messages[:_BEGINNING], 1) if m.get("role") in ("user", "human")), _BEGINNING)
    return messages[:end]


def _named(row: dict[str, Json]) -> str | None:
    found = next((row[name] for name in _SESSIONS if isinstance(row.get(name), str | int)), None)
    return None if found is None or found == "" else str(found)


def _name(messages: Iterable[dict[str, Json]]) -> str:
    """The same beginning gives the same name, in whatever file; a conversation may grow."""
    messages = [*messages]
    try:
        told = msgspec.msgpack.encode(messages, order="deterministic")
    except OverflowError:  # an integer beyond 64 bits
        told = repr(messages).encode()
    return "chat-" + blake2b(told, digest_size=8).hexdigest()


def _message(number: int, row: dict[str, Json], unnamed: str, turns: dict[str, int], *, assume_utc: bool) -> Piece:
    session = _named(row) or unnamed
    turn = turns[session] = turns.get(session, 0) + 1
    try:
        role, text, left_out = _said(row)
        if not text.strip():
            return Piece(number, skipped="a message without text" + (f" ({', '.join(left_out)})" if left_out else ""))
        source: dict[str, Json] = {"session": session, "turn": turn, "speaker": role}
        if isinstance(name := row.get("name"), str) and name:
            source["tool" if role in ("tool", "function") else "speaker"] = name
        if isinstance(ident := row.get("message_id", row.get("id")), str) and ident:
            source["message_id"] = ident
        if isinstance(model := row.get("model"), str) and model:
            source["model"] = model
        item: dict[str, object] = {"text": text, "source": source}
        if left_out:
            item["data"] = {"left_out": [*left_out]}
        when = next((row[name] for name in times.NAMES if row.get(name) is not None), None)
        if when is not None:
            item["occurred_at"] = times.iso(when, assume_utc=assume_utc)
    except Bad as error:
        return Piece(number, problem=str(error))
    return Piece(number, KIND, item)


def _said(row: dict[str, Json]) -> tuple[str, str, list[str]]:
    """Who said it, the text, and the types of parts that are none."""
    role, content = row.get("role"), row.get("content")
    if not isinstance(role, str) or not role:
        raise Bad("a message has no role")
    if content is None:
        return role, "", [name for name in ("tool_calls", "function_call", "refusal") if row.get(name)]
    if isinstance(content, str):
        return role, content, []
    if not isinstance(content, list):
        raise Bad("the content is a string or a list of parts")
    texts, left_out = [], []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, dict) or not isinstance(kind := part.get("type"), str):
            raise Bad("a part of the content has no type")
        elif kind in _TEXT_PARTS and isinstance(text := part.get("text"), str):
            texts.append(text)
        elif kind not in left_out:
            left_out.append(kind)
    return role, "\n".join(texts), left_out
