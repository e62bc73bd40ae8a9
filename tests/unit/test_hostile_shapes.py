"""Texts of hostile shapes: what they cost grows with their length, and a query's cost has an end."""

import random
import time
from collections.abc import Callable

import pytest

import walnut
from walnut.embed import pieces
from walnut.recall import excerpt as excerpts
from walnut.recall.asked import asked
from walnut.recall.counting import estimate
from walnut.recall.excerpt import excerpt
from walnut.recall.plan import SETTINGS
from walnut.views.folds import terms


def of(unit: str) -> Callable[[int], str]:
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def drawn(first: int, last: int) -> Callable[[int], str]:
    return lambda size: "".join(map(chr, random.Random(size).choices(range(first, last), k=size)))


SHAPES: dict[str, Callable[[int], str]] = {
    "all distinct words": lambda size: " ".join(f"w{number:x}q" for number in range(size))[:size],
    "endless": of("a"),
    "any letters": drawn(ord("a"), ord("z")),
    "letters and digits": of("a1"),
    "Han": drawn(0x4E00, 0x9000),
    "Kana": drawn(0x3041, 0x3090),
    "Thai": drawn(0xE01, 0xE30),
    "combining marks": of("\u0301"),
    "all sorts of marks": drawn(0x300, 0x36F),
    "marks on a letter": lambda size: "a" + "\u0301" * (size - 1),
    "punctuation": of(".,;:!?-_"),
    "joined": of("a-"),
    "joined by all": of("a.b-c_d/e@"),
    "quotes": of('"'),
    "quoted letters": of('"a" '),
    "curly quotes": of("\u201ca"),
    "apostrophes": of("it's "),
    "brackets": lambda size: "(" * (size // 2) + ")" * (size // 2),
    "brackets of all kinds": of("([{<"),
    "joiners": of("\u200d"),
    "joined letters": of("a\u200d"),
    "marks of direction": of("\u200f\u202e"),
    "emoji": drawn(0x1F300, 0x1F6FF),
    "families": of("\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    "long ligatures": of("\ufdfa"),
    "questions": of("a? "),
    "times": of("last march and "),
    "years": of("2023-"),
    "you said": of("your a "),
    "nothing": of("\0"),
}
SMALL = 2_000


def costs(text: str) -> float:
    """Seconds of the processor for all that is done with the letters of a text and of a query."""
    start = time.process_time()
    terms.formed(text)
    pieces.words(text)
    asked(text, now=0)
    excerpt(text, room=50, count=estimate, wanted=terms.query_terms(text, most=SETTINGS.most_terms))
    return time.process_time() - start


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_text_costs_grows_with_its_length(shape: str) -> None:
    """Eight times the text costs about eight times as much; going back over it would cost sixty times as much."""
    small, large = (SHAPES[shape](size) + " an x-1" for size in (SMALL, 8 * SMALL))
    limit = 24 * max(costs(small), costs(small), 0.02)
    assert any(costs(large) < limit for _ in range(2))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_query_counts_up_to_a_length_and_its_first_terms_count(shape: str) -> None:
    query = SHAPES[shape](3 * terms.MOST_QUERY)
    found = terms.query_terms(query, most=SETTINGS.most_terms)
    assert found == terms.query_terms(query[: terms.MOST_QUERY], most=10**9)[: SETTINGS.most_terms]


@pytest.mark.parametrize("shape", ["questions", "punctuation", "any letters", "brackets", "all distinct words"])
def test_a_passage_is_looked_for_at_so_many_places_and_no_more(shape: str) -> None:
    text = SHAPES[shape](1_000_000)
    starts = list(excerpts._starts(text))
    assert starts[0] == 0
    assert len(starts) <= excerpts._MOST_STARTS + 1
    if shape == "questions":
        assert list(excerpts._starts(SHAPES[shape](9_000)))[:3] == [0, 3, 6], "each sentence, where there are few"


def test_a_search_splits_its_query_into_words_once() -> None:
    with walnut.open("memory://") as m:
        m.remember("hello")
        terms._query_words.cache_clear()
        m.recall("\U0001f600" * terms.MOST_QUERY)
        assert terms._query_words.cache_info().misses <= 2
