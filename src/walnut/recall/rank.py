"""Ranking: scores of candidates from the statistics of the scopes read, in parts that sum to the score exactly."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import log

import msgspec

from walnut.model.results import Part
from walnut.recall.plan import Settings
from walnut.views.folds.text import Doc, Totals

_TERM_BYTES = 4


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A hit before its text is read: the version's LSN, its memory's 17-byte key, the score and its parts."""

    lsn: int
    memory: bytes
    score: float
    parts: tuple[Part, ...] = ()


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What BM25 knows of the scopes read: the weight of each query term, the average lengths in terms."""

    idf: dict[int, float]
    wanted: frozenset[int]
    body: float
    ctx: float


def statistics(frequencies: Mapping[int, int], totals: Totals) -> Statistics:
    """From how many versions hold each term. A term in every version still weighs a little."""
    n = totals.docs
    return Statistics(
        idf={term: log(1 + (n - df + 0.5) / (df + 0.5)) for term, df in frequencies.items()},
        wanted=frozenset(frequencies),
        body=totals.body / n if totals.body else 1.0,
        ctx=totals.ctx / n if totals.ctx else 1.0,
    )


def bm25(doc: Doc, known: Statistics, settings: Settings) -> float:
    """BM25 over two fields (BM25F): each field's term frequency is normalised by its own length."""
    idf, wanted = known.idf, known.wanted
    found: dict[int, float] = {}
    for field, weight, b, average in (
        (doc.body, 1.0, settings.body_b, known.body),
        (doc.ctx, settings.ctx, settings.ctx_b, known.ctx),
    ):
        terms = array("I", field)
        for term in wanted.intersection(terms):
            share = weight * terms.count(term) / (1 - b + b * len(terms) / average)
            found[term] = found.get(term, 0.0) + share
    k1 = settings.k1
    return sum(idf[term] * tf * (k1 + 1) / (tf + k1) for term, tf in sorted(found.items()))


def rank(
    candidates: Sequence[tuple[Doc, bytes]],
    known: Statistics,
    *,
    newest: int,
    bounded: bool,
    explain: bool,
    settings: Settings,
) -> list[Scored]:
    """Score candidates (each with its memory's key) and sort them, best first, of equals the newer first.

    `bounded` adds recency, against the latest `occurred` of the scopes (`newest`, ns), and confidence.
    """
    texts = [bm25(doc, known, settings) for doc, _ in candidates]
    best = max(texts, default=0.0) or 1.0
    texts = [value / best for value in texts]
    sessions: dict[int, float] = {}
    for (doc, _), value in zip(candidates, texts, strict=True):
        if doc.session is not None:
            sessions[doc.session] = max(sessions.get(doc.session, 0.0), value)
    ranked = []
    for (doc, memory), value in zip(candidates, texts, strict=True):
        around = value if doc.session is None else sessions[doc.session]
        values = [("text", value), ("session", settings.session * around)]
        values.append(("speaker", settings.speaker * _named(doc, known.wanted)))
        if bounded:
            values.append(("recency", settings.recency * recency(doc.occurred, newest, settings)))
            stated = settings.confidence_unstated if doc.confidence is None else doc.confidence
            values.append(("confidence", settings.confidence * stated))
        ranked.append(_scored(doc.lsn, memory, values, explain=explain))
    ranked.sort(key=_order)
    return ranked


def recency(occurred: int, newest: int, settings: Settings) -> float:
    """1 for the newest of the scopes read, halved by each half-life before it."""
    return float(2.0 ** -(max(0, newest - occurred) / settings.recency_half_life))


def _named(doc: Doc, wanted: frozenset[int]) -> bool:
    """Whether the query names who said it."""
    return not wanted.isdisjoint(array("I", doc.body[: doc.speaker * _TERM_BYTES]))


def _scored(lsn: int, memory: bytes, values: Iterable[tuple[str, float]], *, explain: bool) -> Scored:
    values = list(values)
    return Scored(
        lsn=lsn,
        memory=memory,
        score=sum(value for _, value in values),
        parts=tuple(Part(name=name, value=value) for name, value in values) if explain else (),
    )


def _order(scored: Scored) -> tuple[float, int]:
    return -scored.score, -scored.lsn
