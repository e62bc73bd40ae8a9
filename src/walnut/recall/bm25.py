"""BM25 over two fields, from the statistics of the scopes read: what a version says, and the turns before it.

Floats are combined element by element and term by term, in the order of the terms: a version has the same score
whatever candidates stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import msgspec
import numpy as np
from numpy.typing import NDArray

from walnut.recall.plan import Settings
from walnut.views.folds.text import Doc
from walnut.views.folds.text_rows import Totals

_TERM_BYTES = 4


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What BM25 knows of the scopes read: the weight of each query term, the average lengths in terms."""

    idf: dict[int, float]
    wanted: frozenset[int]
    body: float
    ctx: float

    @property
    def thinkable(self) -> float:
        """The sum of all weights: no version scores as much as this times `k1 + 1`."""
        return sum(value for _, value in sorted(self.idf.items()))


def statistics(frequencies: Mapping[int, int], totals: Totals) -> Statistics:
    """From how many versions hold each term. A term in every version still weighs a little."""
    n = totals.docs
    return Statistics(
        idf={term: log(1 + (n - df + 0.5) / (df + 0.5)) for term, df in frequencies.items()},
        wanted=frozenset(term for term, df in frequencies.items() if df),
        body=totals.body / n if totals.body else 1.0,
        ctx=totals.ctx / n if totals.ctx else 1.0,
    )


def bm25(docs: Sequence[Doc], known: Statistics, settings: Settings) -> NDArray[np.float64]:
    """A score a version (BM25F): each field's term frequency is normalised by its own length."""
    scores = np.zeros(len(docs))
    wanted = np.array(sorted(known.wanted), np.uint32)
    if not len(wanted) or not docs:
        return scores
    said = _counts([doc.body for doc in docs], wanted, b=settings.body_b, average=known.body)
    before = _counts([doc.ctx for doc in docs], wanted, b=settings.ctx_b, average=known.ctx)
    k1 = settings.k1
    for term, tf in zip(wanted.tolist(), said + settings.ctx * before, strict=True):
        scores += known.idf[term] * tf * (k1 + 1) / (tf + k1)
    return scores


def _counts(fields: Sequence[bytes], wanted: NDArray[np.uint32], *, b: float, average: float) -> NDArray[np.float64]:
    """How often each term (a row) is in each field (a column), by the field's length against the average."""
    lengths = np.fromiter((len(field) // _TERM_BYTES for field in fields), np.int64, len(fields))
    terms = np.frombuffer(b"".join(fields), np.uint32)
    places = np.minimum(np.searchsorted(wanted, terms), len(wanted) - 1)
    held = np.flatnonzero(wanted[places] == terms)
    owners = np.repeat(np.arange(len(fields)), lengths)[held]
    counts = np.bincount(places[held] * len(fields) + owners, minlength=len(wanted) * len(fields))
    return counts.reshape(len(wanted), len(fields)) / (1 - b + b * lengths / average)
