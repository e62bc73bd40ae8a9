"""Search: candidates by words and by nearness, from what the scopes read hold and nothing else, then ranked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from walnut.model.requests import Recall
from walnut.model.results import Part
from walnut.recall import candidates
from walnut.recall.bm25 import statistics
from walnut.recall.plan import SETTINGS, Plan, Settings, plan
from walnut.recall.rank import Scored, Signals, rank
from walnut.views.folds import terms, text

if TYPE_CHECKING:
    from walnut.recall.models import Asked
    from walnut.recall.texts import Texts
    from walnut.recall.vectors import Nearness, Vectors
    from walnut.views.reader import Snapshot
    from walnut.views.visibility import Moment

_PAGE = 250


def search(
    snapshot: Snapshot,
    vectors: Vectors,
    request: Recall,
    readable: Sequence[str],
    moment: Moment,
    *,
    texts: Texts,
    below: bool = False,
    asked: Sequence[Asked] = (),
    exact: bool = True,
    settings: Settings = SETTINGS,
) -> Iterator[Scored]:
    """Hits in the readable scopes (nearest first; `below`: and in all below the nearest) at the moment, best first.

    There are more than `k` where more were looked at. `vectors` and `texts` are what is kept between
    searches. `asked`: the query's vectors by other models, those first that know best; the static ones count for what
    has none of theirs. Not `exact`: the candidates by nearness may be the likely ones; their scores are exact.

    The caller takes from them until `k` of them hold against the log. A query without a single word finds nothing
    but in mode "recent", or by `asked`. Errors: InvalidArgument, raised at once.
    """
    prepared = plan(snapshot, request, readable, moment, below=below, settings=settings)
    if request.mode == "recent":
        return _recent(snapshot, prepared)
    return _found(snapshot, prepared, vectors, asked, texts=texts, exact=exact)


def _found(
    snapshot: Snapshot,
    prepared: Plan,
    vectors: Vectors,
    asked: Sequence[Asked],
    *,
    texts: Texts,
    exact: bool,
) -> Iterator[Scored]:
    db, upto = snapshot.db, prepared.upto
    totals = text.totals(db, prepared.scopes, upto=upto)
    frequencies = texts.counts(snapshot, prepared.scopes, prepared.terms, upto=upto)
    query, factor = prepared.request.query, prepared.settings.identifier
    wholes = {term: factor * parts for term, parts in terms.query_identifiers(query).items()}
    known = statistics(frequencies, totals, forms=terms.query_forms(query), factors=wholes)
    weights = {term: known.idf[term] for term, count in frequencies.items() if count}
    nears: list[Nearness] = [each.near(snapshot, prepared.paths, upto=upto) for each in asked]
    if prepared.vector is not None:
        nears.append(vectors.near(snapshot, prepared.paths, prepared.vector, upto=upto, exact=exact))
    found = candidates.by_words(snapshot, prepared, texts, weights)
    for near in nears:
        found |= candidates.by_nearness(snapshot, prepared, texts, near, known=found)
    hybrid = prepared.request.mode == "hybrid"
    return rank(
        list(found.values()),
        Signals(
            text=known,
            near=[near.of(list(found)) for near in nears],
            asked=prepared.asked,
            newest=totals.newest if hybrid else None,
            sources=snapshot.sources(found, upto) if hybrid else {},
        ),
        explain=prepared.request.explain,
        settings=prepared.settings,
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
            limit=_PAGE,
        )
        for chosen in page:
            place += 1
            parts = (Part(name="recent", value=1 / place),) if request.explain else ()
            yield Scored(lsn=chosen.lsn, memory=chosen.memory, score=1 / place, parts=parts)
        if len(page) < _PAGE:
            return
        before = page[-1].lsn
