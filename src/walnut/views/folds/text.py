"""The text fold: which memory versions hold which terms, with the counts that BM25 needs, scope by scope.

FTS5 keeps the postings: a document is the LSN of a version, a token is the number of its scope, a letter and a
number ("7w1094": term 1094 in scope 7), so one scope's postings are never read for another's. All else (lengths,
running totals, term lists for term frequencies) lies in `text_docs`. Rows are only ever added: whatever is asked
with `upto=n` is what a replay up to n would hold.
"""

from __future__ import annotations

import re
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

import msgspec

from walnut.model.event import Content, Event, Json
from walnut.model.scope import ROOT
from walnut.views.folds import terms
from walnut.views.folds.memories import session_of

_SCHEMA = (
    "CREATE TABLE text_scopes (number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE)",
    """
    CREATE TABLE text_docs (
        lsn INTEGER PRIMARY KEY,
        scope INTEGER NOT NULL,
        session INTEGER,                -- hash of scope and session
        occurred INTEGER NOT NULL,      -- ns
        confidence REAL,
        asks INTEGER NOT NULL,          -- whether it is nothing but questions
        says INTEGER NOT NULL,          -- how many distinct words it has, less the stop words
        echo INTEGER NOT NULL,          -- hash of scope, speaker, words, key and data: equal for repetitions
        speaker INTEGER NOT NULL,       -- how many terms of the body name the speaker; they come first
        body BLOB NOT NULL,             -- 32-bit terms: speaker, day (three), text, tags
        ctx BLOB NOT NULL,              -- 32-bit terms of the turns before
        docs INTEGER NOT NULL,          -- running totals of the scope, this row included: rows,
        body_total INTEGER NOT NULL,    -- terms in bodies,
        ctx_total INTEGER NOT NULL,     -- terms in contexts,
        newest INTEGER NOT NULL         -- and the latest `occurred`
    )
    """,
    "CREATE INDEX text_docs_scope ON text_docs (scope, lsn)",
    "CREATE INDEX text_docs_session ON text_docs (session, occurred, lsn) WHERE session IS NOT NULL",
    "CREATE VIRTUAL TABLE text_index USING fts5(token, content='', columnsize=0, detail=none, tokenize=ascii)",
    # Merge early: applied event by event, searches take half as long and inserts no longer (in bulk: a fifth).
    "INSERT INTO text_index (text_index, rank) VALUES ('automerge', 2)",
    "CREATE VIRTUAL TABLE text_tokens USING fts5vocab(text_index, instance)",
)

#: Of each of the turns before, the first so many terms are its neighbour's context, less the stop words: a long
#: answer must not drown it.
TURNS_BEFORE = 2
CONTEXT_TERMS = 30

#: Scopes that one FTS5 expression names at most.
_SCOPES_AT_ONCE = 200
_KINDS = frozenset({"memory.write", "memory.update"})
_DAY = 86_400 * 10**9
DAY_TERMS = 3
_encode = msgspec.json.Encoder(order="deterministic").encode
_QUESTION_MARKS = "?\uff1f\u061f\u037e"
_SENTENCE_END = re.compile(f"[.!\u3002\uff01{_QUESTION_MARKS}](?=\\s|$)")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Of the scopes read, at a moment: documents, terms in bodies and contexts, the latest `occurred` (ns)."""

    docs: int = 0
    body: int = 0
    ctx: int = 0
    newest: int = 0


class Doc(msgspec.Struct, frozen=True, gc=False):
    """What ranking needs of one version.

    `asks`: it is nothing but questions; `says`: distinct words of weight; `echo`: equal for those that repeat
    each other. `body` and `ctx` are 32-bit terms; the first `speaker` of `body` name who said it, the next three
    the day.
    """

    lsn: int
    session: int | None
    occurred: int
    confidence: float | None
    asks: int
    says: int
    echo: int
    speaker: int
    body: bytes
    ctx: bytes


# --- the fold ---------------------------------------------------------------------------------------


class TextFold:
    """Indexes every version of a memory, so that any moment can be searched."""

    name = "text"
    version = 3
    schema = _SCHEMA

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Index the versions that these events write."""
        numbers: dict[str, int] = {}
        totals: dict[int, Totals] = {}
        for event in events:
            content = event.content
            if event.kind in _KINDS and content is not None:
                _add(db, event, content, numbers, totals)

    def digest(self, db: sqlite3.Connection) -> str:
        """A hash for each table: scopes, documents, postings."""
        return " ".join(f"{table}={_digest(db, query)}" for table, query in _ROWS.items())


_ROWS = {
    "scopes": "SELECT number, path FROM text_scopes ORDER BY number",
    "docs": "SELECT * FROM text_docs ORDER BY lsn",
    "postings": "SELECT term, group_concat(doc) FROM text_tokens GROUP BY term ORDER BY term",
}


def _digest(db: sqlite3.Connection, query: str) -> str:
    state = blake2b(digest_size=16)
    for row in db.execute(query):
        state.update(repr(row).encode())
    return state.hexdigest()


def _add(
    db: sqlite3.Connection, event: Event, content: Content, numbers: dict[str, int], totals: dict[int, Totals]
) -> None:
    """Index one version. `numbers` and `totals` of scopes are remembered from one event of a chunk to the next."""
    lsn, payload = event.lsn, content.payload
    occurred = event.recorded_at if content.occurred_at is None else content.occurred_at
    scope = numbers.get(content.scope) or numbers.setdefault(content.scope, _number(db, content.scope))
    source, tags = content.source or {}, _tags(payload.get("tags"))
    session, speaker = _session(content.scope, session_of(source)), _speaker(source.get("speaker"))
    said = str(payload.get("text", ""))
    words = terms.terms(said)
    body = [*speaker, *_day(occurred // _DAY), *words]
    for tag in tags:
        body += terms.terms(tag)
    ctx = () if session is None else _turns_before(db, session, occurred, lsn)
    before = totals.get(scope) or _totals_of(db, scope, upto=lsn)
    after = totals[scope] = Totals(
        before.docs + 1,
        before.body + len(body),
        before.ctx + len(ctx),
        max(before.newest, occurred) if before.docs else occurred,
    )
    db.execute(
        "INSERT INTO text_docs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(lsn, scope, session, occurred, _confidence(payload.get("confidence"))),
            *(_asks(said), len(set(words) - terms.STOP_TERMS), _echo(scope, speaker, words, payload), len(speaker)),
            *(array("I", body).tobytes(), array("I", ctx).tobytes()),
            *(after.docs, after.body, after.ctx, after.newest),
        ),
    )
    distinct = tuple({*body, *ctx})
    tokens = (f" {scope}w%d" * len(distinct)) % distinct
    for tag in tags:
        tokens += f" {_tag_token(scope, tag)}"
    db.execute("INSERT INTO text_index (rowid, token) VALUES (?, ?)", (lsn, tokens))


def _turns_before(db: sqlite3.Connection, session: int, occurred: int, lsn: int) -> list[int]:
    """The first terms of the turns that came before in the session, by `occurred`, then LSN, as known now."""
    rows = db.execute(
        "SELECT speaker, body FROM text_docs WHERE session = ? AND (occurred, lsn) < (?, ?)"
        " ORDER BY occurred DESC, lsn DESC LIMIT ?",
        (session, occurred, lsn, TURNS_BEFORE),
    )
    found: list[int] = []
    for speaker, body in rows:
        start = speaker + DAY_TERMS
        found += array("I", body)[start : start + CONTEXT_TERMS]
    return [term for term in found if term not in terms.STOP_TERMS]


def _number(db: sqlite3.Connection, path: str) -> int:
    found = db.execute("SELECT number FROM text_scopes WHERE path = ?", (path,)).fetchone()
    if found is None:
        found = (db.execute("INSERT INTO text_scopes (path) VALUES (?)", (path,)).lastrowid,)
    return int(found[0])


@lru_cache(maxsize=4096)
def _session(scope: str, session: str | None) -> int | None:
    return None if session is None else _hash(f"{scope}\0{session}")


def _speaker(speaker: Json) -> tuple[int, ...]:
    return _name(speaker) if isinstance(speaker, str) else ()


@lru_cache(maxsize=4096)
def _name(name: str) -> tuple[int, ...]:
    return tuple(terms.terms(name))


def _tags(given: Json) -> list[str]:
    return [tag for tag in given if isinstance(tag, str)] if isinstance(given, list | tuple) else []


def _asks(said: str) -> bool:
    """Whether every sentence is a question."""
    said = said.rstrip()
    if not said or said[-1] not in _QUESTION_MARKS:
        return False
    return all(end in _QUESTION_MARKS for end in _SENTENCE_END.findall(said))


def _echo(scope: int, speaker: Sequence[int], words: Sequence[int], payload: dict[str, Json]) -> int:
    """Another key, or other data, makes it another thing though the words are the same."""
    said = crc32(array("I", [*speaker, 0, *words]).tobytes(), scope)
    key, data = payload.get("key"), payload.get("data")
    return said if key is None and data is None else crc32(_encode([key, data]), said)


def _confidence(given: Json) -> float | None:
    return float(given) if isinstance(given, int | float) else None


@lru_cache(maxsize=4096)
def _day(number: int) -> tuple[int, ...]:
    """Terms of "8 may 2023", for the day of this number since 1970."""
    try:
        day = datetime.fromtimestamp(number * 86_400, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return (0, 0, 0)
    return tuple(terms.terms(f"{day.day} {_MONTHS[day.month - 1]} {day.year}"))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _tag_token(scope: int, tag: str) -> str:
    return f"{scope}t{_hash(tag) & (1 << 64) - 1}"


# --- questions ----------------------------------------------------------------------------------------


def scope_numbers(db: sqlite3.Connection, readable: Sequence[str], *, below: bool) -> list[int]:
    """The numbers of a scope and its ancestors, nearest first (`below`: and of its descendants), that hold text."""
    scope = readable[0]
    if below and scope == ROOT:
        return [row[0] for row in db.execute("SELECT number FROM text_scopes ORDER BY number")]
    found: list[int] = []
    for path in readable:
        found += (row[0] for row in db.execute("SELECT number FROM text_scopes WHERE path = ?", (path,)))
    if below:  # "0" is the character after "/"
        inside = "SELECT number FROM text_scopes WHERE path > ? AND path < ? ORDER BY number"
        found += (row[0] for row in db.execute(inside, (scope + "/", scope + "0")))
    return found


def totals(db: sqlite3.Connection, scopes: Sequence[int], *, upto: int) -> Totals:
    """The sums over these scopes of all versions up to an LSN."""
    each = [found for scope in scopes if (found := _totals_of(db, scope, upto=upto)).docs]
    return Totals(
        docs=sum(one.docs for one in each),
        body=sum(one.body for one in each),
        ctx=sum(one.ctx for one in each),
        newest=max((one.newest for one in each), default=0),
    )


def _totals_of(db: sqlite3.Connection, scope: int, *, upto: int) -> Totals:
    row = db.execute(
        "SELECT docs, body_total, ctx_total, newest FROM text_docs WHERE scope = ? AND lsn <= ?"
        " ORDER BY lsn DESC LIMIT 1",
        (scope, upto),
    ).fetchone()
    return Totals(*row) if row else Totals()


def frequency(db: sqlite3.Connection, scopes: Sequence[int], term: int, *, upto: int) -> int:
    """How many versions in these scopes hold the term."""
    counts = (
        db.execute("SELECT count(*) FROM text_index WHERE text_index MATCH ? AND rowid <= ?", (match, upto))
        for match in _matches(scopes, term, ())
    )
    return sum(row[0] for count in counts for row in count)


def postings(
    db: sqlite3.Connection, scopes: Sequence[int], term: int, *, upto: int, tags: Sequence[str], most: int
) -> list[int]:
    """LSNs of the versions that hold the term and all the tags, newest first, at most so many."""
    found: list[int] = []
    for match in _matches(scopes, term, tags):
        rows = db.execute(
            "SELECT rowid FROM text_index WHERE text_index MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?",
            (match, upto, most),
        )
        found += [row[0] for row in rows]
    return sorted(found, reverse=True)[:most]


def tagged(db: sqlite3.Connection, scopes: Sequence[int], lsns: Sequence[int], tags: Sequence[str]) -> set[int]:
    """Those of these versions that have all the tags."""
    found: set[int] = set()
    for start in range(0, len(scopes), _SCOPES_AT_ONCE):
        few = scopes[start : start + _SCOPES_AT_ONCE]
        wanted = ([_tag_token(scope, tag) for scope in few] for tag in tags)
        match = " AND ".join(f"({' OR '.join(tokens)})" for tokens in wanted)
        rows = db.execute(
            "SELECT rowid FROM text_index WHERE text_index MATCH ? AND rowid IN (SELECT value FROM json_each(?))",
            (match, f"[{','.join(map(str, lsns))}]"),
        )
        found.update(row[0] for row in rows)
    return found


def _matches(scopes: Sequence[int], term: int, tags: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(scopes), _SCOPES_AT_ONCE):
        few = scopes[start : start + _SCOPES_AT_ONCE]
        wanted = [[f"{scope}w{term}" for scope in few]]
        wanted += ([_tag_token(scope, tag) for scope in few] for tag in tags)
        yield " AND ".join(f"({' OR '.join(tokens)})" for tokens in wanted)


def docs(db: sqlite3.Connection, lsns: Sequence[int]) -> list[Doc]:
    """The rows of these versions, in the order of their LSNs."""
    rows = db.execute(
        "SELECT lsn, session, occurred, confidence, asks, says, echo, speaker, body, ctx FROM text_docs"
        " WHERE lsn IN (SELECT value FROM json_each(?)) ORDER BY lsn",
        (f"[{','.join(map(str, lsns))}]",),
    )
    return [Doc(*row) for row in rows]
