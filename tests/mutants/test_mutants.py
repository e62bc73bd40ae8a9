"""A few of the seeded bugs are caught in every run, all in the soak and by `python -m tests.mutants`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Stale, mutated
from tests.mutants.page import PAGE, page
from tests.mutants.runner import run
from tests.promises import PROMISES

QUICK = {"no-sync-before-the-ack", "mark-ignored", "checksum-not-bound-to-the-offset", "poison-not-shared"}


def test_every_seeded_bug_can_still_be_seeded() -> None:
    stale = []
    for mutant in MUTANTS:
        try:
            mutated(mutant)
        except Stale as error:
            stale.append(str(error))
    assert not stale, "the source has changed; write these bugs anew:\n\n" + "\n".join(stale)


def test_every_seeded_bug_says_what_it_breaks_and_is_another() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new, mutant.more) for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert mutant.old != mutant.new
        assert mutant.breaks, mutant.name
        assert mutant.promise.split(), mutant.name
        assert {*mutant.promise.split()} <= PROMISES.keys(), mutant.name
        assert "::" in mutant.test, f"{mutant.name}: name the narrowest test"
    assert {mutant.name for mutant in MUTANTS} >= QUICK


def test_the_page_lists_every_seeded_bug() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.mutants --page"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_is_caught(mutant: Mutant, rounds: Callable[[int], int]) -> None:
    if rounds(10) < 10 and mutant.name not in QUICK:
        pytest.skip("in the soak only")
    outcome = run(mutant)
    assert outcome.caught, outcome.why
