"""The plan of a search: a recall request checked and turned into terms, scopes and limits, with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import msgspec

from walnut.errors import InvalidArgument
from walnut.model.requests import Mode, Recall
from walnut.views.folds import terms, text
from walnut.views.visibility import Moment

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot

_MODES = get_args(Mode)
_MOST_HITS = 1 << 31


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every weight and limit of ranking. The parts are bounded: text lies in 0..1, the others in 0..their weight.

    `k1` is BM25's; `body_b` and `ctx_b` say how much a field's length counts against it; `ctx` is the weight of
    a term that only the turns before hold. `recency_half_life` is in ns of `occurred_at` before the newest.
    """

    k1: float = 1.2
    body_b: float = 0.75
    ctx_b: float = 0.75
    ctx: float = 0.4
    session: float = 0.5
    speaker: float = 0.5
    recency: float = 0.05
    recency_half_life: int = 30 * 86_400 * 10**9
    confidence: float = 0.05
    #: Of a memory that states none.
    confidence_unstated: float = 0.5
    #: Query terms that are looked up at most.
    most_terms: int = 64
    #: Terms are gathered, rarest first, until they bring so many versions.
    gather: int = 2000
    #: Newest postings of one term that are gathered at most.
    most_postings: int = 10_000
    #: Living candidates that are scored, at least; twice `k` if that is more.
    pool: int = 250


SETTINGS = Settings()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, where, as of when (`upto`, an LSN), and how much of it."""

    request: Recall
    readable: tuple[str, ...]
    below: bool
    moment: Moment
    scopes: tuple[int, ...]
    terms: tuple[int, ...]
    pool: int
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
    """Check the request and prepare it. Errors: InvalidArgument for k < 1 or an unknown mode."""
    if request.k < 1:
        raise InvalidArgument("k is below 1", where="k", hint="ask for at least one hit")
    if request.mode not in _MODES:
        raise InvalidArgument("unknown mode", where="mode", hint=f"one of {', '.join(_MODES)}")
    searching = request.mode != "recent"
    return Plan(
        request=request,
        readable=tuple(readable),
        below=below,
        moment=moment,
        scopes=tuple(text.scope_numbers(snapshot.db, readable, below=below)) if searching else (),
        terms=tuple(terms.query_terms(request.query, most=settings.most_terms)) if searching else (),
        pool=max(settings.pool, 2 * min(request.k, _MOST_HITS)),
        settings=settings,
    )
