"""The plan of a search: a recall request checked and turned into terms, scopes and limits, with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import msgspec

from walnut.errors import InvalidArgument
from walnut.model.requests import Mode, Recall
from walnut.recall.asked import Asked, asked
from walnut.views.folds import terms, text
from walnut.views.visibility import Moment

if TYPE_CHECKING:
    import numpy as np  # noqa: TC004 - a Plan is never decoded, so nothing evaluates it
    from numpy.typing import NDArray  # noqa: TC004 - as above

    from walnut.views.reader import Snapshot

_MODES = get_args(Mode)
_MOST_HITS = 1 << 31


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every weight and limit of ranking. Each part is bounded by its weight; text by 1.

    `k1` is BM25's; `body_b` and `ctx_b` say how much a field's length counts against it; `ctx` is the weight of
    a term that only the turns before hold. `recency_half_life` is in ns of `occurred_at` before the newest.
    """

    k1: float = 1.2
    body_b: float = 0.75
    ctx_b: float = 0.75
    ctx: float = 0.4
    #: What a word counts that stands there in another form than the query's.
    other_form: float = 0.8
    #: How much more an identifier weighs, found whole, for each word that it holds together.
    identifier: float = 1.0
    #: Text is measured against the best found, or this share of the best thinkable if that is more: where nothing
    #: answers the words, words count for less.
    text_full: float = 0.25
    vector: float = 1.0
    #: Of the mean of text and vector part of the best candidate in the session.
    session: float = 1.0
    #: As much a candidate counts there that is not of the time, or not the first, that the query asks for.
    session_other: float = 0.25
    speaker: float = 0.5
    #: Of what the assistant said, where the query asks for that.
    assistant: float = 0.25
    #: A version with fewer distinct words that say something loses up to this share of its text and vector parts.
    short: float = 0.5
    short_words: int = 6
    #: Taken from what is nothing but questions, and from what says the same as a better or newer hit.
    question: float = 0.2
    duplicate: float = 2.0
    recency: float = 0.05
    recency_half_life: int = 30 * 86_400 * 10**9
    #: Of what occurred at a time that the query names; of what holds an identifier or a quoted phrase of the query;
    #: of the latest where the query asks for it (or the first); of what says when where the query asks when.
    time: float = 0.8
    exact: float = 2.0
    order: float = 0.2
    when: float = 0.3
    confidence: float = 0.05
    #: Of a memory that states none.
    confidence_unstated: float = 0.5
    #: Of a fact from ever more sources; half of it from two, nothing from one.
    evidence: float = 0.05
    #: Distinct terms of a query that are looked up at most: its first.
    most_terms: int = 64
    #: Terms are gathered, rarest first, until they bring so many versions.
    gather: int = 2000
    #: Newest postings of one term that are gathered at most.
    most_postings: int = 10_000
    #: Living candidates that are scored, at least; twice `k` if that is more.
    pool: int = 250
    #: Where what is found repeats itself, so many times as much is looked at.
    most_repeats: int = 4
    #: Living candidates that are near, at least; `k` if that is more.
    near: int = 100
    #: Scopes whose vectors are looked at, at most: searching more of them goes by words alone.
    most_scopes: int = 256


SETTINGS = Settings()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, where, as of when (`upto`, an LSN), and how much of it."""

    request: Recall
    readable: tuple[str, ...]
    below: bool
    moment: Moment
    scopes: tuple[int, ...]
    terms: tuple[int, ...]
    paths: tuple[str, ...]
    vector: NDArray[np.int8] | None
    asked: Asked
    pool: int
    near: int
    settings: Settings

    @property
    def upto(self) -> int:
        """The newest LSN that counts."""
        return self.moment.lsn

    @property
    def most_postings(self) -> int:
        """Postings of one term to gather."""
        return max(self.settings.most_postings, self.pool)


def plan(
    snapshot: Snapshot,
    request: Recall,
    readable: Sequence[str],
    moment: Moment,
    *,
    below: bool,
    settings: Settings = SETTINGS,
) -> Plan:
    """Check the request and prepare it. Errors: InvalidArgument for k < 1, an unknown mode, too many scopes."""
    if request.k < 1:
        raise InvalidArgument("k is below 1", where="k", hint="ask for at least one hit")
    if request.mode not in _MODES:
        told = "there is no graph to search yet" if str(request.mode) == "graph" else "unknown mode"
        raise InvalidArgument(told, where="mode", hint=f"one of {', '.join(_MODES)}")
    by_words = request.mode in ("hybrid", "keyword")
    query = request.query
    wanted, said = asked(query, now=moment.valid_at)
    paths, vector = _nearness(
        snapshot, request, said.rest if by_words else query, readable, below=below, settings=settings
    )
    if request.mode == "vector":
        settings = msgspec.structs.replace(
            settings, session=0.0, speaker=0.0, assistant=0.0, short=0.0, question=0.0, duplicate=0.0
        )
    k = min(request.k, _MOST_HITS)
    return Plan(
        request=request,
        readable=tuple(readable),
        below=below,
        moment=moment,
        scopes=tuple(text.scope_numbers(snapshot.db, readable, below=below)) if request.mode != "recent" else (),
        terms=tuple(terms.query_terms(said.indexed, most=settings.most_terms)) if by_words else (),
        paths=paths,
        vector=vector,
        asked=wanted if by_words else Asked(role=wanted.role),
        pool=max(settings.pool, 2 * k),
        near=max(settings.near, k),
        settings=settings,
    )


def _nearness(
    snapshot: Snapshot, request: Recall, about: str, readable: Sequence[str], *, below: bool, settings: Settings
) -> tuple[tuple[str, ...], NDArray[np.int8] | None]:
    """The scopes whose vectors are looked at, and the vector of what the query is about; None when it has none."""
    worded = bool(terms.words(request.query, query=True))
    if request.mode not in ("hybrid", "vector") or not (worded or request.embedding):
        return (), None
    paths = [*readable, *(snapshot.scopes_below(readable[0]) if below else ())]
    if len(paths) > settings.most_scopes:
        if request.mode == "vector":  # words decide in mode hybrid; here nothing would be found, and nobody told
            told = f"vectors of more than {settings.most_scopes} scopes are not searched at once"
            raise InvalidArgument(told, where="below", hint="bind a narrower scope, or use mode hybrid")
        return (), None
    if not worded:
        return tuple(paths), None
    from walnut.embed import static  # numpy takes long to load

    vector = static.table().embed([about])[0]
    return tuple(paths), vector if vector.any() else None
