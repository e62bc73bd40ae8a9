"""Search: candidates by their rarest terms, chosen by what the scopes read hold and nothing else, then ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from walnut.model.requests import Recall
from walnut.model.results import Part
from walnut.ports import Log
from walnut.recall.plan import SETTINGS, Plan, Settings, plan
from walnut.recall.rank import Scored, Statistics, rank, statistics
from walnut.views.folds import text
from walnut.views.folds.text import Doc

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot
    from walnut.views.visibility import Moment

#: Candidates whose rows and visibility are looked up at once.
_CHUNK = 250


def search(
    snapshot: Snapshot,
    log: Log,  # noqa: ARG001 - for what the views don't hold, as vectors will
    request: Recall,
    readable: Sequence[str],
    moment: Moment,
    *,
    below: bool = False,
    settings: Settings = SETTINGS,
) -> Iterator[Scored]:
    """Hits in the readable scopes (nearest first; `below`: and in all below the nearest) at the moment, best first.

    There are more than `k` where more were looked at.

    The caller takes from them until `k` of them hold against the log. A query without a single word finds nothing
    but in mode "recent". Errors: InvalidArgument, raised at once.
    """
    prepared = plan(snapshot, request, readable, moment, below=below, settings=settings)
    return _recent(snapshot, prepared) if request.mode == "recent" else iter(_found(snapshot, prepared))


def _found(snapshot: Snapshot, prepared: Plan) -> list[Scored]:
    db, scopes, upto = snapshot.db, prepared.scopes, prepared.upto
    counts = {term: text.frequency(db, scopes, term, upto=upto) for term in prepared.terms}
    frequencies = {term: count for term, count in counts.items() if count}
    if not frequencies:
        return []
    totals = text.totals(db, scopes, upto=upto)
    known = statistics(frequencies, totals)
    return rank(
        _candidates(snapshot, prepared, known, rarest_first=sorted(frequencies, key=lambda t: (frequencies[t], t))),
        known,
        newest=totals.newest,
        bounded=prepared.request.mode == "hybrid",
        explain=prepared.request.explain,
        settings=prepared.settings,
    )


def _candidates(
    snapshot: Snapshot, prepared: Plan, known: Statistics, *, rarest_first: list[int]
) -> list[tuple[Doc, bytes]]:
    """Enough versions that are current and pass the filters, those first that hold the rarest terms."""
    waiting: dict[int, float] = {}  # LSN -> the summed weight of the gathered terms it holds
    seen: set[int] = set()
    living: list[tuple[Doc, bytes]] = []
    terms = iter(rarest_first)
    while len(living) < prepared.pool:
        _gather(snapshot, prepared, terms, known.idf, waiting=waiting, seen=seen)
        if not waiting:
            break
        order = sorted(waiting, reverse=True)
        order.sort(key=waiting.__getitem__, reverse=True)  # stable: of equals the newer stays first
        for start in range(0, len(order), _CHUNK):
            chunk = order[start : start + _CHUNK]
            living += _living(snapshot, prepared, chunk)
            seen.update(chunk)
            if len(living) >= prepared.pool:
                break
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
        for lsn in found:
            if lsn not in seen:
                waiting[lsn] = waiting.get(lsn, 0.0) + weights[term]
        if len(waiting) >= prepared.settings.gather:
            return


def _living(snapshot: Snapshot, prepared: Plan, lsns: list[int]) -> list[tuple[Doc, bytes]]:
    request = prepared.request
    docs = [doc for doc in text.docs(snapshot.db, lsns) if _passes(doc, request)]
    current = snapshot.current([doc.lsn for doc in docs], prepared.moment)
    return [(doc, current[doc.lsn].memory) for doc in docs if doc.lsn in current]


def _passes(doc: Doc, request: Recall) -> bool:
    return (
        (request.since is None or doc.occurred >= request.since)
        and (request.until is None or doc.occurred < request.until)
        and (
            request.min_confidence is None or (doc.confidence is not None and doc.confidence >= request.min_confidence)
        )
    )


def _recent(snapshot: Snapshot, prepared: Plan) -> Iterator[Scored]:
    """The newest memories, page by page; the n-th scores 1/n."""
    request, before, place = prepared.request, None, 0
    while True:
        page = snapshot.listing(
            prepared.readable,
            prepared.moment,
            below=prepared.below,
            tags=request.tags,
            since=request.since,
            until=request.until,
            min_confidence=request.min_confidence,
            before=before,
            limit=_CHUNK,
        )
        for chosen in page:
            place += 1
            parts = (Part(name="recent", value=1 / place),) if request.explain else ()
            yield Scored(lsn=chosen.lsn, memory=chosen.memory, score=1 / place, parts=parts)
        if len(page) < _CHUNK:
            return
        before = page[-1].lsn
