"""A figure: what one row measured, what it is to reach, and the verdict."""

from __future__ import annotations

from statistics import median
from typing import Literal

import msgspec

Verdict = Literal["reached aim", "reached", "below", "needs --full", "not measured", "-"]


class Rate(msgspec.Struct, frozen=True):
    """So many events in so many seconds, and the seconds of CPU that this process spent on them."""

    count: int
    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.count / self.wall

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU an event."""
        return self.cpu / self.count * 1e6


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table; `value` is None when it could not be measured, `note` then says why.

    `at_least` and `aim` are what the design asks for; `beside` is the raw limit or the peer, measured in the same
    run; `cpu_us` is CPU an event. A `stand_in` measures less than the target speaks of: it can only miss it.
    """

    row: str
    name: str
    value: float | None
    unit: str
    at_least: float | None = None
    aim: float | None = None
    lower: bool = False
    beside: str = ""
    cpu_us: float | None = None
    note: str = ""
    stand_in: bool = False

    @property
    def verdict(self) -> Verdict:
        """What is to be said of it."""
        if self.value is None:
            return "not measured"
        if self.at_least is None:
            return "-"
        if not self._meets(self.at_least):
            return "below"
        if self.stand_in:
            return "needs --full"
        return "reached aim" if self.aim is not None and self._meets(self.aim) else "reached"

    def _meets(self, target: float) -> bool:
        if self.value is None:
            return False
        return self.value <= target if self.lower else self.value >= target


def ratio(ours: list[Rate], theirs: list[Rate]) -> float:
    """The median over the pairs of the quotient of rates."""
    return median(a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True))


def turns(ours: list[Rate], theirs: list[Rate]) -> str:
    """The lowest and the highest quotient, for people: how much the disk swung meanwhile."""
    quotients = [a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True)]
    return f"turns {min(quotients):.2f} to {max(quotients):.2f}"


def speed(rates: list[Rate]) -> str:
    """The median rate, for people."""
    return f"{median(rate.per_second for rate in rates):,.0f}/s"


def cpu(rates: list[Rate]) -> float:
    """The median of CPU an event, in microseconds."""
    return median(rate.cpu_us for rate in rates)
