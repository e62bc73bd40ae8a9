"""Ranking: scores of candidates from the statistics of the scopes read, in parts that sum to the score exactly."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import log

import msgspec

from walnut.model.results import Part
from walnut.recall.plan import Settings
from walnut.views.folds.terms import number
from walnut.views.folds.text import Doc, Totals

_TERM_BYTES = 4
_NEVER = (-(1 << 64), 0)
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
) -> Iterator[Scored]:
    """Candidates (each with its memory's key), best first, of equals the newer first.

    Of versions by one speaker in the same words the newest counts, the others come last.
    """
    shares = [_share(doc, settings) for doc, _ in candidates]
    texts = _texts(candidates, shares, signals.text, settings)
    near = signals.near
    nears = _normalised(
        [max(0.0, near.get(doc.lsn, 0.0)) * share for (doc, _), share in zip(candidates, shares, strict=True)]
    )
    sessions: dict[int, float] = {}
    newest: dict[int, tuple[int, int]] = {}
    for (doc, _), value in zip(candidates, texts, strict=True):
        if doc.session is not None:
            sessions[doc.session] = max(sessions.get(doc.session, 0.0), value)
        newest[doc.echo] = max(newest.get(doc.echo, _NEVER), (doc.occurred, doc.lsn))
    ranked = []
    for (doc, memory), said, nearness in zip(candidates, texts, nears, strict=True):
        values = (
            said,
            settings.vector * nearness,
            settings.session * (said if doc.session is None else sessions[doc.session]),
            settings.speaker * _meant(doc, signals),
            -settings.question * doc.asks,
            -settings.duplicate * (newest[doc.echo] != (doc.occurred, doc.lsn)),
            *_bounded(doc, signals, settings),
        )
        ranked.append((-sum(values), -doc.lsn, memory, values))
    ranked.sort()
    return (_scored(*each, explain=explain) for each in ranked)


_PARTS = ("text", "vector", "session", "speaker", "question", "duplicate", "recency", "confidence")


def _bounded(doc: Doc, signals: Signals, settings: Settings) -> tuple[float, ...]:
    """Recency and confidence, where they count."""
    if signals.newest is None:
        return ()
    stated = settings.confidence_unstated if doc.confidence is None else doc.confidence
    return settings.recency * recency(doc.occurred, signals.newest, settings), settings.confidence * stated


def _scored(score: float, lsn: int, memory: bytes, values: tuple[float, ...], *, explain: bool) -> Scored:
    parts = zip(_PARTS, values, strict=False) if explain else ()
    return Scored(
        lsn=-lsn,
        memory=memory,
        score=-score,
        parts=tuple(Part(name=name, value=value) for name, value in parts if value),
    )


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
    return 1 - settings.short * (1 - min(1.0, (doc.says + 1) / settings.short_words))


def recency(occurred: int, newest: int, settings: Settings) -> float:
    """1 for the newest of the scopes read, halved by each half-life before it."""
    return float(2.0 ** -(max(0, newest - occurred) / settings.recency_half_life))


def _meant(doc: Doc, signals: Signals) -> bool:
    """Whether the query names who said it, or asks about the asker and the user said it."""
    if not doc.speaker:
        return False
    speaker = array("I", doc.body[: doc.speaker * _TERM_BYTES])
    return not signals.text.wanted.isdisjoint(speaker) or (signals.first_person and not _USER.isdisjoint(speaker))
