"""Vectors: the same in any batch and on any replay, found by meaning, and never across scopes."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import walnut
from tests.unit.small_world import World
from walnut.embed import static
from walnut.embed.pieces import LONGEST, MOST, words
from walnut.model.requests import Mode
from walnut.recall import rows
from walnut.recall import vectors as near
from walnut.recall.asked import asked
from walnut.recall.plan import SETTINGS
from walnut.recall.vectors import Scan, Vectors
from walnut.system import System, Thread
from walnut.views.folds import vectors
from walnut.views.folds.vectors import VectorsFold

MODES: tuple[Mode, ...] = get_args(Mode)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


# --- texts ----------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=60), min_size=1, max_size=40), st.integers(1, 40))
def test_V1_a_text_has_one_vector_in_whatever_batch(texts: list[str], size: int) -> None:
    table = static.table()
    together = table.embed(texts)
    parts = [table.embed(texts[start : start + size]) for start in range(0, len(texts), size)]
    assert (np.concatenate(parts) == together).all()
    assert (static.Table().embed(texts[:3]) == together[:3]).all()


def test_V1_vectors_are_those_of_the_version_that_made_a_store() -> None:
    """If this fails, replays on another version differ: then `static.MODEL` and the fold's version must go up."""
    made = static.table().embed(["The walrus sat on the ice.", "naïve café", "猫", "x" * 99])
    assert [vector[:6].tolist() for vector in made] == GOLDEN


GOLDEN = [[59, 12, -78, -116, -127, -13], [-79, -3, 7, 18, -127, 16], [0, 0, 0, 0, 0, 0], [127, 83, -77, -62, -46, 19]]


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "🎸🎸", "\u202e", "ﷺ" * 3, "a" * 200_000, "ab " * 40_000])
def test_any_text_has_a_vector(text: str) -> None:
    vector = static.table().embed([text])[0]
    assert vector.dtype == np.int8
    assert abs(int(vector.min())) <= 127


def test_what_has_no_piece_is_zeros_and_what_has_is_at_full_range() -> None:
    none, some = static.table().embed(["", "walrus"])
    assert not none.any()
    assert np.abs(some.astype(int)).max() == 127
    assert not static.table().embed(["x" * (LONGEST + 1)]).any()


def test_only_the_first_pieces_count() -> None:
    one, other = static.table().embed(["cat " * MOST, "cat " * MOST + "war " * 500])
    assert (one == other).all()


def test_words_are_split_as_the_model_splits_them() -> None:
    assert words("Don't STOP, Café 黒猫!") == ["don", "'", "t", "stop", ",", "cafe", "黒", "猫", "!"]
    assert words("") == []


# --- the fold -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["user:a", "user:b"]), st.text(max_size=30)), max_size=12), st.data())
def test_V3_the_rows_do_not_depend_on_how_a_history_is_cut(history: list[tuple[str, str]], data: st.DataObject) -> None:
    world = World()
    for scope, text in history:
        world.write(text, scope=scope, source={"speaker": "Ann"})
    events, fold, digests = list(world.log.read()), VectorsFold(), set()
    for size in (100, 1, data.draw(st.integers(1, 5))):
        db = sqlite3.connect(":memory:", isolation_level=None)
        for statement in fold.schema:
            db.execute(statement)
        for start in range(0, len(events), size):
            fold.apply(db, events[start : start + size])
        digests.add(fold.digest(db))
        db.close()
    world.close()
    assert len(digests) == 1


def test_rows_of_another_size_are_left_out(world: World) -> None:
    lsn = world.write("walrus")
    odd = world.write("walrus seal")
    snapshot = world.snapshot()
    world.db.execute("UPDATE vectors SET vector = x'01' WHERE lsn = ?", (odd,))
    number = vectors.scope_number(world.db, "user:a")
    assert number is not None
    lsns, found = vectors.rows(snapshot.db, number, after=0, upto=odd, size=static.DIMENSIONS)
    assert lsns.tolist() == [lsn]
    assert found.shape == (1, static.DIMENSIONS)
    assert set(world.found("walrus")) == {lsn, odd}


# --- nearness -------------------------------------------------------------------------------------


def test_what_means_the_same_is_found_without_a_common_word(world: World) -> None:
    world.write("The invoice was paid on Monday")
    wanted = world.write("She adopted a puppy")
    world.write("The train leaves at noon")
    assert world.found("dog", mode="keyword") == []
    assert world.found("dog")[0] == wanted
    assert world.found("dog", mode="vector")[0] == wanted


def test_kept_rows_grow_with_the_view_and_answer_for_any_moment(world: World) -> None:
    lsns = []
    for number in range(30):
        lsns.append(world.write(f"puppy number {number}"))
        assert world.found("puppy", mode="vector", k=100)[0] in lsns
        assert set(world.found("puppy", mode="vector", k=100)) == set(lsns)
    dog = static.table().embed(["dog"])[0]
    for at in (1, 7, 30):
        near = world.vectors.near(world.snapshot(), ["user:a"], dog, upto=at)
        assert sorted(near.best(100)) == lsns[:at] == sorted(near.of(lsns))
        fresh = World(world.log, upto=at)
        assert world.recall("dog", mode="vector", at=at, k=50) == fresh.recall("dog", mode="vector", at=at, k=50)
        fresh.db.close()


def test_the_scopes_asked_for_longest_ago_go_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from walnut.recall import vectors as kept

    monkeypatch.setattr(kept, "KEPT", 700)
    for number in range(5):
        world.write("puppy", scope=f"user:{number}")
    for _ in range(2):
        for number in range(5):
            assert len(world.found("dog", scope=f"user:{number}", mode="vector")) == 1
    assert len(world.vectors._scopes) <= 3
    assert world.vectors._size == sum(each.size for each in world.vectors._scopes.values())


def test_a_scan_is_the_same_however_its_rows_came(world: World) -> None:
    for number in range(40):
        world.write(f"{random.Random(number).choice(['cat', 'dog', 'train'])} {number}")
    snapshot, query = world.snapshot(), static.table().embed(["kitten"])[0]
    stepwise, at_once = Vectors(System()), Vectors(System())
    found = stepwise.near(snapshot, ["user:a"], query, upto=2)
    for upto in (3, 4, 20, 40):
        found = stepwise.near(snapshot, ["user:a"], query, upto=upto)
    assert found.of(range(1, 41)) == at_once.near(snapshot, ["user:a"], query, upto=40).of(range(1, 41))
    assert found.best(10) == at_once.near(snapshot, ["user:a"], query, upto=40).best(10)


def test_another_tenant_changes_no_vector_score() -> None:
    alone, shared = World(), World()
    for number in range(40):
        text = f"{random.Random(number).choice(['cat', 'dog', 'train', 'invoice'])} {number}"
        alone.write(text, memory=number, occurred_at=number)
        for tenant in range(number % 4):
            shared.write(f"kitten {tenant}", scope=f"user:b{tenant}")
        shared.write(text, memory=10_000 + number, occurred_at=number)
    for mode in ("vector", "hybrid"):
        one, other = alone.recall("kitten", mode=mode, k=100), shared.recall("kitten", mode=mode, k=100)
        assert [(hit.score, hit.parts) for hit in one] == [(hit.score, hit.parts) for hit in other]
    alone.close()
    shared.close()


@pytest.fixture(params=["with whole numbers of 8 bits", "with floats"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the two ways dot products are computed."""
    if request.param == "with floats":
        monkeypatch.setattr(rows, "simd", lambda: None)
    else:
        assert rows.simd() is not None
    return str(request.param)


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_dot_products_are_the_whole_numbers_they_are(way: str, count: int) -> None:
    chance = np.random.default_rng(count)
    found = chance.integers(-127, 128, (count, static.DIMENSIONS)).astype(np.int8)
    found[: count // 3] = np.sign(found[: count // 3]) * 127  # the largest sums there are
    query = (np.sign(chance.integers(-127, 128, static.DIMENSIONS)) * 127).astype(np.int8)
    held = rows.Rows(static.DIMENSIONS)
    for start in range(0, count, 60):
        held.extend(np.arange(start, min(start + 60, count)), found[start : start + 60])
    part = held.until(count)
    assert part.dots(query).tolist() == (found.astype(np.int64) @ query.astype(np.int64)).tolist()
    lengths = np.linalg.norm(found.astype(float), axis=1) * np.linalg.norm(query.astype(float))
    exact = (found.astype(np.int64) @ query.astype(np.int64)) / np.where(lengths > 0, lengths, 1)
    assert np.allclose(part.cosines(query, np.arange(count)), exact, rtol=1e-12, atol=0)


def test_the_nearest_are_those_of_a_sort_of_all(way: str) -> None:
    chance = np.random.default_rng(3)
    found = chance.integers(-3, 4, (700, static.DIMENSIONS)).astype(np.int8)
    found[300:400], found[400:420] = found[200:300], 0  # equals, and some without a direction
    held, query = rows.Rows(static.DIMENSIONS), found[5]
    held.extend(np.arange(1, 701), found)
    scan = Scan([held.until(700)], query)
    cosines = scan.of(range(1, 701))
    order = sorted((lsn for lsn in cosines if cosines[lsn] > 0), key=lambda lsn: (-cosines[lsn], -lsn))
    for wanted in (1, 10, 250, 699, 10_000):
        assert Scan([held.until(700)], query).best(wanted) == order[:wanted]


class _NoThreads(System):
    def start_thread(self, target: Callable[[], None], *, name: str) -> Thread:
        raise RuntimeError("can't start new thread")


class _NoMemory(System):
    """A thread that runs out of memory where the searching one does not."""

    def start_thread(self, target: Callable[[], None], *, name: str) -> Thread:
        with patch.object(rows.Part, "dots", side_effect=MemoryError):
            thread = super().start_thread(target, name=name)
            thread.join()
        return thread


@pytest.mark.parametrize("system", [System, _NoThreads, _NoMemory])
def test_many_rows_looked_at_ahead_are_those_looked_at_when_asked(
    way: str, system: type[System], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(4)
    found = chance.integers(-128, 128, (700, static.DIMENSIONS)).astype(np.int8)
    held = rows.Rows(static.DIMENSIONS)
    held.extend(np.arange(1, 701), found)
    monkeypatch.setattr(near, "AHEAD", 700)
    ahead = Scan([held.until(700)], found[5], system=system())
    alone = Scan([held.until(700)], found[5])
    assert ahead.best(30) == alone.best(30)
    assert ahead.best(600) == alone.best(600)
    assert ahead.of(range(1, 701)) == alone.of(range(1, 701))


def test_filters_reach_beyond_the_nearest(world: World) -> None:
    wanted = world.write("something quite else about trains", tags=["t"], confidence=0.9, occurred_at=1)
    for _ in range(400):
        world.write("puppy", occurred_at=10)
    for narrowed in ({"tags": ("t",)}, {"until": 5}, {"min_confidence": 0.5}):
        assert world.found("dog train", mode="vector", **narrowed) == [wanted]


# --- ranking --------------------------------------------------------------------------------------


def test_of_repetitions_by_one_speaker_the_latest_counts_and_the_others_come_last(world: World) -> None:
    first = world.write("My walrus is called Otto", source={"speaker": "Ann"}, occurred_at=1)
    latest = world.write("my walrus is called OTTO!", source={"speaker": "Ann"}, occurred_at=9)
    bob = world.write("My walrus is called Otto", source={"speaker": "Bob"}, occurred_at=5)
    other = world.write("A walrus swims", occurred_at=3)
    found = world.found("what is the walrus called")
    assert found[-1] == first
    assert set(found) == {first, latest, bob, other}


def test_the_first_person_asks_for_what_the_user_said(world: World) -> None:
    user = world.write("A cello costs a lot of money", source={"speaker": "user"}, occurred_at=1)
    assistant = world.write("A cello costs a lot of cash", source={"speaker": "assistant"}, occurred_at=1)
    mine = world.recall("what did I say a cello costs?")
    assert mine[0].lsn == user
    assert [part.name for part in mine[0].parts if part.name == "speaker"] == ["speaker"]
    assert "speaker" not in {part.name for hit in world.recall("what does a cello cost?") for part in hit.parts}
    assert assistant in {hit.lsn for hit in mine}


@pytest.mark.parametrize(
    "query",
    [
        "which cello did you suggest to me?",
        "can you remind me what cello you had recommended for my daughter?",
        "what was my cello in the list you gave me?",
        "I need your second suggestion of a cello again",
    ],
)
def test_you_said_asks_for_what_the_assistant_said(world: World, query: str) -> None:
    assistant = world.write("The red cello costs a lot of money", source={"speaker": "assistant"}, occurred_at=1)
    user = world.write("The blue cello costs a lot of money", source={"speaker": "user"}, occurred_at=1)
    parts = {hit.lsn: {part.name: part.value for part in hit.parts} for hit in world.recall(query)}
    assert parts[assistant]["speaker"] == SETTINGS.assistant
    assert "speaker" not in parts[user]


@pytest.mark.parametrize(
    ("query", "role"),
    [
        ("what colour is my car?", "user"),
        ("can you suggest a car for me?", "user"),
        ("what did I tell you about our car when we talked?", "user"),
        ("remind me of my car", None),
        ("in our previous chat, what was the car I liked?", None),
        ("I told you of a car and you suggested another", None),
        ("which car is red?", None),
        ("can you provide the name of the car?", None),
    ],
)
def test_whose_words_are_asked_for(query: str, role: str | None) -> None:
    assert asked(query, now=0)[0].role == role


def test_what_is_nothing_but_questions_loses(world: World) -> None:
    asked = world.write("Where is the walrus? Is it at the zoo?")
    said = world.write("Is it at the zoo? The walrus is.")
    parts = {hit.lsn: {part.name: part.value for part in hit.parts} for hit in world.recall("walrus zoo")}
    assert parts[asked]["question"] < 0
    assert "question" not in parts[said]


# --- a store on disk ------------------------------------------------------------------------------


def test_scores_are_equal_after_reopening_and_after_a_rebuild(tmp_path: Path) -> None:
    def answers(m: walnut.Memory) -> list[tuple[str, float]]:
        at = m.as_of(lsn=60)
        return [(h.memory_id, h.score) for q in ("kitten", "train 7") for h in at.recall(q, k=20)]

    with walnut.open(tmp_path / "s") as m:
        m.remember_many([{"text": f"{'cat' if n % 3 else 'train'} {n}"} for n in range(60)])
        before = answers(m)
        m.upkeep.rebuild()
        assert answers(m) == before
    with walnut.open(tmp_path / "s") as m:
        assert answers(m) == before


def _rebuilt_here(m: walnut.Memory, folder: Path) -> None:
    m.upkeep.rebuild()


def _rebuilt_by_another(m: walnut.Memory, folder: Path) -> None:
    with walnut.open(folder) as other:
        other.upkeep.rebuild()


def _folder_deleted(m: walnut.Memory, folder: Path) -> None:
    shutil.rmtree(folder / "views")


def _back_to_a_checkpoint(m: walnut.Memory, folder: Path) -> None:
    with walnut.open(folder) as other:  # at LSN 30, from before the damage
        shutil.copytree(folder / "kept", folder / "checkpoints", dirs_exist_ok=True)
        shutil.rmtree(folder / "views")
        other.recall("cat")


@pytest.mark.parametrize("replace", [_rebuilt_here, _rebuilt_by_another, _folder_deleted, _back_to_a_checkpoint])
def test_V4_nothing_read_from_a_file_outlives_it(
    tmp_path: Path, replace: Callable[[walnut.Memory, Path], None]
) -> None:
    def answers(m: walnut.Memory) -> list[tuple[str, float]]:
        return [(h.memory_id, h.score) for mode in MODES for h in m.recall("kitten", k=50, mode=mode)]

    with walnut.open(tmp_path / "s") as m:
        m.remember_many([{"text": f"{'cat' if n % 3 else 'train'} {n}"} for n in range(30)])
        m.upkeep.checkpoint()
        shutil.copytree(tmp_path / "s" / "checkpoints", tmp_path / "s" / "kept")
        m.remember_many([{"text": f"dog {n}"} for n in range(5)])
        right = answers(m)
    with closing(sqlite3.connect(tmp_path / "s" / "views" / "memories-v1.db", isolation_level=None)) as db:
        db.execute("UPDATE vectors SET vector = (SELECT vector FROM vectors WHERE lsn = 1)")
    with walnut.open(tmp_path / "s") as m:
        assert answers(m) != right
        replace(m, tmp_path / "s")
        assert answers(m) == right


def test_V4_a_reader_of_a_file_that_was_replaced_leaves_nothing_of_it(tmp_path: Path) -> None:
    with walnut.open(tmp_path) as m:
        m.remember_many([{"text": f"{'cat' if n % 3 else 'train'} {n}"} for n in range(10)])
        views, kept, query = m._handle.store.views, Vectors(System()), static.table().embed(["kitten"])[0]
        views.catch_up()
        with closing(sqlite3.connect(tmp_path / "views" / "memories-v1.db", isolation_level=None)) as db:
            db.execute("UPDATE vectors SET vector = zeroblob(256)")
        with views.snapshot() as old:
            views.rebuild()
            with views.snapshot() as new:
                kept.near(new, ["user:default"], query, upto=5)
                assert kept.near(old, ["user:default"], query, upto=10).best(5) == []
                again = kept.near(new, ["user:default"], query, upto=10).of(range(1, 11))
                assert again == Vectors(System()).near(new, ["user:default"], query, upto=10).of(range(1, 11))


def test_more_scopes_than_vectors_are_looked_at_in_are_refused_by_mode_vector_and_found_by_words() -> None:
    with walnut.open("memory://", scope="global") as m:
        for number in range(SETTINGS.most_scopes):
            m.bind(scope=f"user:{number}").remember(f"Note {number} on ships")
        with pytest.raises(walnut.InvalidArgument, match="scopes"):
            m.recall("ships", mode="vector", below=True)
        assert len(m.recall("ships", below=True, k=3)) == 3
        assert len(m.bind(scope="user:7").recall("ships", mode="vector", below=True)) == 1
