"""The text fold: which memory versions hold which terms, with the counts that BM25 needs, scope by scope.

FTS5 keeps the postings: a document is the LSN of a version, a token is the number of its scope and of a term in
hexadecimal digits, so one scope's postings are never read for another's. All else (lengths, running totals, term
lists for term frequencies) lies in `text_docs`. Rows are only ever added: whatever is asked with `upto=n` is what a
replay up to n would hold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from walnut.model.event import Event
from walnut.model.scope import ROOT
from walnut.views.folds.text_rows import Batch, Totals, tag_token, tokens, totals_of

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
        echo INTEGER NOT NULL,          -- hash of scope, speaker, words, key, data: equal for repetitions
        speaker INTEGER NOT NULL,       -- how many terms of the body name the speaker; they come first
        body BLOB NOT NULL,             -- 32-bit terms: speaker, day (three), text, tags
        forms BLOB NOT NULL,            -- a byte for each of these: the form of the word
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

#: Scopes that one FTS5 expression names at most.
_SCOPES_AT_ONCE = 200
_KINDS = frozenset({"memory.write", "memory.update"})


class Doc(msgspec.Struct, frozen=True, gc=False):
    """What ranking needs of one version.

    `asks`: it is nothing but questions; `says`: distinct words of weight; `echo`: equal for those that repeat
    each other. `body` and `ctx` are 32-bit terms; the first `speaker` of `body` name who said it, the next three
    the day. `forms`: a byte for each of `body`, as in `terms.formed`.
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
    forms: bytes
    ctx: bytes


# --- the fold ---------------------------------------------------------------------------------------


class TextFold:
    """Indexes every version of a memory, so that any moment can be searched."""

    name = "text"
    version = 5
    schema = _SCHEMA

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Index the versions that these events write."""
        batch = Batch(db)
        for event in events:
            if event.kind in _KINDS and event.content is not None:
                batch.add(event, event.content)
        batch.insert()

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
    each = [found for scope in scopes if (found := totals_of(db, scope, upto=upto)).docs]
    return Totals(
        docs=sum(one.docs for one in each),
        body=sum(one.body for one in each),
        ctx=sum(one.ctx for one in each),
        newest=max((one.newest for one in each), default=0),
    )


def frequency(db: sqlite3.Connection, scopes: Sequence[int], term: int, *, upto: int, after: int = 0) -> int:
    """How many versions in these scopes hold the term, of those with `after` < LSN <= `upto`."""
    query = "SELECT count(*) FROM text_index WHERE text_index MATCH ? AND rowid > ? AND rowid <= ?"
    counts = (db.execute(query, (match, after, upto)) for match in _matches(scopes, term, ()))
    return sum(row[0] for count in counts for row in count)


def postings(
    db: sqlite3.Connection, scopes: Sequence[int], term: int, *, upto: int, tags: Sequence[str], most: int
) -> list[int]:
    """LSNs of the versions that hold the term and all the tags, newest first, at most so many."""
    found: list[int] = []
    for match in _matches(scopes, term, tags):
        rows = db.execute(_POSTINGS, (match, upto, most))
        for row in rows:
            found += _lsns(row[0])
    return sorted(found, reverse=True)[:most]


#: One row that lists them: to fetch a row each takes three times as long.
_POSTINGS = (
    "SELECT json_group_array(rowid) FROM (SELECT rowid FROM text_index WHERE text_index MATCH ? AND rowid <= ?"
    " ORDER BY rowid DESC LIMIT ?)"
)
_lsns = msgspec.json.Decoder(list[int]).decode


def tagged(db: sqlite3.Connection, scopes: Sequence[int], lsns: Sequence[int], tags: Sequence[str]) -> set[int]:
    """Those of these versions that have all the tags."""
    found: set[int] = set()
    for start in range(0, len(scopes), _SCOPES_AT_ONCE):
        few = scopes[start : start + _SCOPES_AT_ONCE]
        wanted = ([tag_token(scope, tag) for scope in few] for tag in tags)
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
        wanted = [[tokens(scope, (term,), ()) for scope in few]]
        wanted += ([tag_token(scope, tag) for scope in few] for tag in tags)
        yield " AND ".join(f"({' OR '.join(tokens)})" for tokens in wanted)


def docs(db: sqlite3.Connection, lsns: Sequence[int]) -> list[Doc]:
    """The rows of these versions, in the order of their LSNs."""
    rows = db.execute(
        "SELECT lsn, session, occurred, confidence, asks, says, echo, speaker, body, forms, ctx FROM text_docs"
        " WHERE lsn IN (SELECT value FROM json_each(?)) ORDER BY lsn",
        (f"[{','.join(map(str, lsns))}]",),
    )
    return [Doc(*row) for row in rows]


def turns(db: sqlite3.Connection, lsn: int, *, after: bool, upto: int, most: int) -> list[int]:
    """LSNs of the versions next to this one in its session, nearest first, by `occurred`, then LSN."""
    found = db.execute("SELECT session, occurred FROM text_docs WHERE lsn = ?", (lsn,)).fetchone()
    if found is None or found[0] is None:
        return []
    query = (
        "SELECT lsn FROM text_docs WHERE session = ? AND (occurred, lsn) > (?, ?) AND lsn <= ?"
        " ORDER BY occurred, lsn LIMIT ?"
        if after
        else "SELECT lsn FROM text_docs WHERE session = ? AND (occurred, lsn) < (?, ?) AND lsn <= ?"
        " ORDER BY occurred DESC, lsn DESC LIMIT ?"
    )
    return [row[0] for row in db.execute(query, (*found, lsn, upto, most))]
