"""Ranking: scores of candidates from the statistics of the scopes read, in parts that sum to the score exactly."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from walnut.model.results import Part
from walnut.recall.asked import Asked, closeness, exactness, lateness, tells_when
from walnut.recall.bm25 import Statistics, bm25
from walnut.recall.plan import Settings
from walnut.views.folds.terms import number
from walnut.views.folds.text import Doc

_TERM_BYTES = 4
#: Less than any cosine.
_UNKNOWN = -2.0
#: What conversations call the one an assistant talks to, and the assistant.
_ROLES = {
    "user": frozenset(map(number, ("user", "human"))),
    "assistant": frozenset(map(number, ("assistant", "ai", "bot", "chatbot"))),
}


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A hit before its text is read: the version's LSN, its memory's 17-byte key, the score and its parts.

    `repeats`: LSNs of the other candidates that say the same, newest first.
    """

    lsn: int
    memory: bytes
    score: float
    parts: tuple[Part, ...] = ()
    repeats: tuple[int, ...] = ()


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """What ranking knows beside the candidates.

    `near`: LSN -> cosine, a model each, the one that counts first; none where vectors don't count.
    `newest`: the latest `occurred` of the scopes (ns);
    None where recency, confidence and evidence don't count. `sources`: LSN -> how many independent sources a fact
    has, if more than one.
    """

    text: Statistics
    near: Sequence[Mapping[int, float]]
    asked: Asked
    newest: int | None
    sources: Mapping[int, int] = {}


def rank(
    candidates: Sequence[tuple[Doc, bytes]], signals: Signals, *, explain: bool, settings: Settings
) -> Iterator[Scored]:
    """Candidates (each with its memory's key), best first, of equals the newer first.

    Of versions by one speaker in the same words the latest counts, or the one nearest to a time that the query names;
    the others come last and are its `repeats`.
    """
    docs = [doc for doc, _ in candidates]
    shares = _shares(docs, settings)
    texts = _texts(docs, shares, signals.text, settings)
    asked = _asked(docs, signals.asked, settings)
    repeats = _repeats(docs, [time + order for time, _, order, _ in zip(*asked, strict=True)])
    others = {lsn for lsns in repeats.values() for lsn in lsns}
    nears = _nears(docs, shares, signals.near, settings)
    columns = (
        texts,
        nears,
        _sessions(docs, texts, nears, _fits(asked, signals.asked, settings), settings),
        _speakers(docs, signals, settings),
        [-settings.question * doc.asks for doc in docs],
        [-settings.duplicate * (doc.lsn in others) for doc in docs],
        *asked,
        *_bounded(docs, signals, settings),
    )
    ranked = sorted(
        (-sum(values), -doc.lsn, memory, values)
        for (doc, memory), values in zip(candidates, zip(*columns, strict=True), strict=True)
    )
    return (_scored(*each, repeats=repeats.get(-each[1], ()), explain=explain) for each in ranked)


_ASKED = ("time", "exact", "order", "when")
_BOUNDED = ("recency", "confidence", "evidence")
_PARTS = ("text", "vector", "session", "speaker", "question", "duplicate", *_ASKED, *_BOUNDED)


def _scored(
    score: float, lsn: int, memory: bytes, values: tuple[float, ...], *, repeats: tuple[int, ...], explain: bool
) -> Scored:
    parts = zip(_PARTS, values, strict=False) if explain else ()
    return Scored(
        lsn=-lsn,
        memory=memory,
        score=-score,
        parts=tuple(Part(name=name, value=value) for name, value in parts if value),
        repeats=repeats,
    )


def _texts(docs: Sequence[Doc], shares: NDArray[np.float64], known: Statistics, settings: Settings) -> list[float]:
    """BM25 against the best found, or a share of the best thinkable."""
    found = bm25(docs, known, settings) * shares
    full = settings.text_full * known.thinkable * (settings.k1 + 1)
    texts: list[float] = (found / (max(full, float(found.max(initial=0.0))) or 1.0)).tolist()
    return texts


def _nears(
    docs: Sequence[Doc], shares: NDArray[np.float64], models: Sequence[Mapping[int, float]], settings: Settings
) -> list[float]:
    """Each model's cosines against the best of its own; a version has the part of the first model that knows it."""
    found = np.zeros(len(docs))
    for near in reversed(models):
        given = np.array([near.get(doc.lsn, _UNKNOWN) for doc in docs], np.float64)
        cosines = np.maximum(given, 0.0) * shares
        found = np.where(given != _UNKNOWN, cosines / (cosines.max(initial=0.0) or 1.0), found)
    nears: list[float] = (settings.vector * found).tolist()
    return nears


def _sessions(
    docs: Sequence[Doc],
    texts: Sequence[float],
    nears: Sequence[float],
    fits: Sequence[float] | None,
    settings: Settings,
) -> list[float]:
    """The best candidate of the same session, by text and vector together; a version's own where it has none."""
    together = [(said + meant) / 2 for said, meant in zip(texts, nears, strict=True)]
    if fits is not None:
        together = [value * fit for value, fit in zip(together, fits, strict=True)]
    best: dict[int | None, float] = {}
    for doc, value in zip(docs, together, strict=True):
        if value > best.get(doc.session, 0.0):
            best[doc.session] = value
    return [
        settings.session * (value if doc.session is None else best.get(doc.session, 0.0))
        for doc, value in zip(docs, together, strict=True)
    ]


def _fits(asked: Sequence[Sequence[float]], wanted: Asked, settings: Settings) -> list[float] | None:
    """How much each candidate says for its session where the query asks for a time, or for the first: more if it is."""
    first = wanted.towards < 0
    most = settings.time * bool(wanted.windows) + settings.order * first
    if not most:
        return None
    times, _, orders, _ = asked
    other = settings.session_other
    return [
        other + (1 - other) * (time + first * (order + settings.order)) / most
        for time, order in zip(times, orders, strict=True)
    ]


def _speakers(docs: Sequence[Doc], signals: Signals, settings: Settings) -> list[float]:
    """Whether the query names who said it, or asks for what the user or the assistant said and he said it."""
    role = signals.asked.role
    roles = _ROLES[role] if role else frozenset[int]()
    weight = settings.assistant if role == "assistant" else settings.speaker
    meant: dict[bytes, float] = {b"": 0.0}
    found = []
    for doc in docs:
        name = doc.body[: doc.speaker * _TERM_BYTES]
        value = meant.get(name)
        if value is None:
            words = frozenset(array("I", name))
            named = 0.0 if signals.text.wanted.isdisjoint(words) else settings.speaker
            value = meant[name] = max(named, 0.0 if roles.isdisjoint(words) else weight)
        found.append(value)
    return found


def _repeats(docs: Sequence[Doc], close: Sequence[float]) -> dict[int, tuple[int, ...]]:
    """LSN of the one that counts -> LSNs of the others in the same words, newest first; of those that are repeated."""
    often = {echo for echo, count in Counter([doc.echo for doc in docs]).items() if count > 1}
    same: dict[int, list[tuple[float, int, int]]] = {echo: [] for echo in often}
    for doc, here in zip(docs, close, strict=True):
        if doc.echo in often:
            same[doc.echo].append((here, doc.occurred, doc.lsn))
    found = {}
    for each in same.values():
        counts = max(each)
        others = sorted((one[1:] for one in each if one is not counts), reverse=True)
        found[counts[-1]] = tuple(lsn for _, lsn in others)
    return found


def _asked(docs: Sequence[Doc], wanted: Asked, settings: Settings) -> tuple[list[float], ...]:
    """Time, identifiers and phrases, order, when: nothing where the query asks for none of them."""
    nothing = [0.0] * len(docs)
    weighed = (
        (settings.time, closeness(docs, wanted.windows) if wanted.windows else ()),
        (settings.exact, exactness(docs, wanted.needles) if wanted.needles else ()),
        (settings.order * wanted.towards, lateness(docs) if wanted.towards else ()),
        (settings.when, tells_when(docs) if wanted.when else ()),
    )
    return tuple([weight * value for value in values] if values else nothing for weight, values in weighed)


def _bounded(docs: Sequence[Doc], signals: Signals, settings: Settings) -> tuple[list[float], ...]:
    """Recency, confidence and evidence, where they count."""
    newest, unstated = signals.newest, settings.confidence_unstated
    if newest is None:
        return ()
    return (
        [settings.recency * recency(doc.occurred, newest, settings) for doc in docs],
        [settings.confidence * (unstated if doc.confidence is None else doc.confidence) for doc in docs],
        [settings.evidence * (1 - 1 / signals.sources.get(doc.lsn, 1)) for doc in docs],
    )


def _shares(docs: Sequence[Doc], settings: Settings) -> NDArray[np.float64]:
    """How much of its text and vector parts a version keeps: all of them once it says enough."""
    says = np.array([doc.says for doc in docs], np.float64)
    shares: NDArray[np.float64] = 1 - settings.short * (1 - np.minimum(1.0, (says + 1) / settings.short_words))
    return shares


def recency(occurred: int, newest: int, settings: Settings) -> float:
    """1 for the newest of the scopes read, halved by each half-life before it."""
    return float(2.0 ** -(max(0, newest - occurred) / settings.recency_half_life))
