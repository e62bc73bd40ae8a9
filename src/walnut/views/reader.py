"""Reading the views: one consistent state, asked about any moment up to it (V6, T1, T2)."""

# ruff: noqa: S608 - statements are put together from fragments and numbers of our own; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from types import TracebackType
from typing import Self

import msgspec

from walnut.model.event import Json
from walnut.model.requests import Selector
from walnut.model.scope import ROOT
from walnut.views.visibility import REVERT, SHOWN, Chosen, Moment

__all__ = ["Chosen", "Moment", "Snapshot"]

_decode = msgspec.json.Decoder(dict[str, Json]).decode
_encode = msgspec.json.Encoder().encode

#: Causes of one event that are looked at, the newest.
_MOST_CAUSES = 64
#: Whether the event counts at :n.
_COUNTS = (
    "NOT EXISTS (SELECT 1 FROM dark d WHERE d.lsn = {lsn} AND d.since <= :n AND (d.until IS NULL OR d.until > :n))"
)
#: LSN of the latest forgetting of {memory} that counts at :n, 0 if there is none.
_FORGOTTEN = f"""coalesce((
        SELECT max(f.lsn) FROM forgets f
        WHERE f.memory = {{memory}} AND f.lsn <= :n AND {_COUNTS.format(lsn="f.lsn")}), 0)"""
#: The versions of {memory} that have begun and count at (:n, :t), whether or not they have ended.
_BEGUN = f"""
    FROM versions w
    WHERE w.memory = {{memory}} AND w.valid_from <= :t AND w.lsn <= :n AND {_COUNTS.format(lsn="w.lsn")}
      AND w.lsn > {_FORGOTTEN}"""
#: LSN of the latest-starting one of these.
_LATEST = f"(SELECT w.lsn {_BEGUN} ORDER BY w.valid_from DESC, w.lsn DESC LIMIT 1)"
_LASTS = "(v.valid_until IS NULL OR v.valid_until > :t) AND (v.expires_at IS NULL OR v.expires_at > :t)"
_CHOSEN = (
    "SELECT v.memory, v.lsn, (SELECT max(u.lsn) FROM touches u WHERE u.memory = v.memory AND u.lsn <= :n),"
    " (SELECT s.path FROM scopes s WHERE s.number = v.scope)"
)
_CHOOSE = f"{_CHOSEN} FROM versions v WHERE v.lsn = {_LATEST.format(memory=':memory')} AND {_LASTS}"
#: Asked the other way round, which is half the work: that the version counts, and that no later-starting one does.
_CURRENT = (
    "SELECT v.lsn, v.memory FROM json_each(:lsns) j CROSS JOIN versions v ON v.lsn = j.value"
    f" WHERE v.valid_from <= :t AND v.lsn <= :n AND {_LASTS} AND {_COUNTS.format(lsn='v.lsn')}"
    f" AND v.lsn > {_FORGOTTEN.format(memory='v.memory')}"
    f" AND NOT EXISTS (SELECT 1 {_BEGUN.format(memory='v.memory')}"
    " AND (w.valid_from, w.lsn) > (v.valid_from, v.lsn))"
)
_SEEN = (
    "(v.scope IS f.scope OR EXISTS (SELECT 1 FROM scopes s, scopes t WHERE s.number = v.scope AND t.number = f.scope"
    " AND (s.path = :root OR substr(t.path, 1, length(s.path) + 1) = s.path || '/')))"
)
_SOURCES = f"""
    SELECT e.effect, count(DISTINCT CASE WHEN {_SEEN} THEN coalesce(-v.session, v.lsn) ELSE 0 END) AS sources
    FROM json_each(:lsns) j CROSS JOIN edges e ON e.effect = j.value
        AND e.cause IN (SELECT c.cause FROM edges c WHERE c.effect = j.value ORDER BY c.cause DESC LIMIT :most)
    JOIN events f ON f.lsn = e.effect JOIN events v ON v.lsn = e.cause
    WHERE NOT {_SEEN} OR {_COUNTS.format(lsn="e.cause")}
    GROUP BY e.effect HAVING sources > 1"""


class Snapshot:
    """All views as of one LSN, for one thread at a time; a context manager, whose end gives the connection back.

    `db` is the connection inside its read transaction, for the queries of other folds. A damaged file raises
    sqlite3.DatabaseError in any method; leaving the block with one has the view rebuilt before the next read.
    `generation` goes up whenever another file takes the place of the one read before: what was kept of a lower one
    is worth nothing.
    """

    def __init__(
        self, db: sqlite3.Connection, lsn: int, *, done: Callable[[BaseException | None], None], generation: int = 0
    ) -> None:
        self.db = db
        self.lsn = lsn
        self.generation = generation
        self._done = done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done(error)

    # -- memories ----------------------------------------------------------------------------------------------

    def choose(self, memory: bytes, moment: Moment) -> Chosen | None:
        """The version of a memory (17 bytes) at the moment, None when it is absent then."""
        asked = {"memory": memory, "n": moment.lsn, "t": moment.valid_at}
        row = self.db.execute(_CHOOSE, asked).fetchone()
        return Chosen(*row) if row else None

    def current(self, lsns: Iterable[int], moment: Moment) -> dict[int, bytes]:
        """Those of these version LSNs that are the chosen ones of their memories (17 bytes) at the moment."""
        asked = {"n": moment.lsn, "t": moment.valid_at, "lsns": f"[{_integers(lsns)}]"}
        return dict(self.db.execute(_CURRENT, asked))

    def listing(
        self,
        scopes: Sequence[str],
        moment: Moment,
        *,
        below: bool = False,
        tags: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
        min_confidence: float | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Chosen]:
        """Memories of these scopes (`below`: of all scopes below the first, too), the latest written first.

        All given conditions hold: every tag, `since` <= occurred_at < `until` (ns), a stated confidence of at
        least `min_confidence`. To go on, pass the `lsn` of the last one as `before`.
        """
        paths = [*scopes, *(self.scopes_below(scopes[0]) if below and scopes else ())]
        conditions: dict[str, str | int | float | None] = {
            "t": moment.valid_at,
            "n": moment.lsn,
            "newest": min(moment.lsn, self.lsn if before is None else before - 1),
            "since": since,
            "until": until,
            "least": min_confidence,
        }
        query = _listing_query(tags, since=since, until=until, min_confidence=min_confidence)
        conditions.update({f"tag{number}": tag for number, tag in enumerate(dict.fromkeys(tags))})

        def pages(scope: int) -> Iterator[Chosen]:
            return (Chosen(*row) for row in self.db.execute(query, {**conditions, "scope": scope}))

        found = merge(*map(pages, self._numbers(paths)), key=lambda chosen: -chosen.lsn)
        return list(islice(found, limit))

    def any_tag(self, prefix: str) -> bool:
        """Whether any version in the store has a tag that begins so."""
        query = "SELECT 1 FROM tags WHERE tag >= ? AND tag < ? LIMIT 1"
        return self.db.execute(query, (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))).fetchone() is not None

    def tagged(self, tags: Iterable[str], scopes: Sequence[str], upto: int) -> list[tuple[str, int]]:
        """Each of these tags with the LSNs of the versions in these scopes that have it, the newest first."""
        query = (
            "SELECT g.tag, g.lsn FROM json_each(:tags) j CROSS JOIN tags g ON g.tag = j.value"
            f" WHERE g.scope IN ({_integers(self._numbers(scopes))}) AND g.lsn <= :n ORDER BY g.lsn DESC"
        )
        return list(self.db.execute(query, {"tags": _encode(list(tags)).decode(), "n": upto}))

    def count(self, scope: str, moment: Moment) -> int:
        """How many memories there are in the scope and below."""
        query = (
            f"SELECT count(*) FROM versions v WHERE v.scope = :scope AND v.lsn <= :n AND {_LASTS}"
            f" AND v.lsn = {_LATEST.format(memory='v.memory')}"
        )
        asked = {"n": moment.lsn, "t": moment.valid_at}
        numbers = self._numbers([scope, *self.scopes_below(scope)])
        return sum(self.db.execute(query, {**asked, "scope": number}).fetchone()[0] for number in numbers)

    # -- events ------------------------------------------------------------------------------------------------

    def event_lsn(self, raw_id: bytes) -> int | None:
        """LSN of the event with these 16 bytes as id."""
        row = self.db.execute("SELECT lsn FROM events WHERE raw_id = ? ORDER BY lsn LIMIT 1", (raw_id,)).fetchone()
        return int(row[0]) if row else None

    def event_ids(self, *, after: int) -> Iterator[tuple[bytes, int]]:
        """Ids (16 bytes) and LSNs of all events behind an LSN, in order."""
        return iter(self.db.execute("SELECT raw_id, lsn FROM events WHERE lsn > ? ORDER BY lsn", (after,)))

    def select(self, selector: Selector, bound_scope: str, upto: int) -> list[int]:
        """LSNs, ascending, of the events in the scope or below that meet all conditions of the selector."""
        where, asked = ["e.lsn <= :upto"], dict[str, str | int | None]({"upto": upto})
        for column in ("actor", "session"):
            if (value := getattr(selector, column)) is not None:
                where.append(f"e.{column} = (SELECT number FROM names WHERE name = :{column})")
                asked[column] = value
        if selector.since is not None:
            where.append("e.recorded_at >= :since")
        if selector.until is not None:
            where.append("e.recorded_at < :until")
        asked.update(since=selector.since, until=selector.until)
        if selector.events:
            where.append(f"e.lsn IN ({_integers(selector.events)})")
        if selector.kinds:
            asked.update({f"kind{number}": kind for number, kind in enumerate(selector.kinds)})
            wanted = ", ".join(f":kind{number}" for number in range(len(selector.kinds)))
            where.append(f"e.kind IN (SELECT number FROM names WHERE name IN ({wanted}))")
        where += self._inside(bound_scope)
        query = f"SELECT e.lsn, e.source FROM events e WHERE {' AND '.join(where)} ORDER BY e.lsn"
        wanted_source = selector.source or {}
        return [lsn for lsn, source in self.db.execute(query, asked) if _matches(source, wanted_source)]

    def effects(self, lsn: int) -> list[int]:
        """LSNs of the events whose `caused_by` names this one."""
        return [row[0] for row in self.db.execute("SELECT effect FROM edges WHERE cause = ? ORDER BY effect", (lsn,))]

    def sources(self, lsns: Iterable[int], at: int) -> dict[int, int]:
        """LSN -> how many independent sources, of those of these events that were derived from more than one.

        Causes in one session are one source; so are all that the event's scope does not see, whatever became of them.
        """
        if self.db.execute("SELECT 1 FROM edges LIMIT 1").fetchone() is None:
            return {}
        asked = {"lsns": f"[{_integers(lsns)}]", "n": at, "most": _MOST_CAUSES, "root": ROOT}
        return dict(self.db.execute(_SOURCES, asked))

    def counting(self, lsns: Iterable[int], at: int) -> set[int]:
        """Those of these events that count at an LSN; none that came after it."""
        query = f"SELECT 1 WHERE {_COUNTS.format(lsn=':lsn')}"
        return {lsn for lsn in lsns if lsn <= at and self.db.execute(query, {"lsn": lsn, "n": at}).fetchone()}

    def shown(self, lsns: Iterable[int]) -> list[tuple[int, int]]:
        """Notes that one of these versions was shown: (LSN of the note, LSN of the version), by note."""
        query = f"SELECT lsn, version FROM shown WHERE version IN ({_integers(lsns)}) ORDER BY lsn, version"
        return [(note, version) for note, version in self.db.execute(query)]

    def writes_after(self, lsn: int, actor: str, scope: str, upto: int) -> list[int]:
        """Events by the actor in the scope or below, after `lsn` and up to `upto`; notes and reverts left out."""
        where = " AND ".join(self._inside(scope) or ["1"])
        query = (
            "SELECT e.lsn FROM events e WHERE e.lsn > :lsn AND e.lsn <= :upto"
            " AND e.actor = (SELECT number FROM names WHERE name = :actor)"
            " AND e.kind NOT IN (SELECT number FROM names WHERE name IN (:shown, :revert))"
            f" AND {where} ORDER BY e.lsn"
        )
        asked = {"lsn": lsn, "upto": upto, "actor": actor, "shown": SHOWN, "revert": REVERT}
        return [row[0] for row in self.db.execute(query, asked)]

    def lsn_at(self, recorded_at: int) -> int:
        """The newest LSN recorded at or before this time (ns), 0 if none; times never fall as LSNs rise."""
        low, high = 0, self.lsn
        while low < high:
            middle = (low + high + 1) // 2
            row = self.db.execute("SELECT recorded_at FROM events WHERE lsn = ?", (middle,)).fetchone()
            low, high = (middle, high) if row and row[0] <= recorded_at else (low, middle - 1)
        return low

    # -- scopes ------------------------------------------------------------------------------------------------

    def scopes_below(self, scope: str) -> list[str]:
        """All scopes below this one that hold any event, in order of their paths."""
        if scope == ROOT:
            found = self.db.execute("SELECT path FROM scopes WHERE path <> ? ORDER BY path", (ROOT,))
        else:  # "0" is the character after "/", and paths compare code point by code point
            between = "SELECT path FROM scopes WHERE path > ? AND path < ? ORDER BY path"
            found = self.db.execute(between, (scope + "/", scope + "0"))
        return [row[0] for row in found]

    def _numbers(self, paths: Iterable[str]) -> list[int]:
        query = "SELECT number FROM scopes WHERE path = ?"
        return [row[0] for path in dict.fromkeys(paths) for row in self.db.execute(query, (path,))]

    def _inside(self, scope: str) -> list[str]:
        """The condition on `e` to lie in the scope or below; none for the root, which holds erased events too."""
        if scope == ROOT:
            return []
        return [f"e.scope IN ({_integers(self._numbers([scope, *self.scopes_below(scope)]))})"]


def _listing_query(tags: Sequence[str], *, since: int | None, until: int | None, min_confidence: float | None) -> str:
    """Driven by the first tag's rows when there is one, else by the scope's versions; each newest first."""
    where = ["v.valid_from <= :t", _LASTS]
    where += ["v.occurred_at >= :since"] if since is not None else []
    where += ["v.occurred_at < :until"] if until is not None else []
    where += ["v.confidence >= :least"] if min_confidence is not None else []
    driver = "versions v WHERE v.scope = :scope AND v.lsn <= :newest"
    order = "v.lsn"
    for number in range(len(dict.fromkeys(tags))):
        if number == 0:
            driver = (
                "tags g CROSS JOIN versions v ON v.lsn = g.lsn"
                " WHERE g.tag = :tag0 AND g.scope = :scope AND g.lsn <= :newest"
            )
            order = "g.lsn"
        else:
            where.append(
                f"EXISTS (SELECT 1 FROM tags h WHERE h.tag = :tag{number} AND h.scope = :scope AND h.lsn = v.lsn)"
            )
    where.append(f"v.lsn = {_LATEST.format(memory='v.memory')}")  # the dearest question comes last
    return f"{_CHOSEN} FROM {driver} AND {' AND '.join(where)} ORDER BY {order} DESC"


def _integers(values: Iterable[int]) -> str:
    """A list for IN; numbers only, so there is nothing to quote and no limit on their count."""
    return ", ".join(str(int(value)) for value in values)


def _matches(source: bytes | None, wanted: dict[str, Json]) -> bool:
    if not wanted:
        return True
    given = _decode(source) if source else {}
    return all(key in given and given[key] == value for key, value in wanted.items())
