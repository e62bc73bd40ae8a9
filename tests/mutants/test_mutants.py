"""A few of the seeded bugs are caught in every run, all in the soak and by `python -m tests.mutants`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.runner import Mutant, caught, mutated

QUICK = {"no-sync-before-the-ack", "mark-ignored", "checksum-not-bound-to-the-offset", "poison-not-shared"}


def test_every_seeded_bug_can_still_be_seeded() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert mutant.old != mutant.new
        compile(mutated(mutant), mutant.file, "exec")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_is_caught(mutant: Mutant, rounds: Callable[[int], int]) -> None:
    if rounds(10) < 10 and mutant.name not in QUICK:
        pytest.skip("in the soak only")
    assert caught(mutant)
