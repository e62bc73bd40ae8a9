# ruff: noqa: RUF001 - letters that look like Latin ones are what is tested
"""The text fold: terms of any script, and rows that are the same however a history is cut."""

import sqlite3
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.small_world import World
from walnut.views.folds.stem import stem
from walnut.views.folds.terms import LONGEST, STOP_WORDS, number, query_terms, terms, words
from walnut.views.folds.text import TextFold

STEMS = """
caresses:caress ponies:poni cats:cat feed:feed agreed:agre plastered:plaster bled:bled motoring:motor
sing:sing conflated:conflat troubled:troubl sized:size hopping:hop tanned:tan falling:fall hissing:hiss
failing:fail filing:file happy:happi sky:sky relational:relat conditional:condit rational:ration
digitizer:digit operator:oper feudalism:feudal decisiveness:decis hopefulness:hope formaliti:formal
sensibiliti:sensibl triplicate:triplic formative:form electrical:electr goodness:good revival:reviv
allowance:allow inference:infer airliner:airlin adjustable:adjust defensible:defens irritant:irrit
replacement:replac adjustment:adjust dependent:depend adoption:adopt communism:commun activate:activ
effective:effect probate:probat rate:rate cease:ceas controlling:control roll:roll
"""


@pytest.mark.parametrize("pair", STEMS.split())
def test_stems_are_those_of_the_published_algorithm(pair: str) -> None:
    word, expected = pair.split(":")
    assert stem(word) == expected


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", max_size=30))
def test_any_word_has_a_stem_that_is_no_longer(word: str) -> None:
    assert len(stem(word)) <= len(word) + 1


def test_words_fold_case_width_and_accents() -> None:
    assert words("Straße CAFÉ cafe\u0301 ＡＢＣ İstanbul Ёлка") == [
        "strasse",
        "cafe",
        "cafe",
        "abc",
        "istanbul",
        "елка",
    ]


def test_scripts_without_spaces_become_pairs_of_characters() -> None:
    assert words("한국어") == ["한국", "국어"]
    assert words("黒猫") == ["黒猫", "黒", "猫"]
    assert words("黒猫", query=True) == ["黒猫"]
    assert words("猫", query=True) == ["猫"]


def test_emoji_become_words() -> None:
    assert words("🎸 👍🏽 🇫🇷") == ["guitar", "thumbs", "up", "sign", "fr"]


def test_stop_words_leave_a_query_unless_nothing_else_is_in_it() -> None:
    assert query_terms("what is the invoice", most=64) == query_terms("invoices", most=64)
    assert len(query_terms("to be or not to be", most=64)) == len({"to", "be", "or", "not"})
    assert all(word == word.lower() for word in STOP_WORDS)


def test_a_query_has_at_most_so_many_terms() -> None:
    assert len(query_terms(" ".join(f"w{n}" for n in range(500)), most=64)) == 64


def test_long_words_are_cut() -> None:
    assert terms("x" * LONGEST + "y") == terms("x" * LONGEST + "z")


@given(st.text())
def test_any_text_has_terms_and_finds_itself(text: str) -> None:
    wanted = query_terms(text, most=10_000)
    assert set(wanted) <= set(terms(text))


_TURNS = st.tuples(st.sampled_from(["user:a", "user:b"]), st.text(max_size=30), st.integers(0, 6))


@given(st.lists(_TURNS, max_size=12), st.data())
def test_V3_the_digest_does_not_depend_on_how_a_history_is_cut(
    history: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    world = World()
    for scope, text, occurred in history:
        world.write(text, scope=scope, source={"session": "s", "speaker": "Ann"}, tags=["t"], occurred_at=occurred)
    events, fold, digests = list(world.log.read()), TextFold(), set()
    for size in (100, 1, data.draw(st.integers(1, 5))):
        db = sqlite3.connect(":memory:", isolation_level=None)
        for statement in fold.schema:
            db.execute(statement)
        for start in range(0, len(events), size):
            db.execute("BEGIN")
            fold.apply(db, events[start : start + size])
            db.execute("COMMIT")
        digests.add(fold.digest(db))
        db.close()
    world.close()
    assert len(digests) == 1


def test_turns_told_out_of_order_have_those_before_them_as_context() -> None:
    """However they are cut into batches: what had been told by then, the latest two by the time they occurred."""
    for size in (1, 2, 3, 9):
        world = World()
        for occurred in (5, 9, 1, 7, 6, 2, 8, 3, 4):
            world.write(f"turn{occurred}", occurred_at=occurred, source={"session": "s"})
        events, fold = list(world.log.read()), TextFold()
        db = sqlite3.connect(":memory:", isolation_level=None)
        for statement in fold.schema:
            db.execute(statement)
        for start in range(0, len(events), size):
            fold.apply(db, events[start : start + size])
        numbers = {number(f"turn{n}"): n for n in range(10)}
        rows = db.execute("SELECT occurred, ctx FROM text_docs").fetchall()
        before = {occurred: [numbers[term] for term in array("I", ctx)] for occurred, ctx in rows}
        assert before == {5: [], 9: [5], 1: [], 7: [5, 1], 6: [5, 1], 2: [1], 8: [7, 6], 3: [2, 1], 4: [3, 2]}
        db.close()
        world.close()


def test_V3_a_lost_or_added_row_changes_the_digest() -> None:
    world = World()
    for text in ("one two", "two three"):
        world.write(text)
    world.snapshot()
    fold = TextFold()
    before = dict(part.split("=") for part in fold.digest(world.db).split())
    world.db.execute("INSERT INTO text_index (rowid, token) VALUES (9, '1w5')")
    after = dict(part.split("=") for part in fold.digest(world.db).split())
    assert [table for table in before if before[table] != after[table]] == ["postings"]
    world.db.execute("DELETE FROM text_docs WHERE lsn = 2")
    assert before["docs"] != dict(part.split("=") for part in fold.digest(world.db).split())["docs"]
    world.close()


def test_odd_payloads_and_times_are_indexed_all_the_same() -> None:
    world = World()
    for occurred in (-(2**63), -1, 0, 2**63 - 1):
        world.write("walrus", occurred_at=occurred, source={"session": 7, "speaker": None}, tags=["", "\U0001f3b8"])
    assert len(world.found("walrus", mode="keyword", valid_at=2**63 - 1)) == 4
    world.close()
