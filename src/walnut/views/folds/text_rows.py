"""The text fold's rows: a version's terms, those of the turns before it, and what else ranking knows of it."""

from __future__ import annotations

import re
import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import msgspec

from walnut.model.event import Content, Event, Json
from walnut.views.folds import terms
from walnut.views.folds.memories import session_of

#: Of each of the turns before, the first so many terms are its neighbour's context, less the stop words: a long
#: answer must not drown it.
TURNS_BEFORE = 2
CONTEXT_TERMS = 30

_DAY = 86_400 * 10**9
DAY_TERMS = 3
#: Bytes of a term.
_WIDTH = 4
_encode = msgspec.json.Encoder(order="deterministic").encode
_QUESTION_MARKS = "?\uff1f\u061f\u037e"
_SENTENCE_END = re.compile(f"[.!\u3002\uff01{_QUESTION_MARKS}](?=\\s|$)")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

_INSERT = "INSERT INTO text_docs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LATEST = (
    "SELECT occurred, lsn, speaker, body FROM text_docs WHERE session = ? ORDER BY occurred DESC, lsn DESC LIMIT ?"
)
_BEFORE = (
    "SELECT occurred, lsn, speaker, body FROM text_docs WHERE session = ? AND (occurred, lsn) < (?, ?)"
    " ORDER BY occurred DESC, lsn DESC LIMIT ?"
)


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Of the scopes read, at a moment: documents, terms in bodies and contexts, the latest `occurred` (ns)."""

    docs: int = 0
    body: int = 0
    ctx: int = 0
    newest: int = 0


class Batch:
    """Rows to insert, and what is known of the scopes and sessions they lie in."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = {}
        self._totals: dict[int, Totals] = {}
        self._sessions: dict[int, _Turns] = {}
        self._docs: list[tuple[object, ...]] = []
        self._postings: list[tuple[int, str]] = []

    def add(self, event: Event, content: Content) -> None:
        """Index one version."""
        lsn, payload, source = event.lsn, content.payload, content.source or {}
        occurred = event.recorded_at if content.occurred_at is None else content.occurred_at
        scope = self._numbers.get(content.scope) or self._number(content.scope)
        session = _session(content.scope, session_of(source))
        speaker, speaker_forms = _speaker(source.get("speaker"))
        said, tags = str(payload.get("text", "")), _tags(payload.get("tags"))
        words, forms = terms.formed(said)
        day, day_forms = _day(occurred // _DAY)
        body, body_forms = [*speaker, *day, *words], speaker_forms + day_forms + forms
        for tag_terms, tag_forms in map(terms.formed, tags):
            body += tag_terms
            body_forms += tag_forms
        ctx: list[int] = []
        if session is not None:
            turns = self._sessions.get(session) or self._sessions.setdefault(session, _Turns(self._db, session))
            ctx = turns.take(_Turn(occurred, lsn, _head(body[len(speaker) + DAY_TERMS :])))
        before = self._totals.get(scope) or totals_of(self._db, scope, upto=lsn)
        after = self._totals[scope] = Totals(
            before.docs + 1,
            before.body + len(body),
            before.ctx + len(ctx),
            max(before.newest, occurred) if before.docs else occurred,
        )
        row = (lsn, scope, session, occurred, _confidence(payload.get("confidence")), _asks(said))
        weight = len(set(words).difference(terms.STOP_TERMS))
        packed, named = array("I", body).tobytes(), _WIDTH * len(speaker)
        start = named + _WIDTH * DAY_TERMS
        echo = _echo(scope, packed[:named], packed[start : start + _WIDTH * len(words)] + forms, payload)
        fields = (echo, len(speaker), packed, body_forms, array("I", ctx).tobytes())
        self._docs.append((*row, weight, *fields, after.docs, after.body, after.ctx, after.newest))
        self._postings.append((lsn, tokens(scope, {*body, *ctx}, tags)))

    def insert(self) -> None:
        """Insert the rows."""
        self._db.executemany(_INSERT, self._docs)
        self._db.executemany("INSERT INTO text_index (rowid, token) VALUES (?, ?)", self._postings)

    def _number(self, path: str) -> int:
        found = self._db.execute("SELECT number FROM text_scopes WHERE path = ?", (path,)).fetchone()
        if found is None:
            found = (self._db.execute("INSERT INTO text_scopes (path) VALUES (?)", (path,)).lastrowid,)
        number = self._numbers[path] = int(found[0])
        return number


class _Turn(NamedTuple):
    """A turn of a session, in the order of turns."""

    occurred: int
    lsn: int
    head: list[int]


class _Turns:
    """The turns of a session that a batch brings, and the latest of those before the batch."""

    def __init__(self, db: sqlite3.Connection, session: int) -> None:
        self._db, self._session = db, session
        self._known = self._stored(_LATEST)
        #: Whether all turns from the first known on are known.
        self._since = self._known[0] if len(self._known) == TURNS_BEFORE else None

    def take(self, turn: _Turn) -> list[int]:
        """Take in a turn; the first terms of those that came before, the latest first, as known now."""
        place = bisect_left(self._known, turn)
        before = self._known[max(0, place - TURNS_BEFORE) : place]
        if self._since is not None and (len(before) < TURNS_BEFORE or before[0] < self._since):
            older = self._stored(_BEFORE, turn.occurred, turn.lsn)
            before = sorted({each.lsn: each for each in (*older, *before)}.values())[-TURNS_BEFORE:]
        self._known.insert(place, turn)
        return [term for each in reversed(before) for term in each.head]

    def _stored(self, query: str, *before: int) -> list[_Turn]:
        rows = self._db.execute(query, (self._session, *before, TURNS_BEFORE))
        found = [_Turn(at, lsn, _head(array("I", body)[speaker + DAY_TERMS :])) for at, lsn, speaker, body in rows]
        return found[::-1]


def _head(words: Sequence[int]) -> list[int]:
    """What a turn gives to the context of those after it."""
    return [term for term in words[:CONTEXT_TERMS] if term not in terms.STOP_TERMS]


def tokens(scope: int, distinct: Collection[int], tags: Sequence[str]) -> str:
    """What FTS5 indexes of a version: eight hexadecimal digits for the scope, eight for the term."""
    pairs = array("I", (scope,)) * (2 * len(distinct))
    pairs[1::2] = array("I", distinct)
    found = pairs.tobytes().hex(" ", 8)
    return " ".join((found, *(tag_token(scope, tag) for tag in tags))) if tags else found


@lru_cache(maxsize=4096)
def _session(scope: str, session: str | None) -> int | None:
    return None if session is None else _hash(f"{scope}\0{session}")


def _speaker(speaker: Json) -> tuple[list[int], bytes]:
    return _name(speaker) if isinstance(speaker, str) else ([], b"")


_name = lru_cache(maxsize=4096)(terms.formed)


def _tags(given: Json) -> list[str]:
    return [tag for tag in given if isinstance(tag, str)] if isinstance(given, list | tuple) else []


def _asks(said: str) -> bool:
    """Whether every sentence is a question."""
    said = said.rstrip()
    if not said or said[-1] not in _QUESTION_MARKS:
        return False
    return all(end in _QUESTION_MARKS for end in _SENTENCE_END.findall(said))


def _echo(scope: int, speaker: bytes, said: bytes, payload: dict[str, Json]) -> int:
    """Another key, or other data, makes it another thing though the words are the same."""
    found = crc32(said, crc32(speaker + bytes(_WIDTH), scope))
    key, data = payload.get("key"), payload.get("data")
    return found if key is None and data is None else crc32(_encode([key, data]), found)


def _confidence(given: Json) -> float | None:
    return float(given) if isinstance(given, int | float) else None


@lru_cache(maxsize=4096)
def _day(number: int) -> tuple[list[int], bytes]:
    """Terms of "8 may 2023", for the day of this number since 1970."""
    try:
        day = datetime.fromtimestamp(number * 86_400, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return [0] * DAY_TERMS, bytes(DAY_TERMS)
    return terms.formed(f"{day.day} {_MONTHS[day.month - 1]} {day.year}")


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def tag_token(scope: int, tag: str) -> str:
    """What FTS5 indexes of a tag."""
    return f"{scope}t{_hash(tag) & (1 << 64) - 1}"


def totals_of(db: sqlite3.Connection, scope: int, *, upto: int) -> Totals:
    """Of one scope, all versions up to an LSN."""
    row = db.execute(
        "SELECT docs, body_total, ctx_total, newest FROM text_docs WHERE scope = ? AND lsn <= ?"
        " ORDER BY lsn DESC LIMIT 1",
        (scope, upto),
    ).fetchone()
    return Totals(*row) if row else Totals()
