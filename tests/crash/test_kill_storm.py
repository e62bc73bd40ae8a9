"""All processes that write to a store are killed, again and again: see `storm`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash import storm


@pytest.mark.timeout(3600)
def test_L1_L2_L3_L9_L11_nothing_acknowledged_is_lost_or_doubled_when_all_writers_are_killed(
    rounds: Callable[[int], int],
) -> None:
    tally = storm.run(rounds=rounds(50))
    assert tally.tried == rounds(50)
    assert tally.acknowledged
    assert not tally.problems
