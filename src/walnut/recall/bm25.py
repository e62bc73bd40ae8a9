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
    """What BM25 knows of the scopes read: the weight of each query term, the average lengths in terms.

    `forms`: in which forms the query has them; any is the right one of a term that is not there.
    """

    idf: dict[int, float]
    wanted: frozenset[int]
    forms: Mapping[int, frozenset[int]]
    body: float
    ctx: float

    @property
    def thinkable(self) -> float:
        """The sum of all weights: no version scores as much as this times `k1 + 1`."""
        return sum(value for _, value in sorted(self.idf.items()))


def statistics(
    frequencies: Mapping[int, int],
    totals: Totals,
    *,
    forms: Mapping[int, frozenset[int]] | None = None,
    factors: Mapping[int, float] | None = None,
) -> Statistics:
    """From how many versions hold each term. A term in every version still weighs a little.

    `factors`: of terms that weigh so many times as much as others, where they are held at all.
    """
    n, more = totals.docs, factors or {}
    return Statistics(
        idf={
            term: (more.get(term, 1.0) if df else 1.0) * log(1 + (n - df + 0.5) / (df + 0.5))
            for term, df in frequencies.items()
        },
        wanted=frozenset(term for term, df in frequencies.items() if df),
        forms=forms or {},
        body=totals.body / n if totals.body else 1.0,
        ctx=totals.ctx / n if totals.ctx else 1.0,
    )


def bm25(docs: Sequence[Doc], known: Statistics, settings: Settings) -> NDArray[np.float64]:
    """A score a version (BM25F): each field's term frequency is normalised by its own length."""
    scores = np.zeros(len(docs))
    wanted = np.array(sorted(known.wanted), np.uint32)
    if not len(wanted) or not docs:
        return scores
    forms = _Forms(wanted, known.forms, [doc.forms for doc in docs], other=settings.other_form)
    said = _counts([doc.body for doc in docs], wanted, forms, b=settings.body_b, average=known.body)
    before = _counts([doc.ctx for doc in docs], wanted, None, b=settings.ctx_b, average=known.ctx)
    k1 = settings.k1
    for term, tf in zip(wanted.tolist(), said + settings.ctx * before, strict=True):
        scores += known.idf[term] * tf * (k1 + 1) / (tf + k1)
    return scores


class _Forms:
    """How much each occurrence of a term counts by its form."""

    def __init__(
        self,
        wanted: NDArray[np.uint32],
        asked: Mapping[int, frozenset[int]],
        fields: Sequence[bytes],
        *,
        other: float,
    ) -> None:
        self._weights = np.full((len(wanted), 256), other)
        for place, term in enumerate(wanted.tolist()):
            self._weights[place, list(asked.get(term, range(256)))] = 1.0
        self._found = np.frombuffer(b"".join(fields), np.uint8)

    def weights(self, places: NDArray[np.intp], held: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of the occurrences that are `held`, each of the term at a place."""
        found: NDArray[np.float64] = self._weights[places, self._found[held]]
        return found


def _counts(
    fields: Sequence[bytes], wanted: NDArray[np.uint32], forms: _Forms | None, *, b: float, average: float
) -> NDArray[np.float64]:
    """How often each term (a row) is in each field (a column), by the field's length against the average."""
    lengths = np.fromiter((len(field) // _TERM_BYTES for field in fields), np.int64, len(fields))
    terms = np.frombuffer(b"".join(fields), np.uint32)
    places = np.minimum(np.searchsorted(wanted, terms), len(wanted) - 1)
    held = np.flatnonzero(wanted[places] == terms)
    owners = np.repeat(np.arange(len(fields)), lengths)[held]
    weights = forms.weights(places[held], held) if forms else None
    counts = np.bincount(places[held] * len(fields) + owners, weights, minlength=len(wanted) * len(fields))
    return counts.reshape(len(wanted), len(fields)) / (1 - b + b * lengths / average)
