"""What bad input gets from recall: whatever is asked, an answer or a clear error, after work that is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import walnut
from walnut import InvalidArgument, Memory, WalnutError

MODES: tuple[Any, ...] = ("hybrid", "keyword", "vector", "recent")
SECRET = "the otter called zyzzyva"
TEXTS = (SECRET, "a b c NOT null 0 NEAR token:x", "猫と犬 שלום مرحبا", "Played 🎸 all night", "?!… —", "café")

#: Each 100,000 and 1,000,000 characters long.
LONG = {
    "one word": "a",
    "the same word": "otter ",
    "stop words": "the of and ",
    "operators": '" OR ( NEAR * : ^ - AND ',
    "marks in one order": "\u0301",
    "marks in no order": "\u0315\u0300\u0327",
    "marks that letters become": "\uff9e\u0301\u0327",
    "marks of Hebrew and Arabic": "\u05b0\u064b\u0591\u0651",
    "one character of many letters": "\ufdfa",
    "Han": "猫",
    "jamo": "\u1100\u1161\u11a8",
    "Thai": "กา",
    "Hindi": "हि",
    "emoji": "🎸",
    "families": "👨\u200d👩\u200d👧\u200d👦",
    "flags": "🇫🇷",
    "right to left": "שלום \u202e",
    "surrogates": "\ud800",
    "zeros": "\0",
    "blanks": " \u3000\t",
    "halves of words": "ab" * 45 + "\u0f00 ",
    "questions": "? ",
}


@pytest.fixture(scope="module")
def m() -> Iterator[Memory]:
    with walnut.open("memory://", scope="user:a") as memory:
        memory.remember_many([{"text": text} for text in TEXTS])
        yield memory


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    with walnut.open("memory://" if request.param == "memory" else tmp_path / "store", scope="user:a") as memory:
        yield memory


# --- queries --------------------------------------------------------------------------------------


@pytest.mark.timeout(60)  # work that grows with the square of the length would take hours
@pytest.mark.parametrize("long", LONG)
def test_a_long_query_is_answered_after_bounded_work(m: Memory, long: str) -> None:
    query = (LONG[long] * (1_000_000 // len(LONG[long]) + 1))[:1_000_000]
    for mode in MODES:
        assert {hit.text for hit in m.recall(query[:100_000], mode=mode)} <= {*TEXTS}
    assert m.context(query, budget=100).tokens <= 100


def test_what_is_asked_first_counts_whatever_follows(m: Memory) -> None:
    assert m.recall("zyzzyva " + "ab" * 500_000, mode="keyword")[0].text == SECRET
    assert m.recall("zyzzyva " + "\u0315\u0300" * 50_000, mode="keyword")[0].text == SECRET


@pytest.mark.parametrize("query", ["", " ", "\n\t", "\0", "\u200b", "?!", "…", '"', "* ^ ( )", "\u0301", "\u202e"])
@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
def test_a_query_without_a_word_finds_nothing(m: Memory, query: str, mode: Any) -> None:
    assert m.recall(query, mode=mode) == []
    assert m.context(query, mode=mode).text == ""
    assert [hit.text for hit in m.recall(query, mode="recent")] == [*reversed(TEXTS)]


@pytest.mark.parametrize("wrong", [None, b"otter", 5, 1.5, ["otter"], object(), True])
def test_what_is_no_string_is_no_query(m: Memory, wrong: Any) -> None:
    for ask in (m.recall, m.context):
        with pytest.raises(InvalidArgument) as caught:
            ask(wrong)
        assert caught.value.where == "query"


@pytest.mark.parametrize(
    ("query", "as_words"),
    [
        ("otter AND zyzzyva", "otter zyzzyva"),
        ("NEAR(otter zyzzyva, 2)", "near otter zyzzyva 2"),
        ("otter OR NOT (zyzzyva)", "otter zyzzyva"),
        ("^otter* -zyzzyva", "otter zyzzyva"),
        ("OTTER", "otter"),
        ("ott\u200ber", "otter"),
        ("\u202eotter\u202c", "otter"),
    ],
)
def test_operators_are_words_like_others(m: Memory, query: str, as_words: str) -> None:
    found = [(hit.lsn, hit.score) for hit in m.recall(query, mode="keyword")]
    assert found == [(hit.lsn, hit.score) for hit in m.recall(as_words, mode="keyword")]
    assert found[0][0] == 1


def test_columns_of_the_index_can_not_be_named(m: Memory) -> None:
    for query in ("token:otter", "{token}: otter", "text_index:otter", "rowid:1 otter", "rank:otter"):
        assert m.recall(query, mode="keyword")[0].text == SECRET
    for query in ("token:*", "1w*", "scope:user", "rowid:1", "1t1 1w1"):
        assert SECRET not in {hit.text for hit in m.recall(query, mode="keyword")}


# --- other arguments ------------------------------------------------------------------------------

WRONG_TAGS: tuple[Any, ...] = ("a", b"a", 5, [5], [None], [""], ["x" * 129], ["\ud800"], ["t", []])
WRONG: list[dict[str, Any]] = [
    *({"k": k} for k in (0, -1, 10**6, 2**70, -(2**70), "5", 2.0, True, float("nan"))),
    *({"mode": mode} for mode in ("graph", "", "HYBRID", "hybrid ", "\ud800", None, 5, ["hybrid"])),
    *({"tags": tags} for tags in WRONG_TAGS),
    {"tags": [f"{n}" for n in range(65)]},
    *({"since": when} for when in ("yesterday", "2026-13-01", "2026-01-01T00:00:00", 5, 1e20, "\ud800", "")),
    *({"until": when} for when in ("yesterday", ["2026-01-01"], "9999-99-99", float("inf"))),
    *({"min_confidence": share} for share in (-0.1, 1.1, float("nan"), "1", True, float("inf"))),
    *({"min_lsn": lsn} for lsn in (-1, 2**63, "1", 1.5, True)),
    *({"below": below} for below in ("yes", 1, None)),
]


@pytest.mark.parametrize("given", WRONG, ids=repr)
def test_a_wrong_argument_is_named_and_its_value_is_not(m: Memory, given: dict[str, Any]) -> None:
    for ask in (m.recall, m.context):
        with pytest.raises(InvalidArgument) as caught:
            ask(SECRET, **given)
        error = caught.value
        assert error.code == "invalid_argument"
        assert error.where in given
        assert "zyzzyva" not in f"{error}{error!r}{error.__dict__}"


def test_only_a_context_chooses_how_many_hits_it_looks_at(m: Memory) -> None:
    with pytest.raises(InvalidArgument) as caught:
        m.recall(SECRET, k=cast("int", None))
    assert caught.value.where == "k"
    assert SECRET in m.context(SECRET, k=None).text


def test_filters_that_match_nothing_find_nothing(m: Memory) -> None:
    nothing: list[dict[str, Any]] = [
        {"tags": ["none"]},
        {"tags": ["' OR 1=1 --", '" OR "'] + [f"{n}" * 20 for n in range(60)]},
        {"since": "2262-01-01"},
        {"until": "1700-01-01"},
        {"since": "2020-01-02", "until": "2020-01-01"},
        {"min_confidence": 1.0},
    ]
    for mode in MODES:
        for filters in nothing:
            assert m.recall("otter", mode=mode, **filters) == []
            assert m.context("otter", mode=mode, **filters).text == ""


@pytest.mark.parametrize("mode", MODES)
def test_filters_that_match_nothing_end_in_a_large_scope(mode: Any) -> None:
    """However many others are near or hold the words."""
    with walnut.open("memory://", scope="user:a") as m:
        m.remember_many([{"text": f"otter {n % 7}", "occurred_at": "2020-01-01"} for n in range(3_000)])
        for filters in ({"tags": ["none"]}, {"since": "2021-01-01"}, {"min_confidence": 0.5}):
            assert m.recall("otter 5", mode=mode, **filters) == []
        kept = m.remember("otter", tags=["kept"], occurred_at="2022-01-01", confidence=1.0)
        for filters in ({"tags": ["kept"]}, {"since": "2021-01-01"}, {"min_confidence": 0.5}):
            assert [hit.lsn for hit in m.recall("otter 5", mode=mode, **filters)] == [kept.lsn]


def test_an_error_that_waits_for_an_LSN_says_how_far_it_got(m: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walnut.engine.moment.PATIENCE", 0.05)
    with pytest.raises(walnut.ViewLag) as caught:
        m.recall(SECRET, min_lsn=10**6)
    assert caught.value.applied == m.log.durable_lsn
    assert "zyzzyva" not in f"{caught.value}{caught.value.__dict__}"


# --- what is stored -------------------------------------------------------------------------------


@pytest.mark.timeout(90)
@pytest.mark.parametrize("long", ["one word", "the same word", "marks in no order", "marks of Hebrew and Arabic", "Han",
                                  "halves of words", "marks that letters become", "questions"])  # fmt: skip
def test_a_memory_of_a_megabyte_is_kept_found_and_holds_up_nobody(store: Memory, long: str) -> None:
    pattern = LONG[long]
    text = "zyzzyva " + pattern * ((1_048_576 - 16) // len(pattern.encode()))
    large, small = store.remember(text), store.remember("zyzzyva, a small one")
    assert {hit.lsn for hit in store.recall("zyzzyva")} == {large.lsn, small.lsn}
    assert store.get(large.memory_id or "").text == text
    assert store.context("zyzzyva", budget=50).citations == (small.event_id,)


def test_a_memory_without_a_word_is_kept_and_leads_nobody_astray(store: Memory) -> None:
    odd = ["?!… —", "\u0301\u0301", "\u200b.", "///", "\U0010ffff", "\ufeff!", "''", '"', "%_*"]
    lsns = [store.remember(text).lsn for text in odd]
    word = store.remember("otter").lsn
    for mode in MODES[:3]:
        assert store.recall("otter ?!", mode=mode)[0].lsn == word
        assert store.recall("?! … %_*", mode=mode) == []
    assert [hit.lsn for hit in store.recall("otter", mode="recent")] == [word, *reversed(lsns)]


def test_odd_sources_times_and_tags_are_found_again(store: Memory) -> None:
    """What a caller may write, recall can rank: times at both ends, speakers that are no names, odd sessions."""
    odd: list[dict[str, Any]] = [
        {"occurred_at": "1677-09-22", "valid_from": "1677-09-22"},
        {"occurred_at": "2262-04-10", "valid_from": "1970-01-01"},
        {"source": {"speaker": 5, "session": ["x"], "conversation_id": {}}},
        {"source": {"speaker": "?!", "session": "\0", "turn": -1.5}},
        {"source": {"speaker": "AND " * 100, "session": "' OR 1=1"}},
        {"source": {"speaker": "", "session": ""}},
        {"tags": ["*", '"', "a b", "\u0301", "ẞ", "猫", "x" * 128]},
        {"confidence": 0.0, "data": {"text": "otter"}},
    ]
    lsns = {store.remember(f"otter {n}", **given).lsn for n, given in enumerate(odd)}
    for mode in MODES:
        hits = store.recall("otter", mode=mode, explain=True)
        assert {hit.lsn for hit in hits} == lsns
        assert all(sum(part.value for part in hit.parts) == hit.score for hit in hits)
    for tag in odd[6]["tags"]:
        assert [hit.text for hit in store.recall("otter", tags=[tag])] == ["otter 6"]


def test_errors_of_recall_never_hold_what_was_stored_or_asked(store: Memory) -> None:
    store.remember(SECRET, key="zyzzyva", tags=["zyzzyva"])
    told = []
    for given in WRONG:
        try:
            store.recall(SECRET, **given)
        except WalnutError as error:
            told.append(f"{error}{error!r}{error.__dict__}{error.__cause__!r}")
    assert len(told) == len(WRONG)
    assert not any("zyzzyva" in each or "otter" in each for each in told)
