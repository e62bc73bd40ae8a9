"""Campaigns: many trials in pieces that run anywhere, each known by its seed, and what is said of one that fails."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.simulation.explore import VIEWS_EVERY, Depth, Exploration
from tests.simulation.plans import Plan, draw
from tests.simulation.rot import Rotten
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.shrink import shrink
from tests.simulation.tally import Tally
from tests.simulation.trial import Outcome, run, tiny_segments

_TRACE = 40


class Report(msgspec.Struct):
    """What came of a piece: figures, and a text for each failure."""

    tally: Tally
    failures: list[str] = []


def schedules(first: int, count: int) -> Report:
    """The schedules of these seeds; stops at the first that fails."""
    report = Report(Tally())
    with tiny_segments():
        for seed in range(first, first + count):
            plan = draw(seed, views=seed % VIEWS_EVERY == 0)
            outcome = run(plan, report.tally)
            if outcome.witnesses:
                report.tally.anomalies += 1
                report.failures.append(tell(plan, outcome))
                break
    return report


def scenario(name: str, seed: int, depth: Depth) -> Report:
    """All crash points of one scenario; stops at the first that fails."""
    report = Report(Tally())
    chosen = next(each for each in SCENARIOS if each.name == name)
    with tiny_segments():
        for failure in Exploration(chosen, seed=seed, depth=depth, tally=report.tally).run():
            again = f"--scenario {name} --seed {seed} --depth {depth.stride},{depth.outcomes},{depth.again}"
            report.failures.append(
                "\n".join(
                    (
                        f"scenario {name}, seed {seed}: {failure.crash}",
                        *(f"  {each.anomaly} at LSN {each.lsn}: {each.seen}" for each in failure.witnesses[:8]),
                        *(f"    {line}" for line in failure.trace[-_TRACE:]),
                        f"again: {COMMAND} {again}",
                    )
                )
            )
            break
    return report


def rot(first: int, count: int, *, stride: int) -> Report:
    """Stores of these seeds with a byte changed, repaired, and the repair crashed at every so many calls."""
    report = Report(Tally())
    with tiny_segments():
        for seed in range(first, first + count):
            report.tally.schedules += 1
            before = report.tally.crash_points
            rotten = Rotten(seed, report.tally)
            found = list(rotten.judge(stride=stride))
            crashes = report.tally.crash_points - before
            report.tally.where["repair"] = report.tally.where.get("repair", 0) + crashes
            if found:
                report.tally.anomalies += 1
                report.failures.append(
                    "\n".join(
                        (
                            f"rot, seed {seed}: {rotten.what}",
                            *(f"  {each.anomaly} at LSN {each.lsn}: {each.seen}" for each in found[:8]),
                            f"again: {COMMAND} --rot --seed {seed} --depth {stride}",
                        )
                    )
                )
                break
    return report


COMMAND = ".venv/bin/python -m tests.simulation"


def fails_like(first: Outcome) -> Callable[[Plan], bool]:
    """Whether a plan shows an anomaly of the same name."""
    names = {each.anomaly for each in first.witnesses}

    def fails(plan: Plan) -> bool:
        return any(each.anomaly in names for each in run(plan, Tally()).witnesses)

    return fails


def tell(plan: Plan, outcome: Outcome) -> str:
    """The seed, the anomalies, a smaller schedule that shows one of them, its last calls, and how to run it again."""
    small = shrink(plan, fails_like(outcome))
    shown = run(small, Tally())
    return "\n".join(
        (
            f"seed {plan.seed}",
            *(f"  {each.anomaly} at LSN {each.lsn}: {each.seen}" for each in outcome.witnesses[:8]),
            f"smaller: {msgspec.json.encode(small).decode()}",
            *(f"  {each.anomaly} at LSN {each.lsn}: {each.seen}" for each in shown.witnesses[:8]),
            *(f"    {line}" for line in shown.trace[-_TRACE:]),
            f"again: {COMMAND} --seed {plan.seed}",
        )
    )


def repeat(plan: Plan) -> Report:
    """One schedule, whole and made smaller."""
    report = Report(Tally())
    with tiny_segments():
        outcome = run(plan, report.tally)
        if outcome.witnesses:
            report.tally.anomalies += 1
            report.failures.append(tell(plan, outcome))
    return report
