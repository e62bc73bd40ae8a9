"""The store on a simulated machine: crashed at every call, and in thousands of schedules drawn from seeds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.simulation import campaign
from tests.simulation.conftest import PROPERTY
from tests.simulation.explore import Depth
from tests.simulation.scenarios import SCENARIOS

_PARTS = 8
_SCHEDULES = 2_000


def _told(report: campaign.Report, what: str, record: Callable[[str, object], None]) -> None:
    record(PROPERTY, f"{what}: {report.tally.line()}")
    assert not report.failures, "\n".join(report.failures)


def _soaked(soak: bool) -> int:
    """Where seeds begin: elsewhere in each soak."""
    return int(time.time()) * 1_000_000 if soak else 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [each.name for each in SCENARIOS])
def test_L1_L4_L6_L9_a_crash_at_any_call_loses_nothing(
    name: str, rounds: Callable[[int], int], record_property: Callable[[str, object], None]
) -> None:
    """Of a process or of the machine, and then at the calls of the recovery."""
    soak = rounds(10) == 10
    processes = len(next(each for each in SCENARIOS if each.name == name).scripts)
    depths: tuple[Depth, ...] = (Depth(1, 2), Depth(7, 1, 9))
    if processes > 1:
        depths = (Depth(2, 2) if processes == 2 else Depth(5, 1), Depth(9, 1, 11))
    if soak:
        depths = (Depth(1, 4), Depth(2, 2, 3), Depth(2, 2, 7))
    for seed, depth in zip((1, 3, 2), depths, strict=False):  # unordered names; evicted pages; neither
        report = campaign.scenario(name, seed, depth)
        _told(report, f"scenario {name}, seed {seed}", record_property)


@pytest.mark.slow
def test_L5_L13_a_changed_byte_is_noticed_and_repaired_wherever_the_repair_is_crashed(
    rounds: Callable[[int], int], record_property: Callable[[str, object], None]
) -> None:
    """Of a frame that something vouches for, of a segment's header, of FORMAT and of keys."""
    soak = rounds(10) == 10
    report = campaign.rot(_soaked(soak), rounds(500), stride=7 if soak else 23)
    _told(report, f"rot, seeds from {_soaked(soak)}", record_property)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
def test_L1_L2_L3_L5_L7_L8_L11_L12_L13_schedules_from_seeds_have_no_anomaly(
    part: int, rounds: Callable[[int], int], record_property: Callable[[str, object], None]
) -> None:
    """Processes and threads interleaved, faults, crashes, power cuts; the soak begins with other seeds each time."""
    soak = rounds(10) == 10
    first = _soaked(soak) + part * 100_000
    count = rounds(_SCHEDULES)
    report = campaign.schedules(first, count)
    _told(report, f"seeds {first} to {first + count - 1}", record_property)
