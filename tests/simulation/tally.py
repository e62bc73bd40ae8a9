"""The tally of a run: what was tried how often, in figures that a page can quote."""

from __future__ import annotations

from collections import Counter

import msgspec

_ROWS = (
    ("schedules", "schedules (histories that differ, each judged)"),
    ("frames", "simulated appends (requests, one frame or a share of one)"),
    ("events", "events in them, acknowledged"),
    ("lives", "lives of a machine"),
    ("calls", "calls that could fail or be the last"),
    ("process_deaths", "crash points: a process dies"),
    ("power_cuts", "crash points: the power goes"),
    ("double", "of them while an earlier crash was being recovered"),
    ("recoveries", "recoveries judged"),
    ("views", "views compared with a replay"),
)


class Tally(msgspec.Struct):
    """Counts; two are added up by `add`."""

    schedules: int = 0
    frames: int = 0
    events: int = 0
    lives: int = 0
    calls: int = 0
    process_deaths: int = 0
    power_cuts: int = 0
    double: int = 0
    recoveries: int = 0
    views: int = 0
    anomalies: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = {}
    where: dict[str, int] = {}

    @property
    def crash_points(self) -> int:
        """Of both kinds."""
        return self.process_deaths + self.power_cuts

    def add(self, other: Tally) -> None:
        """Take in what another process has counted."""
        for name in self.__struct_fields__:
            mine, its = getattr(self, name), getattr(other, name)
            setattr(self, name, dict(Counter(mine) + Counter(its)) if isinstance(mine, dict) else mine + its)

    def table(self) -> str:
        """Plain text, a row a line."""
        rows = [(text, f"{getattr(self, name):,}") for name, text in _ROWS]
        rows += [(f"faults: {kind}", f"{count:,}") for kind, count in sorted(self.faults.items())]
        rows += [(f"crash points in: {name}", f"{count:,}") for name, count in sorted(self.where.items())]
        rows += [("anomalies", f"{self.anomalies:,}")]
        width = max(len(text) for text, _ in rows)
        return "\n".join(f"{text:<{width}}  {value:>14}" for text, value in rows)

    def line(self) -> str:
        """How far a run has got."""
        return (
            f"{self.schedules:,} schedules, {self.frames:,} appends, {self.crash_points:,} crash points"
            f" ({self.process_deaths:,} process, {self.power_cuts:,} power, {self.double:,} double),"
            f" {self.views:,} views compared, {self.anomalies} anomalies"
        )
