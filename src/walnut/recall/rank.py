"""Ranking: scores of candidates from the statistics of the scopes read, in parts that sum to the score exactly."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import log

import msgspec

from walnut.model.results import Part
from walnut.recall.plan import Settings
from walnut.views.folds.terms import STOP_TERMS, number
from walnut.views.folds.text import DAY_TERMS, Doc, Totals

_TERM_BYTES = 4
#: What conversations call the one an assistant talks to.
_USER = frozenset(map(number, ("user", "human")))


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


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """What ranking knows beside the candidates.

    `near`: LSN -> cosine, empty where vectors don't count. `first_person`: the query asks about the asker.
    `newest`: the latest `occurred` of the scopes (ns); None where recency and confidence don't count.
    """

    text: Statistics
    near: Mapping[int, float]
    first_person: bool
    newest: int | None


def statistics(frequencies: Mapping[int, int], totals: Totals) -> Statistics:
    """From how many versions hold each term. A term in every version still weighs a little."""
    n = totals.docs
    return Statistics(
        idf={term: log(1 + (n - df + 0.5) / (df + 0.5)) for term, df in frequencies.items()},
        wanted=frozenset(term for term, df in frequencies.items() if df),
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
    candidates: Sequence[tuple[Doc, bytes]], signals: Signals, *, explain: bool, settings: Settings
) -> list[Scored]:
    """Score candidates (each with its memory's key) and sort them, best first, of equals the newer first."""
    shares = [_share(doc, settings) for doc, _ in candidates]
    texts = _texts(candidates, shares, signals.text, settings)
    nears = _normalised([max(0.0, signals.near.get(doc.lsn, 0.0)) * s for (doc, _), s in zip(candidates, shares)])
    sessions: dict[int, float] = {}
    for (doc, _), value in zip(candidates, texts, strict=True):
        if doc.session is not None:
            sessions[doc.session] = max(sessions.get(doc.session, 0.0), value)
    ranked = []
    for (doc, memory), said, near in zip(candidates, texts, nears, strict=True):
        values = [("text", said)]
        if signals.near:
            values.append(("vector", settings.vector * near))
        values.append(("session", settings.session * (said if doc.session is None else sessions[doc.session])))
        values.append(("speaker", settings.speaker * _meant(doc, signals)))
        values.append(("question", -settings.question * doc.asks))
        if signals.newest is not None:
            values.append(("recency", settings.recency * recency(doc.occurred, signals.newest, settings)))
            stated = settings.confidence_unstated if doc.confidence is None else doc.confidence
            values.append(("confidence", settings.confidence * stated))
        ranked.append((doc, memory, values))
    return _without_echoes(ranked, explain=explain, settings=settings)


def _texts(
    candidates: Sequence[tuple[Doc, bytes]], shares: Sequence[float], known: Statistics, settings: Settings
) -> list[float]:
    thinkable = sum(value for _, value in sorted(known.idf.items())) * (settings.k1 + 1)
    found = [bm25(doc, known, settings) * share for (doc, _), share in zip(candidates, shares, strict=True)]
    return _normalised(found, full=settings.text_full * thinkable)


def _normalised(values: Sequence[float], *, full: float = 0.0) -> list[float]:
    best = max(full, max(values, default=0.0)) or 1.0
    return [value / best for value in values]


def _share(doc: Doc, settings: Settings) -> float:
    """How much of its text and vector parts a version keeps: all of them once it says enough."""
    said = set(array("I", doc.body)[doc.speaker + DAY_TERMS :]) - STOP_TERMS
    return 1 - settings.short * (1 - min(1.0, (len(said) + 1) / settings.short_words))


_Weighed = tuple[Doc, bytes, list[tuple[str, float]]]


def _without_echoes(ranked: Sequence[_Weighed], *, explain: bool, settings: Settings) -> list[Scored]:
    """In order; of versions by one speaker in the same words the newest counts, the others come last."""
    newest: dict[tuple[bytes, bytes], int] = {}
    for doc, _, _ in ranked:
        newest[_words(doc)] = max(newest.get(_words(doc), 0), doc.lsn)
    scored = []
    for doc, memory, values in ranked:
        if newest[_words(doc)] != doc.lsn:
            values.append(("duplicate", -settings.duplicate))
        scored.append(_scored(doc.lsn, memory, values, explain=explain))
    scored.sort(key=_order)
    return scored


def _words(doc: Doc) -> tuple[bytes, bytes]:
    start = doc.speaker * _TERM_BYTES
    return doc.body[:start], doc.body[start + DAY_TERMS * _TERM_BYTES :]


def recency(occurred: int, newest: int, settings: Settings) -> float:
    """1 for the newest of the scopes read, halved by each half-life before it."""
    return float(2.0 ** -(max(0, newest - occurred) / settings.recency_half_life))


def _meant(doc: Doc, signals: Signals) -> bool:
    """Whether the query names who said it, or asks about the asker and the user said it."""
    speaker = array("I", doc.body[: doc.speaker * _TERM_BYTES])
    return not signals.text.wanted.isdisjoint(speaker) or (signals.first_person and not _USER.isdisjoint(speaker))


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
