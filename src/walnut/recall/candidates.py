"""Candidates: versions worth ranking, those with the query's rarest terms and those nearest to its vector."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from walnut.recall.plan import Plan
from walnut.views.folds import text
from walnut.views.folds.text import Doc

if TYPE_CHECKING:
    from walnut.recall.texts import Texts
    from walnut.recall.vectors import Nearness
    from walnut.views.reader import Snapshot

#: Candidates whose rows and visibility are looked up at once, at least.
_LEAST = 50

#: By LSN: what ranking needs of a version, and its memory's 17-byte key.
Candidates = dict[int, tuple[Doc, bytes]]


def by_words(snapshot: Snapshot, prepared: Plan, texts: Texts, weights: Mapping[int, float]) -> Candidates:
    """Enough versions that are current and pass the filters, those first that hold the heaviest terms.

    Repetitions of one another count as one, within limits.
    """
    waiting: dict[int, float] = {}  # LSN -> the summed weight of the gathered terms it holds
    seen: set[int] = set()
    living: Candidates = {}
    terms = iter(sorted(weights, key=lambda term: (-weights[term], term)))
    while missing := _missing(living.values(), prepared.pool, prepared):
        _gather(snapshot, prepared, terms, weights, waiting=waiting, seen=seen)
        if not waiting:
            break
        order = sorted(waiting, reverse=True)
        order.sort(key=waiting.__getitem__, reverse=True)  # stable: of equals the newer stays first
        start = 0
        while start < len(order) and missing:
            chunk = order[start : start + max(missing + missing // 2 if start else missing, _LEAST)]
            start += len(chunk)
            living |= _living(snapshot, prepared, texts, chunk)
            seen.update(chunk)
            missing = _missing(living.values(), prepared.pool, prepared)
        waiting.clear()
    return living


def _gather(
    snapshot: Snapshot,
    prepared: Plan,
    terms: Iterator[int],
    weights: Mapping[int, float],
    *,
    waiting: dict[int, float],
    seen: set[int],
) -> None:
    """Add the postings of the next terms to those that wait, until there are enough or no term is left."""
    for term in terms:
        found = text.postings(
            snapshot.db,
            prepared.scopes,
            term,
            upto=prepared.upto,
            tags=prepared.request.tags,
            most=prepared.most_postings,
        )
        new = dict.fromkeys(set(found) - seen if seen else found, weights[term])
        for lsn in waiting.keys() & new.keys():
            new[lsn] += waiting[lsn]
        waiting.update(new)
        if len(waiting) >= prepared.settings.gather:
            return


def by_nearness(snapshot: Snapshot, prepared: Plan, texts: Texts, near: Nearness, *, known: Candidates) -> Candidates:
    """The nearest versions that are current and pass the filters, beside those `known` already."""
    living: Candidates = {}
    looked = set[int]()
    while True:
        order = near.best(max(2 * len(looked), prepared.near))
        chunk = [lsn for lsn in order if lsn not in looked]  # what was only likely the nearest may stand elsewhere now
        if not chunk:
            return living
        looked.update(chunk)
        tags = prepared.request.tags
        fitting = text.tagged(snapshot.db, prepared.scopes, chunk, tags) if tags else chunk
        living |= _living(snapshot, prepared, texts, [lsn for lsn in fitting if lsn not in known])
        found = [*living.values(), *(known[lsn] for lsn in order if lsn in known)]
        missing = _missing(found, prepared.near, prepared)
        if not missing:
            return living


def _missing(found: Collection[tuple[Doc, bytes]], wanted: int, prepared: Plan) -> int:
    """How many more are wanted that say different things; none if one thing was said again and again."""
    if len(found) >= prepared.settings.most_repeats * wanted:
        return 0
    return max(0, wanted - len({doc.echo for doc, _ in found}))


def _living(snapshot: Snapshot, prepared: Plan, texts: Texts, lsns: Sequence[int]) -> Candidates:
    request = prepared.request
    docs = [
        doc
        for doc in texts.docs(snapshot, lsns)
        if (request.since is None or doc.occurred >= request.since)
        and (request.until is None or doc.occurred < request.until)
        and (
            request.min_confidence is None or (doc.confidence is not None and doc.confidence >= request.min_confidence)
        )
    ]
    current = snapshot.current([doc.lsn for doc in docs], prepared.moment)
    return {doc.lsn: (doc, current[doc.lsn]) for doc in docs if doc.lsn in current}
