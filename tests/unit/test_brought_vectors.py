"""Brought vectors: what came with `remember(embedding=…)` is found by a query's vector of the same dimension only."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walnut
from walnut.model.event import Content, Event
from walnut.views.folds import brought
from walnut.views.folds.brought import BroughtFold

SEA, ICE, SKY = [1.0, 0.1, 0.0], [0.1, 1.0, 0.0], [0.0, 0.0, 1.0]


def fill(m: walnut.Memory) -> None:
    """Texts that no word and no static vector of the queries leads to."""
    m.remember("Item 17", embedding=SEA)
    m.remember("Item 18", embedding=ICE)
    m.remember("Item 19", embedding=[3.0, 4.0])
    m.remember("Item 20")


def texts(hits: Sequence[walnut.Hit]) -> list[str]:
    return [hit.text for hit in hits]


def test_a_brought_vector_is_found_by_a_near_one() -> None:
    with walnut.open("memory://") as m:
        fill(m)
        for mode in ("hybrid", "vector"):
            assert texts(m.recall("?", mode=mode, embedding=[0.9, 0.2, 0.0])) == ["Item 17", "Item 18"]
            assert texts(m.recall("", mode=mode, embedding=[0.0, 2.0, 0.1]))[0] == "Item 18"
        assert m.context("", embedding=SEA).hits[0].text == "Item 17"
        assert m.recall("", embedding=SKY) == []


def test_R5_a_query_is_compared_with_vectors_of_its_dimension_only() -> None:
    with walnut.open("memory://") as m:
        fill(m)
        assert texts(m.recall("", embedding=[1.0, 1.0])) == ["Item 19"]
        assert m.recall("", embedding=[1.0] * 4) == []


def test_R5_vectors_of_several_dimensions_lie_side_by_side_in_one_scope() -> None:
    """Asked in turn, at one LSN and after more was written: nothing kept of one dimension answers for another."""
    three, five = [[1.0, 0.0, 0.1], [0.0, 1.0, 0.1]], [[1.0, 0.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.0, 0.0, 0.1]]
    with walnut.open("memory://") as m:
        for number in range(2):
            m.remember(f"Berth {number}", embedding=three[number])
            m.remember(f"Quay {number}", embedding=five[number])
        first = m._handle.store.views._live._good
        for mode in ("hybrid", "vector"):
            for _ in range(2):
                assert texts(m.recall("", mode=mode, embedding=three[0])) == ["Berth 0", "Berth 1"]
                assert texts(m.recall("", mode=mode, embedding=five[1])) == ["Quay 1", "Quay 0"]
                assert m.recall("", mode=mode, embedding=[1.0] * 4) == []
        assert m._handle.store.views._live._good[1] == first[1] + 1, "no search had the views rebuilt"
        m.remember("Quay 2", embedding=five[0])
        m.remember("Berth 2", embedding=three[0])
        assert texts(m.recall("", embedding=three[0]))[0] == "Berth 2"
        assert texts(m.recall("", embedding=five[0]))[0] == "Quay 2"


def test_where_no_vector_has_the_dimension_the_static_ones_answer() -> None:
    with walnut.open("memory://") as m:
        fill(m)
        m.remember("The invoice goes out on Monday", embedding=SEA)
        for mode in ("hybrid", "vector"):
            with_vector = m.recall("send a bill", mode=mode, embedding=[1.0] * 7, explain=True)
            assert with_vector == m.recall("send a bill", mode=mode, explain=True)
            assert "The invoice goes out on Monday" in texts(with_vector)


@pytest.mark.parametrize("mode", ["keyword", "recent"])
def test_modes_without_vectors_take_no_notice(mode: Any) -> None:
    with walnut.open("memory://") as m:
        fill(m)
        assert m.recall("Item 17", mode=mode, embedding=SKY) == m.recall("Item 17", mode=mode)


def test_parts_sum_to_the_score_and_each_model_has_its_own_measure() -> None:
    with walnut.open("memory://") as m:
        fill(m)
        m.remember("Walruses swim in cold water")
        hits = m.recall("sea animals", mode="vector", embedding=SEA, explain=True)
        assert {"Item 17", "Walruses swim in cold water"} <= set(texts(hits))
        assert all(sum(part.value for part in hit.parts) == hit.score for hit in hits)
        assert hits[0].score == 1.0  # the nearest of a model has its whole weight


def test_as_of_sees_the_vectors_of_then_and_versions_inherit_none() -> None:
    with walnut.open("memory://") as m:
        first = m.remember("Berth 4", key="berth", embedding=SEA)
        second = m.remember("Berth 5", key="berth", embedding=ICE)
        m.remember("Berth 6", key="berth")
        assert m.recall("", embedding=SEA) == []
        assert texts(m.as_of(lsn=first.lsn).recall("", embedding=SEA)) == ["Berth 4"]
        assert texts(m.as_of(lsn=second.lsn).recall("", embedding=ICE)) == ["Berth 5"]


def test_a_forgotten_memory_is_not_near() -> None:
    with walnut.open("memory://") as m:
        ack = m.remember("Berth 4", embedding=SEA)
        assert ack.memory_id
        m.forget(ack.memory_id)
        assert m.recall("", embedding=SEA) == []


def test_another_scope_is_not_searched_and_changes_no_score() -> None:
    with walnut.open("memory://", scope="global") as root:
        ours, theirs = root.bind(scope="user:a"), root.bind(scope="user:b")
        fill(ours)
        sea = [1.0, 0.2, 0.0]
        before = ours.recall("sea", embedding=sea, explain=True)
        for number in range(20):
            theirs.remember(f"sea {number}", embedding=[1.0, 0.2 + number / 1000, 0.0])
        assert ours.recall("sea", embedding=sea, explain=True) == before
        assert {hit.scope for hit in ours.recall("sea", embedding=sea, k=100)} == {"user:a"}


def test_V3_a_replay_has_the_same_vectors_and_scores(tmp_path: Path) -> None:
    with walnut.open(tmp_path) as m:
        fill(m)
        lsn = m.log.durable_lsn
        before = m.as_of(lsn=lsn).recall("ice", embedding=SEA, explain=True)
        m.remember("Item 21", embedding=SEA)
        assert [check.ok for check in m.upkeep.verify_views()] == [True]
    for folder in ("views", "checkpoints"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    with walnut.open(tmp_path) as m:
        assert m.as_of(lsn=lsn).recall("ice", embedding=SEA, explain=True) == before


@pytest.mark.parametrize("embedding", [[], [float("nan")], [float("inf"), 1.0], "abc", ["x"], [1.0] * 16_385])
def test_a_querys_vector_is_checked(embedding: Any) -> None:
    with walnut.open("memory://") as m:
        for ask in (m.recall, m.context):
            with pytest.raises(walnut.InvalidArgument, match="embedding"):
                ask("x", embedding=embedding)


def test_a_vector_without_direction_is_near_nothing() -> None:
    with walnut.open("memory://") as m:
        m.remember("Walruses swim", embedding=[0.0, 0.0, 0.0])
        m.remember("Seals swim", embedding=SEA)
        assert texts(m.recall("", embedding=SEA)) == ["Seals swim"]
        assert m.recall("swim", embedding=[0.0] * 3, explain=True) == m.recall("swim", explain=True)


def test_the_largest_and_the_smallest_numbers_have_a_direction() -> None:
    with walnut.open("memory://") as m:
        m.remember("Huge", embedding=[1e308, 1e308])
        m.remember("Tiny", embedding=[5e-324, -5e-324])
        assert texts(m.recall("", embedding=[1.0, 1.0])) == ["Huge"]
        assert texts(m.recall("", embedding=[1e308, -1e308])) == ["Tiny"]


def test_V4_brought_vectors_of_a_replaced_file_are_forgotten(tmp_path: Path) -> None:
    with walnut.open(tmp_path) as m:
        fill(m)
        right = m.recall("", embedding=SEA)
    with closing(sqlite3.connect(tmp_path / "views" / "memories-v1.db", isolation_level=None)) as db:
        db.execute("UPDATE brought SET vector = (SELECT vector FROM brought WHERE lsn = 2) WHERE lsn = 1")
    with walnut.open(tmp_path) as m:
        assert m.recall("", embedding=SEA) != right
        m.upkeep.rebuild()
        assert m.recall("", embedding=SEA) == right


# --- the fold -------------------------------------------------------------------------------------


def written(lsn: int, embedding: Any) -> Event:
    return Event(
        lsn=lsn,
        raw_id=lsn.to_bytes(16, "big"),
        recorded_at=lsn,
        kind="memory.write",
        op="INSERT",
        txn=lsn,
        raw_touches=b"",
        commitment=b"",
        content=Content(scope="user:a", actor="agent:t", payload={"text": "x", "embedding": embedding}),
    )


@pytest.mark.parametrize(
    "odd", [None, 7, "abc", {}, [], [[1.0]], ["1"], [True], [None, 1.0], [float("nan")], [1.0, float("inf")], [0.0]]
)
def test_what_an_import_calls_a_vector_and_is_none_is_left_out(odd: Any) -> None:
    assert brought.packed(Content(scope="user:a", actor="agent:t", payload={"text": "x", "embedding": odd})) is None


VECTORS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5)


@given(st.lists(VECTORS, max_size=20), st.integers(1, 7))
def test_V1_rows_are_the_same_however_a_history_is_cut(vectors: list[list[float]], size: int) -> None:
    events = [written(lsn, vector) for lsn, vector in enumerate(vectors, 1)]
    found = set()
    for step in (size, 1000):
        db = sqlite3.connect(":memory:")
        for statement in BroughtFold.schema:
            db.execute(statement)
        for start in range(0, len(events), step):
            BroughtFold().apply(db, events[start : start + step])
        found.add(BroughtFold().digest(db))
        db.close()
    assert len(found) == 1
