"""Context: hits packed into a token budget, best first, with what stands with them, a cited line each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec

from walnut.errors import InvalidArgument
from walnut.model.contexts import Context, LeftOut, Line, Role
from walnut.model.requests import Packing
from walnut.model.results import Hit, Related
from walnut.recall.counting import TokenCounter, checked, estimate
from walnut.recall.excerpt import excerpt
from walnut.recall.lines import Source, day_of, source
from walnut.recall.spread import spread

#: A line takes at most this share of the budget, or `LEAST` tokens if that is more: of a longer text a passage is
#: shown. Less than `LEAST` is not worth a passage.
SHARE = 4
LEAST = 64
#: A line of more characters a token is too long, without counting it: nothing usual is as short.
CHARACTERS = 16
#: This share of the budget is kept for turns beside hits, where they are asked for.
BESIDE = 3
#: Of evidence, facts and conflicts so many of each stand with a hit.
STANDING = 2

#: The turns beside a hit, each with its role, nearest first.
Neighbours = Callable[[Hit], Iterable[tuple[Role, Related]]]


def pack(
    hits: Sequence[Hit],
    packing: Packing,
    *,
    count: TokenCounter = estimate,
    wanted: Collection[int] = (),
    neighbours: Neighbours | None = None,
) -> Context:
    """The best hits that fit, a line each: `- [evt_…] 2026-02-01 Ann: text`; no event twice.

    The whole text has at most `packing.budget` tokens as `count` counts them. A hit that does not fit is left
    out, and a shorter one after it may still get in. Of a long text that passage is shown that holds most of the
    `wanted` terms. In order "time" lines stand by day, then as the conversation went.

    Errors: InvalidArgument for a budget below 1, or a counter that gives no number; CounterFailed.
    """
    if packing.budget < 1:
        raise InvalidArgument("the budget is below 1 token", where="budget", hint="1500 is a good start")
    desk = _Desk(packing, checked(count), wanted)
    first, similar = spread(hits)
    beside = neighbours if packing.neighbours else None
    desk.take_all(first, limit=packing.budget - (packing.budget // BESIDE if beside else 0))
    if beside is not None:
        desk.stand_beside(first, beside)
        desk.take_all(first, limit=packing.budget)
    desk.take_all(similar, limit=packing.budget)
    desk.widen()
    text, lines = desk.text()
    while lines and desk.count(text) > packing.budget:  # a counter for which a text costs more than its lines
        desk.drop_last()
        text, lines = desk.text()
    tokens = desk.count(text) if lines else 0
    return _context(hits, similar, text=text, tokens=tokens, budget=packing.budget, lines=lines)


def _context(
    hits: Sequence[Hit], similar: Sequence[Hit], *, text: str, tokens: int, budget: int, lines: Sequence[Line]
) -> Context:
    shown = {line.lsn for line in lines}
    by_lsn = {hit.lsn: hit for hit in hits}
    left_out = [hit for hit in hits if hit.lsn not in shown]
    waited = sum(hit.lsn not in shown for hit in similar)
    return Context(
        text=text,
        tokens=tokens,
        budget=budget,
        citations=tuple(line.event_id for line in lines),
        hits=tuple(_as_shown(by_lsn[line.lsn], shown) for line in lines if line.lsn in by_lsn),
        left_out=len(left_out),
        lines=tuple(lines),
        because=LeftOut(
            budget=len(left_out) - waited, similar=waited, repeated=sum(hit.said - 1 for hit in by_lsn.values())
        ),
    )


def _as_shown(hit: Hit, shown: Collection[int]) -> Hit:
    """The hit with those beside it that are in the text."""
    return msgspec.structs.replace(
        hit,
        evidence=tuple(each for each in hit.evidence if each.lsn in shown),
        facts=tuple(each for each in hit.facts if each.lsn in shown),
        conflicts=tuple(each for each in hit.conflicts if each.lsn in shown),
        repeats=(),
    )


class _Placed:
    """A line in the text, with what it costs."""

    def __init__(self, made_of: Source, shown: str, cost: int) -> None:
        self.made_of = made_of
        self.shown = shown
        self.cost = cost


class _Desk:
    """A text in the making: its lines by LSN in the order of their taking, and the tokens they cost."""

    def __init__(self, packing: Packing, count: TokenCounter, wanted: Collection[int]) -> None:
        self.count = count
        self._by_time = packing.order == "time"
        self._budget = packing.budget
        self._longest = max(packing.budget // SHARE, LEAST)
        self._wanted = wanted
        self._placed: dict[int, _Placed] = {}
        self._days: set[str] = set()
        self._used = 0

    # -- taking lines in -------------------------------------------------------------------------------------------

    def take_all(self, hits: Iterable[Hit], *, limit: int) -> None:
        """Each hit that fits, with what stands with it."""
        for hit in hits:
            made_of = source(
                lsn=hit.lsn, event_id=hit.event_id, occurred_at=hit.occurred_at, given=hit.source, text=hit.text
            )
            if hit.lsn not in self._placed and self._take(made_of, limit):
                for role, each in _standing(hit):
                    self._take_related(hit, role, each, limit)

    def stand_beside(self, hits: Iterable[Hit], neighbours: Neighbours) -> None:
        """The turns beside those hits that are in."""
        for hit in hits:
            if hit.lsn in self._placed and self._placed[hit.lsn].made_of.role == "hit":
                for role, each in neighbours(hit):
                    self._take_related(hit, role, each, self._budget)

    def _take_related(self, hit: Hit, role: Role, each: Related, limit: int) -> None:
        if each.text is None or each.occurred_at is None or each.lsn in self._placed:
            return
        made_of = source(
            lsn=each.lsn,
            event_id=each.event_id,
            occurred_at=each.occurred_at,
            given=each.source,
            text=each.text,
            role=role,
            lead=hit.lsn,
        )
        self._take(made_of, limit)

    def _take(self, made_of: Source, limit: int) -> bool:
        heading = self._heading(made_of)
        room = limit - self._used - (self.count(heading) if heading else 0)
        whole = self._line(made_of, made_of.text)
        shown: str | None = whole
        cost = self._cost(whole)
        if cost > self._longest:
            shown = self._passage(made_of, min(room, self._longest)) if room >= LEAST else None
            cost = room + 1 if shown is None else self.count(shown)
        if shown is None or cost > room:
            return False
        self._used = limit - room + cost
        self._placed[made_of.lsn] = _Placed(made_of, shown, cost)
        if heading:
            self._days.add(heading)
        return True

    def _cost(self, line: str) -> int:
        """Tokens of a line, more than a line may have where it need not be counted to know that it is too long."""
        return self._longest + 1 if len(line) > self._longest * CHARACTERS else self.count(line)

    def widen(self) -> None:
        """What is left of the budget goes to the texts that were cut, the best first."""
        for placed in self._placed.values():
            left = self._budget - self._used
            if left < LEAST:
                return
            if _is_cut(placed):
                wider = self._passage(placed.made_of, placed.cost + left)
                if wider is not None and (cost := self.count(wider)) > placed.cost:
                    self._used += cost - placed.cost
                    placed.shown, placed.cost = wider, cost

    def drop_last(self) -> None:
        """Give up the line that was taken last."""
        self._placed.popitem()

    # -- what lines look like --------------------------------------------------------------------------------------

    def text(self) -> tuple[str, list[Line]]:
        """The text, and what its cited lines are."""
        leads = [placed for placed in self._placed.values() if not self._stands_with(placed)]
        if self._by_time:
            leads.sort(key=lambda placed: (placed.made_of.occurred_at, placed.made_of.lsn))
        standing: dict[int, list[_Placed]] = {}
        for placed in self._placed.values():
            if self._stands_with(placed):
                standing.setdefault(placed.made_of.lead, []).append(placed)
        written: list[str] = []
        lines: list[Line] = []
        day = ""
        for lead in leads:
            heading = self._heading(lead.made_of, known=day)
            if heading:
                written.append(heading)
                day = heading
            for placed in (lead, *standing.pop(lead.made_of.lsn, ())):
                written.append(placed.shown)
                lines.append(_line(placed))
        return "".join(written).removesuffix("\n"), lines

    def _stands_with(self, placed: _Placed) -> bool:
        """Whether it stands below its hit; in order of time, turns have a place of their own."""
        role = placed.made_of.role
        return role != "hit" and not (self._by_time and role in {"before", "after"})

    def _heading(self, made_of: Source, *, known: str | None = None) -> str:
        """The day's heading, where there are days and the text does not have it yet."""
        if not self._by_time or made_of.role not in {"hit", "before", "after"}:
            return ""
        heading = day_of(made_of.occurred_at) + "\n"
        return "" if (heading in self._days if known is None else heading == known) else heading

    def _line(self, made_of: Source, text: str) -> str:
        dated = not self._by_time or made_of.role not in {"hit", "before", "after"}
        return made_of.line(text, dated=dated) + "\n"

    def _passage(self, made_of: Source, room: int) -> str | None:
        passage = excerpt(
            made_of.text,
            room=room,
            count=lambda text: self.count(self._line(made_of, text)),
            wanted=self._wanted,
        )
        return None if passage is None else self._line(made_of, passage)


def _line(placed: _Placed) -> Line:
    made_of = placed.made_of
    return Line(lsn=made_of.lsn, event_id=made_of.event_id, role=made_of.role, cut=_is_cut(placed))


def _is_cut(placed: _Placed) -> bool:
    return not placed.shown.endswith(placed.made_of.text + "\n")


def _standing(hit: Hit) -> Iterator[tuple[Role, Related]]:
    """What stands with a hit: what contradicts it first, then the newest of its evidence and the facts from it."""
    kinds: tuple[tuple[Role, Sequence[Related]], ...] = (
        ("conflict", hit.conflicts),
        ("evidence", sorted(hit.evidence, key=attrgetter("lsn"), reverse=True)),
        ("fact", hit.facts),
    )
    for role, events in kinds:
        shown = [each for each in events if each.text is not None]
        yield from ((role, each) for each in shown[:STANDING])
