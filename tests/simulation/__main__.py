"""The long simulation: `python -m tests.simulation --minutes 30`, on all cores, with a table at the end."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import msgspec

from tests.simulation import campaign
from tests.simulation.explore import VIEWS_EVERY, Depth
from tests.simulation.plans import Plan, draw
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.tally import Tally

_PIECE = 200
#: Of schedules, after each scenario.
_PIECES = 6
_ROTTEN = 20
_SAY_EVERY = 30.0
#: In turn: without second crashes, and with some of them.
_DEPTHS = (Depth(stride=1, outcomes=4), Depth(stride=3, outcomes=2, again=5), Depth(stride=2, outcomes=2, again=11))


class Piece(msgspec.Struct, frozen=True):
    """What one worker does next."""

    first: int
    kind: str = "schedules"
    depth: Depth = Depth()

    def run(self) -> campaign.Report:
        """Do it."""
        if self.kind == "schedules":
            return campaign.schedules(self.first, _PIECE)
        if self.kind == "rot":
            return campaign.rot(self.first, _ROTTEN, stride=7)
        return campaign.scenario(self.kind, self.first, self.depth)


def pieces(seed: int) -> Iterator[Piece]:
    """For ever: a scenario's crash points, then schedules, then the next; each time round, deeper or elsewhere."""
    turn = 0
    while True:
        for number, each in enumerate(SCENARIOS):
            yield Piece(seed + turn, each.name, _DEPTHS[(number + turn) % len(_DEPTHS)])
            for piece in range(_PIECES):
                yield Piece(seed + ((turn * len(SCENARIOS) + number) * _PIECES + piece) * _PIECE)
        yield Piece(seed + turn * _ROTTEN, "rot")
        turn += 1


def go(minutes: float, seed: int, workers: int) -> tuple[Tally, list[str]]:
    """Run pieces until the time is over or one fails."""
    start = said = time.monotonic()
    total, failures, source = Tally(), list[str](), pieces(seed)
    with ProcessPoolExecutor(workers) as pool:
        running: set[Future[campaign.Report]] = set()
        while True:
            while len(running) < workers and not failures and time.monotonic() - start < minutes * 60:
                running.add(pool.submit(Piece.run, next(source)))
            if not running:
                break
            done, running = wait(running, timeout=5, return_when=FIRST_COMPLETED)
            for each in done:
                report = each.result()
                total.add(report.tally)
                failures += report.failures
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                _say(f"{(said - start) / 60:5.1f} min  {total.line()}")
    total.seconds = round(time.monotonic() - start, 1)
    return total, failures


def main() -> int:
    """Exit code 1 when an anomaly was found."""
    ask = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    ask.add_argument("--minutes", type=float, default=10.0, help="of a long run")
    ask.add_argument("--seed", type=int, help="repeat this schedule, or with --long begin with it")
    ask.add_argument("--scenario", choices=[each.name for each in SCENARIOS], help="repeat all crash points of it")
    ask.add_argument("--depth", default="1,3,0", help="every n-th call, outcomes of a power cut, every n-th call again")
    ask.add_argument("--rot", action="store_true", help="repeat the store of --seed with a byte changed")
    ask.add_argument("--plan", type=Path, help="repeat the schedule in this file")
    ask.add_argument("--long", action="store_true", help="a long run, also when --seed is given")
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--json", type=Path, help="write the figures to this file too")
    given = ask.parse_args()
    total, failures = _repeated(given) or _long(given)
    for failure in failures:
        _say(failure)
    _say(total.table())
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(total)) + b"\n")
    return 1 if failures else 0


def _repeated(given: argparse.Namespace) -> tuple[Tally, list[str]] | None:
    """One thing again, if that is what was asked for."""
    seed = given.seed or 0
    stride, *more = map(int, given.depth.split(","))
    if given.scenario:
        report = campaign.scenario(given.scenario, seed, Depth(stride, *more))
    elif given.rot:
        report = campaign.rot(seed, 1, stride=stride)
    elif given.plan:
        report = campaign.repeat(msgspec.json.decode(given.plan.read_bytes(), type=Plan))
    elif given.seed is not None and not given.long:
        report = campaign.repeat(draw(seed, views=seed % VIEWS_EVERY == 0))
    else:
        return None
    return report.tally, report.failures


def _long(given: argparse.Namespace) -> tuple[Tally, list[str]]:
    seed = 1 if given.seed is None else given.seed
    _say(f"seeds from {seed}, {given.minutes:g} minutes, {given.workers} processes")
    return go(given.minutes, seed, given.workers)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
