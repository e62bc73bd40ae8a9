"""A bit flipped in views or checkpoints, or a file of theirs emptied, cut or deleted: never a silent wrong answer."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import walnut
from tests.crash.questions import Answers, answers, fill, tells_no_lie
from tests.crash.rot import files, harm
from tests.crash.stores import say

EVENTS = 1000


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], Answers]:
    """A store that was closed and one whose owner is gone without closing, and what both answer."""
    folder = tmp_path_factory.mktemp("views")
    with walnut.open(folder / "live", scope="global") as m:
        fill(m, EVENTS)
        m.upkeep.rebuild()
        expected = answers(m, then=EVENTS // 2)
        for event in range(3):  # each in a transaction of its own in the write-ahead log
            m.bind(scope="elsewhere").remember(f"the end {event}")
            m.wait()
        expected = answers(m, then=EVENTS // 2)
        shutil.copytree(folder / "live", folder / "killed")
    shutil.copytree(folder / "live", folder / "closed")
    return {name: folder / name for name in ("closed", "killed")}, expected


def judged(folder: Path, expected: Answers) -> tuple[int, int]:
    """How many answers were missing something or an error, and how many views `verify` found wrong."""
    with walnut.open(folder, scope="global") as m:
        wrong = sum(not check.ok for check in m.upkeep.verify_views())
        found = answers(m, then=EVENTS // 2)
        missed = sum(found[name] != expected[name] for name in expected)
        for name, answer in found.items():
            assert wrong or answer == expected[name], f"silently wrong: {name}"
            tells_no_lie(name, answer, expected)
        if wrong:
            m.upkeep.rebuild()
            assert answers(m, then=EVENTS // 2) == expected
            assert all(check.ok for check in m.upkeep.verify_views())
    return missed, wrong


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("store", ["closed", "killed"])
def test_V3_V4_damage_in_a_view_is_told_or_harmless(
    store: str, origin: tuple[dict[str, Path], Answers], tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    stores, expected = origin
    told = missing = 0
    for _ in range(rounds(200)):
        seed = random.SystemRandom().getrandbits(32)
        chance = random.Random(seed)
        folder = tmp_path / "harmed"
        shutil.copytree(stores[store], folder)
        path = chance.choice([path for path in files(folder / "views") if path.stat().st_size])
        say(f"seed {seed}: {harm(path, chance)}")
        missed, wrong = judged(folder, expected)
        say(f"    {missed} answers differ, verify says {'damaged' if wrong else 'whole'}")
        told, missing = told + wrong, missing + bool(missed)
        shutil.rmtree(folder)
    say(f"told {told}, of which {missing} changed an answer")


@pytest.mark.timeout(3600)
def test_V4_damage_in_a_checkpoint_changes_no_answer(
    origin: tuple[dict[str, Path], Answers], tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    stores, expected = origin
    for _ in range(rounds(100)):
        seed = random.SystemRandom().getrandbits(32)
        chance = random.Random(seed)
        folder = tmp_path / "harmed"
        shutil.copytree(stores["closed"], folder)
        shutil.rmtree(folder / "views")
        newest = files(folder / "checkpoints")[-1]
        say(f"seed {seed}: {harm(newest, chance)}")
        with walnut.open(folder, scope="global") as m:
            assert answers(m, then=EVENTS // 2) == expected
        shutil.rmtree(folder)
