# ruff: noqa: RUF001 - names that look like others are what is tested
"""Recall and scopes: what others wrote is never seen, and changes no score of what is."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import walnut
from walnut import Memory, NotFound
from walnut.model.scope import ancestors, within

MODES: tuple[Any, ...] = ("hybrid", "keyword", "vector", "recent")

#: Names that a folding, a stemming, a text prefix, a pattern or an expression would take for one another.
NAMES = (
    *("global", "user:a", "user:A", "USER:A", "user:á", "user:a\u0301", "user:а", "user:ａ", "user:a ", "user: a"),
    *("user:a/b", "user:a/b/c", "user:a/B", "user:a/bc", "user:a:b", "user:ab", "user:a0", "user:a/0", "user", "user:"),
    *("1", "11", "111", "1/1", "1/11", "01", "１", "1w1", "1t1", "w1", "7w1094", "1 OR 1"),
    *(
        "%",
        "_",
        "a%",
        "a_",
        "ab",
        "*",
        "a*",
        "^a",
        "-a",
        "a:b",
        "token:a",
        "(a)",
        '"a"',
        '"',
        "'",
        "' OR '1'='1",
        "a;b",
    ),
    *("AND", "OR", "NOT", "NEAR(a b)", "a AND b", "a OR b", "a NOT b", "{a}:b", ".", "..", "~", "\\", "a\\b", "a|b"),
    *(
        "running",
        "run",
        "runs",
        "ß",
        "ss",
        "ẞ",
        "ﬁ",
        "fi",
        "İ",
        "i",
        "ı",
        "Ⅳ",
        "IV",
        "ſ",
        "s",
        "K",
        "\u212a",
        "Å",
        "\u212b",
    ),
    *(
        "猫",
        "黒猫",
        "黒",
        "👍",
        "👍🏽",
        "❤",
        "❤\ufe0f",
        "שלום",
        "ไทย",
        "हिन्दी",
        "a" * 128,
        "a" * 127,
        "猫" * 128,
        "🎸" * 128,
    ),
    *("null", "None", "0", "-1", "1e3", "NaN", "true", "memories", "text_index", "/".join("d" * 32), "d", "d/d"),
)
QUERIES = ("walrus tusk", "What did Ann say about the walrus?", "puppy", "mark3x", "may 2023")


def memories(place: int, chance: random.Random) -> list[dict[str, Any]]:
    """What a scope holds: words, keys, tags, sessions, speakers, times as all scopes have them; a mark of its own."""
    return [
        {
            "text": f"{' '.join(chance.choices(['walrus', 'tusk', 'ice', 'dog', 'seal'], k=4))} {number} mark{place}x",
            "key": f"key{number}" if number % 2 else None,
            "tags": ["shared", f"tag{number % 2}"],
            "confidence": chance.random(),
            "occurred_at": f"2023-05-{chance.randint(1, 28):02}",
            "source": {"session": "s1", "speaker": chance.choice(["Ann", "Bob"])},
            "embedding": [chance.uniform(-1, 1) for _ in range(4)],
        }
        for number in range(4)
    ]


def asked(m: Memory | Any) -> list[list[Any]]:
    """The hits of many searches."""
    ways = [{"mode": mode} for mode in MODES]
    ways += [{"tags": ["tag1"]}, {"since": "2023-05-09", "until": "2023-05-20"}, {"min_confidence": 0.4}, {"k": 2}]
    ways += [{"embedding": [1.0, 0.0, -1.0, 0.5], "mode": mode} for mode in ("hybrid", "vector")]
    return [m.recall(query, explain=True, **{"k": 50, **way}) for query in QUERIES for way in ways]


def told(found: list[list[Any]]) -> list[list[tuple[Any, ...]]]:
    """What of the hits does not name the store."""
    return [
        [(hit.text, hit.score, hit.parts, hit.said, [each.text for each in hit.repeats]) for hit in hits]
        for hits in found
    ]


def marks(answer: object) -> set[int]:
    """Whose marks are in an answer."""
    return {int(found) for found in re.findall(r"mark(\d+)x", repr(answer))}


def answer(call: Callable[[], object]) -> object:
    try:
        return call()
    except walnut.WalnutError as error:
        return f"{error} {error.__dict__}"


@pytest.fixture(scope="module")
def full() -> Iterator[tuple[Memory, dict[str, list[dict[str, Any]]], dict[str, list[walnut.Ack]]]]:
    """A store in which every one of the scopes holds the like, written in turns."""
    chance = random.Random(5)
    items = {name: memories(place, chance) for place, name in enumerate(NAMES)}
    acks: dict[str, list[walnut.Ack]] = {name: [] for name in NAMES}
    with walnut.open("memory://", scope="global") as root:
        for number in range(4):
            for name in chance.sample(NAMES, k=len(NAMES)):
                acks[name].append(root.bind(scope=name).remember(**items[name][number]))
        yield root, items, acks


def test_the_names_are_many_and_each_is_another() -> None:
    assert len({*NAMES}) == len(NAMES) > 100


def test_no_answer_holds_anything_of_a_sibling(full: Any, pytestconfig: pytest.Config) -> None:
    """In an everyday run a third of the names ask, in the soak all."""
    root, _, acks = full
    places = {name: place for place, name in enumerate(NAMES)}
    for name in NAMES if pytestconfig.getoption("--soak") else NAMES[::3]:
        m, mine = root.bind(scope=name), {places[each] for each in ancestors(name) if each in places}
        beneath = {place for each, place in places.items() if within(each, name)}
        stranger = (
            next(each for each in NAMES[::-1] if places[each] not in mine | beneath) if name != "global" else None
        )
        past = m.as_of(lsn=root.log.durable_lsn - 5)
        for handle in (m, past):
            answers: list[object] = [*asked(handle)[:10], handle.list(limit=200).items]
            answers += [handle.context(query, mode=mode, budget=4_000) for query in QUERIES[:2] for mode in MODES[:2]]
            answers += [answer(lambda key=key, handle=handle: handle.get(key=key)) for key in ("key1", "key3")]  # type: ignore[misc]
            if stranger is not None:
                theirs = acks[stranger][0]
                answers += [answer(lambda it=it, handle=handle: handle.why(it)) for it in (theirs, theirs.memory_id)]  # type: ignore[misc]
            assert marks(answers) <= mine, name
            assert marks(answers), name
            wide = [handle.recall(QUERIES[0], below=True, k=1000, mode=mode) for mode in MODES]
            assert marks(wide) <= mine | beneath, name
            assert beneath <= marks(wide[-1]), name
        if stranger is not None:
            with pytest.raises(NotFound):
                m.get(acks[stranger][0].memory_id)


def test_scores_are_those_of_a_store_that_holds_nothing_else(full: Any) -> None:
    """Bit for bit, in every mode, with every filter, whatever the others are called."""
    root, items, acks = full
    chance = random.Random(6)
    nested = [name for name in NAMES if "/" in name]
    for name in {*nested, *chance.sample(NAMES, k=12)}:
        readable = [each for each in ancestors(name) if each in items]
        order = sorted((ack.lsn, each, number) for each in readable for number, ack in enumerate(acks[each]))
        with walnut.open("memory://", scope="global") as alone:
            for _, each, number in order:
                alone.bind(scope=each).remember(**items[each][number])
            assert told(asked(root.bind(scope=name))) == told(asked(alone.bind(scope=name))), name


def test_what_is_below_scores_as_in_a_store_that_holds_nothing_else(full: Any) -> None:
    root, items, acks = full
    inside = [name for name in NAMES if within(name, "user:a") or name == "global"]
    order = sorted((ack.lsn, each, number) for each in inside for number, ack in enumerate(acks[each]))
    with walnut.open("memory://", scope="global") as alone:
        for _, each, number in order:
            alone.bind(scope=each).remember(**items[each][number])
        for mode in MODES:
            for query in QUERIES:
                one, other = (
                    m.bind(scope="user:a").recall(query, below=True, k=100, mode=mode, explain=True)
                    for m in (root, alone)
                )
                assert told([one]) == told([other])


# --- a large neighbour ----------------------------------------------------------------------------


def _crowd(root: Memory, name: str, count: int, chance: random.Random) -> None:
    """A tenant who talks of the same things, at the same times, in sessions of the same names."""
    other = root.bind(scope=name)
    for start in range(0, count, 1_000):
        other.remember_many(
            [
                {
                    "text": " ".join(chance.choices(["walrus", "tusk", "ice", "dog", "seal", "Ann", "rare"], k=6)),
                    "tags": ["shared", "tag1"],
                    "occurred_at": f"20{chance.randint(10, 40)}-05-{chance.randint(1, 28):02}",
                    "source": {"session": "s1", "speaker": "Ann"},
                }
                for _ in range(min(1_000, count - start))
            ],
            durability="process",
        )


@pytest.mark.timeout(7200)
def test_a_million_rows_of_another_tenant_change_no_score(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """In an everyday run 20,000; the million is the soak's."""
    count = 1_000_000 if pytestconfig.getoption("--soak") else 20_000
    items = memories(1, random.Random(8)) + memories(1, random.Random(9))

    def answers(place: Path, crowd: int) -> list[Any]:
        chance, found = random.Random(10), []
        with walnut.open(place, scope="global", checkpoint_every=0) as root:
            m = root.bind(scope="user:a")
            for number, item in enumerate(items):
                _crowd(root, "user:b", crowd // len(items), chance)
                m.remember(**{**item, "key": None, "text": f"{item['text']} {number}"})
                found += told(asked(m)) if number % 3 == 0 else []
            return found + told(asked(m)) + told(asked(m.as_of(lsn=m.log.durable_lsn)))

    assert answers(tmp_path / "alone", 0) == answers(tmp_path / "crowded", count)
