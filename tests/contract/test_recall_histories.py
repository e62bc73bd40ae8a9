"""Recall over random histories: all that holds at a moment and nothing else, with scores that a replay gives again."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import walnut
from tests.contract.told import SCOPES, WORDS, Asked, Story, ns
from walnut import Hit, Memory

MODES: tuple[Any, ...] = ("hybrid", "keyword", "vector", "recent")
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"tags": ["red"]},
    {"tags": ["red", "blue"]},
    {"since": "2010-01-01"},
    {"until": "2015-01-01"},
    {"since": "2001-01-01", "until": "2001-01-02"},
    {"min_confidence": 0.8},
    {"min_confidence": 0.2, "tags": ["blue"], "until": "2020-01-01"},
)


def moments(story: Story, times: dict[int, int]) -> Iterable[tuple[Callable[[Memory], Any], Asked]]:
    """Ways to turn a handle to a moment, and which moment it is."""
    chance, newest = story.chance, story.root.log.durable_lsn
    yield lambda m: m, Asked("", newest, time.time_ns())
    for day in ("2003-01-01", "2012-01-01", "2060-01-01", "2201-01-01"):
        yield lambda m, day=day: m.as_of(valid_time=day), Asked("", newest, ns(day))  # type: ignore[misc]
    for lsn in sorted(chance.sample(range(1, newest + 1), k=4)):
        yield lambda m, lsn=lsn: m.as_of(lsn=lsn), Asked("", lsn, times[lsn])  # type: ignore[misc]
    lsn, day = chance.randint(1, newest), chance.choice(["2004-01-01", "2030-01-01"])
    yield lambda m: m.as_of(lsn=lsn, valid_time=day), Asked("", lsn, ns(day))


def check(story: Story, hits: list[Hit], asked: Asked, times: dict[int, int], **filters: Any) -> None:
    """Every hit holds, nothing is given twice, and all that holds is there."""
    seen = {(each.memory, each.lsn, (each.given or {})["text"]) for each in story.seen(asked, times, **filters)}
    given = [(hit.memory_id, hit.lsn, hit.text) for hit in hits]
    beside = [each for hit in hits for each in (*hit.evidence, *hit.facts, *hit.repeats)]
    holds = {each.lsn: (each.given or {})["text"] for each in story.versions(asked, times).values()}
    assert {*given} <= seen
    assert len(given) == len({memory for memory, _, _ in given})
    assert all(each.text is None or holds[each.lsn] == each.text for each in beside)
    assert {lsn for _, lsn, _ in seen} <= {lsn for _, lsn, _ in given} | {each.lsn for each in beside}
    for hit in hits:
        assert sum(part.value for part in hit.parts) == hit.score
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_T1_T2_T3_recall_finds_what_holds_at_a_moment_and_nothing_else(rounds: Callable[[int], int]) -> None:
    """Superseded, forgotten, undone, expired, not yet valid, hidden by a nearer key, outside: never a hit."""
    for seed in range(rounds(50)):
        with walnut.open("memory://", scope="global") as root:
            story = Story(root, seed)
            story.live(70)
            times = story.times()
            for turned, moment in moments(story, times):
                for scope in SCOPES:
                    handle, below = turned(story.handles[scope]), story.chance.random() < 0.3
                    asked = moment._replace(scope=scope, below=below)
                    if moment.lsn == root.log.durable_lsn:  # what it was shown is noted by its next write
                        times = story.times()
                    for filters in story.chance.sample(FILTERS, k=2):
                        for mode in MODES:
                            hits = handle.recall("a walnut", k=1000, mode=mode, below=below, explain=True, **filters)
                            check(story, hits, asked, times, **filters)
                        listed = handle.list(limit=1000, below=below, **filters).items
                        seen = {each.lsn for each in story.seen(asked, times, **filters)}
                        assert {record.lsn for record in listed} == seen


# --- scores ---------------------------------------------------------------------------------------


def scores(root: Memory, lsn: int, seed: int) -> list[Any]:
    """Everything that searches at an LSN say, their scores and parts bit for bit."""
    chance, found = random.Random(seed), list[Any]()
    for scope in SCOPES:
        past = root.bind(scope=scope).as_of(lsn=lsn)
        for mode in MODES:
            for filters in ({}, chance.choice(FILTERS)):
                query = " ".join(chance.sample(WORDS, k=2)) + chance.choice([" Ann", " my", " 2015", ""])
                below = chance.random() < 0.3
                hits = past.recall(query, k=30, mode=mode, below=below, explain=True, **filters)
                found.append([(hit.memory_id, hit.lsn, hit.score, hit.parts, hit.evidence, hit.facts) for hit in hits])
        found.append(past.context("walnut tea", budget=300).text)
    assert any(found)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_V3_V4_T2_scores_at_an_LSN_are_a_replays_however_the_store_went_on(seed: int, tmp_path: Path) -> None:
    """They equal those of the store as it was then, those after a rebuild, and those after all views are deleted."""
    place, copy = tmp_path / "store", tmp_path / "then"
    with walnut.open(place, scope="global") as root:
        story = Story(root, seed)
        story.live(40)
        then = root.log.durable_lsn
        expected = scores(root, then, seed)
    shutil.copytree(place, copy)
    with walnut.open(place, scope="global") as root:
        later = Story(root, seed + 100)
        later.said = [*story.said]
        later._acks = [*story._acks]
        later.undone = [*story.undone]
        for _ in range(4):
            later.live(12)
            assert scores(root, then, seed) == expected
        half = then // 2
        expected_half = scores(root, half, seed)
        root.upkeep.rebuild()
        assert scores(root, then, seed) == expected
        assert scores(root, half, seed) == expected_half
    with walnut.open(copy, scope="global") as root:
        assert scores(root, then, seed) == expected
    for folder in ("views", "checkpoints"):
        shutil.rmtree(place / folder, ignore_errors=True)
    with walnut.open(place, scope="global") as root:
        assert scores(root, half, seed) == expected_half
        assert scores(root, then, seed) == expected


def test_V4_views_deleted_under_an_open_store_change_no_score(tmp_path: Path) -> None:
    with walnut.open(tmp_path, scope="global") as root:
        story = Story(root, 11)
        story.live(50)
        then = root.log.durable_lsn
        expected = scores(root, then, 11)
        for path in (tmp_path / "views").iterdir():
            if not path.name.endswith(".lock"):
                path.unlink()
        assert scores(root, then, 11) == expected
        story.live(5)
        assert scores(root, then, 11) == expected
        assert all(each.ok for each in root.upkeep.verify_views())
