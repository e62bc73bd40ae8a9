# ruff: noqa: RUF001 - letters that look like Latin ones are what is tested
"""Recall: any string is a legal query, any script is found, and what others wrote changes nothing."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.small_world import LATER, World
from walnut.errors import InvalidArgument
from walnut.recall.plan import SETTINGS, Settings


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


# --- any string -----------------------------------------------------------------------------------

HOSTILE = [
    *("", " ", "\n\t\r", "\0", "a\0b", "\ud800", "x\udfffy", "\ufeff", "\u200b", "\u202e", "\uffff", "\U0010ffff"),
    *('"', '""', '"unclosed', "'", "''", "`", ";", "--", "/*", "*/", "\\", "%", "_", "?", ":1", "@x", "$x", "#"),
    *("AND", "OR", "NOT", "NEAR", "a AND", "OR b", "NOT c", "a NEAR b", "NEAR(a b, 5)", "NEAR/3", "a AND OR NOT"),
    *("*", "a*", "^a", "a^", "-a", "+a", "a:b", "token:x", "body:a", "{a b}:c", "(", ")", "()", "((((", "a)(b"),
    *("text_index", "'; DROP TABLE text_docs; --", '" OR 1=1 --', "rowid:1", "rank MATCH 'x'", "1w1", "1t1"),
    *("1w1 OR 2w1", "0", "-1", "1e999", "NaN", "null", "None", "{}", "[]", "<script>", "&amp;", "../..", "~"),
    *(
        "the of and",
        "to be or not to be",
        "s",
        "a" * 100_000,
        "ab " * 33_000,
        "é" * 50_000,
        "猫" * 50_000,
        "🎸" * 9_000,
    ),
    *(
        "\u0301" * 1_000,
        "ﷺ" * 1_000,
        "\ufdfa",
        "ß" * 1_000,
        "İ",
        "ǅ",
        "ﬁ",
        "\u0640\u0640",
        "า",
        "़",
        "؟",
        "。",
        "🏳️‍🌈",
        "👨‍👩‍👧‍👦",
        "🇫",
    ),
]


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector", "recent"])
def test_any_string_is_a_legal_query(world: World, mode: str) -> None:
    assert len(HOSTILE) > 70
    written = {world.write(text) for text in ("the walrus", "a b c NOT null 0", "猫と犬", "é ß")}
    for query in HOSTILE:
        assert set(world.found(query, mode=mode)) <= written


def test_a_query_without_words_finds_nothing_but_in_mode_recent(world: World) -> None:
    lsn = world.write("walrus")
    assert world.found("?!") == []
    assert world.found("?!", mode="recent") == [lsn]


SCRIPTS = {
    "latin": ("Crème brûlée à la française", "creme brulee"),
    "vietnamese": ("Tôi thích cà phê sữa đá", "ca phe sua"),
    "greek": ("Μου αρέσει ο ελληνικός καφές", "ΚΑΦΕΣ"),
    "cyrillic": ("Ёлка стоит в гостиной", "елка"),
    "arabic": ("العَرَبِيَّة لغة جميلة", "العربية"),
    "hebrew": ("שָׁלוֹם עולם", "שלום"),
    "hindi": ("मुझे हिन्दी में लिखना पसंद है", "हिन्दी"),
    "thai": ("ฉันชอบกาแฟเย็นมาก", "กาแฟ"),
    "chinese": ("我最喜欢的颜色是蓝色", "颜色"),
    "one character": ("他养了一只猫。", "猫"),
    "japanese": ("私は黒猫が大好きです", "黒猫"),
    "katakana": ("コーヒーを飲みます", "コーヒー"),
    "korean": ("저는 커피를 좋아합니다", "커피"),
    "khmer": ("ខ្ញុំចូលចិត្តកាហ្វេ", "កាហ្វេ"),
    "burmese": ("ကျွန်တော်ကော်ဖီကြိုက်တယ်", "ကော်ဖီ"),
    "emoji": ("Played 🎸 all night", "🎸"),
    "emoji by name": ("Played 🎸 all night", "guitar"),
    "name by emoji": ("Bought a guitar", "🎸"),
    "full width": ("ＷＡＬＮＵＴ", "walnut"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_texts_are_found_in_any_script(world: World, script: str) -> None:
    for text, _ in SCRIPTS.values():
        if text != SCRIPTS[script][0]:
            world.write(text)
    text, query = SCRIPTS[script]
    lsn = world.write(text)
    assert lsn in world.found(query)
    found = world.found(query, mode="keyword")
    assert lsn in found
    assert len(found) <= 3  # those that say the same with an emoji


# --- scopes ---------------------------------------------------------------------------------------


def test_a_scope_and_its_ancestors_are_searched_and_below_on_demand(world: World) -> None:
    paths = ["global", "org:a", "org:a/user:b", "org:a/user:b/s:1", "org:a/user:c", "org:a2"]
    lsns = {path: world.write("walrus", scope=path) for path in paths}

    def found(scope: str, *, below: bool) -> list[str]:
        hits = set(world.found("walrus", scope=scope, below=below))
        return [path for path in paths if lsns[path] in hits]

    assert found("org:a/user:b", below=False) == paths[:3]
    assert found("org:a/user:b", below=True) == paths[:4]
    assert found("org:a", below=True) == paths[:5]
    assert found("global", below=True) == paths
    assert found("org:none", below=True) == ["global"]


def test_scope_names_are_never_folded_or_joined(world: World) -> None:
    given_names = "A a á Å å ａ 1 11 1w 1/1 w1 running run OR AND * % _ ' \" ; ß ss İ i ﬁ fi 猫 黒猫 👍 user:a"
    names = given_names.split()
    lsns = {name: world.write("walrus", scope=f"user:{name}") for name in names}
    for name, lsn in lsns.items():
        expected = [lsn] + ([lsns["1"]] if name == "1/1" else [])
        assert sorted(world.found("walrus", scope=f"user:{name}")) == sorted(expected)


def test_many_scopes_below_are_all_searched(world: World) -> None:
    lsns = [world.write("walrus", scope=f"user:{n}") for n in range(450)]
    assert sorted(world.found("walrus", scope="global", below=True, k=1000)) == lsns


@pytest.mark.parametrize("seed", range(6))
def test_what_another_tenant_wrote_changes_neither_score_nor_order(seed: int) -> None:
    chance = random.Random(seed)
    vocabulary = [f"word{n}" for n in range(40)]

    def say() -> str:
        return " ".join(chance.choices(vocabulary, k=chance.randint(1, 12)))

    alone, shared = World(), World()
    for number in range(60):
        text, source = say(), {"session": f"s{number % 5}", "speaker": chance.choice(["Ann", "Bob"])}
        alone_lsn = alone.write(text, source=source, memory=number, occurred_at=number)
        for _ in range(chance.randint(0, 8)):
            shared.write(
                say(), scope=chance.choice(["user:b", "user:a2", "user:a/x"]), source=source, occurred_at=10**18
            )
        shared.write(text, source=source, memory=10_000 + number, occurred_at=number)
        assert alone_lsn == number + 1
    for _ in range(20):
        query = say() + " Ann"
        one, other = alone.recall(query, k=100), shared.recall(query, k=100)
        assert [(int.from_bytes(h.memory[1:], "big"), h.score, h.parts) for h in one] == [
            (int.from_bytes(h.memory[1:], "big") - 10_000, h.score, h.parts) for h in other
        ]
    alone.close()
    shared.close()


def test_the_choice_of_candidates_is_the_same_beside_another_tenant() -> None:
    """Also where there are more candidates than are looked at."""
    alone, shared = World(), World()
    for number in range(700):
        text = f"walrus {'seal' if number % 3 else ''} {'otter' if number % 50 == 0 else ''}"
        alone.write(text, memory=number, occurred_at=number)
        for _ in range(1 + 2 * (number % 7 == 0)):
            shared.write("otter walrus seal", scope="user:b")
        shared.write(text, memory=10_000 + number, occurred_at=number)
    for query in ("walrus", "seal", "walrus seal otter"):
        one, other = alone.recall(query), shared.recall(query)
        assert [h.score for h in one] == [h.score for h in other]
        assert [int.from_bytes(h.memory[1:], "big") + 10_000 for h in one] == [
            int.from_bytes(h.memory[1:], "big") for h in other
        ]
    alone.close()
    shared.close()


# --- time -----------------------------------------------------------------------------------------


def test_only_the_version_of_the_moment_is_found(world: World) -> None:
    first = world.write("likes tea", memory=1)
    second = world.write("likes coffee", memory=1, update=True)
    gone = world.forget(1)
    assert world.found("tea") == []
    assert world.found("tea", at=first) == [first]
    assert world.found("tea coffee", at=second) == [second]
    assert world.found("tea coffee", at=gone) == []


WORDS = st.lists(st.sampled_from(["tea", "coffee", "milk", "the", "cup"]), min_size=1, max_size=5).map(" ".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), WORDS),
        st.tuples(st.just("forget"), st.integers(0, 3), st.just("")),
        st.tuples(st.just("revert"), st.integers(1, 8), st.just("")),
    ),
    max_size=9,
)


#: So few postings are looked at that what came later would push others out.
HURRIED = Settings(gather=1, most_postings=2, pool=1)


@given(STEPS)
def test_T2_as_of_an_lsn_gives_the_hits_and_scores_of_a_replay_up_to_it(steps: list[tuple[str, int, str]]) -> None:
    world = World()
    for verb, number, text in steps:
        if verb == "write":
            world.write(text, memory=number, source={"session": "s"}, update=True)
        elif verb == "forget":
            world.forget(number)
        elif number <= world.log.durable_lsn():
            plan = world.plan(events=(number,))
            if plan.ranges:
                world.apply(plan)
    world.snapshot()
    for upto in range(1, world.log.durable_lsn() + 1):
        replayed = World(world.log, upto=upto)
        for mode in ("hybrid", "keyword", "vector", "recent"):
            for asked in ({"k": 10}, {"k": 1, "settings": HURRIED}):
                replay = replayed.recall("tea coffee", at=upto, mode=mode, **asked)
                assert world.recall("tea coffee", at=upto, mode=mode, **asked) == replay
        replayed.db.close()
    world.close()


# --- ranking --------------------------------------------------------------------------------------


def test_a_rare_word_outweighs_a_common_one(world: World) -> None:
    for number in range(20):
        world.write(f"invoice number {number}")
    rare = world.write("the walrus")
    world.write("invoice for fish")
    assert world.found("invoice walrus")[0] == rare


def test_of_equals_the_newer_comes_first(world: World) -> None:
    lsns = [world.write("walrus", occurred_at=5) for _ in range(30)]
    assert world.found("walrus", k=30) == lsns[::-1]
    assert world.found("walrus", mode="keyword", k=30) == lsns[::-1]


def test_hybrid_prefers_the_recent_and_the_confident_within_bounds(world: World) -> None:
    day = 86_400 * 10**9
    old = world.write("walrus", occurred_at=0, confidence=0.5)
    new = world.write("walrus", occurred_at=400 * day, confidence=0.5)
    sure = world.write("walrus", occurred_at=0, confidence=0.9)
    assert world.found("walrus") == [new, sure, old]
    better = world.write("walrus seal", occurred_at=0, confidence=0.0)
    assert world.found("walrus seal")[0] == better


@given(
    st.lists(
        st.tuples(WORDS, st.none() | st.floats(0, 1), st.integers(0, 10**18), st.sampled_from(["s1", "s2", None])),
        min_size=1,
        max_size=10,
    ),
    WORDS,
)
def test_R2_parts_sum_to_the_score_exactly_and_stay_in_their_bounds(
    memories: list[tuple[str, float | None, int, str | None]], query: str
) -> None:
    world = World()
    for text, confidence, occurred, session in memories:
        source = {"session": session, "speaker": "Tea"}
        world.write(text, confidence=confidence, occurred_at=occurred, source=source)
    bounds = {"text": 1.0, "session": SETTINGS.session, "speaker": SETTINGS.speaker}
    bounds |= {"recency": SETTINGS.recency, "confidence": SETTINGS.confidence, "recent": 1.0}
    bounds |= {"vector": SETTINGS.vector}
    least = {"question": -SETTINGS.question, "duplicate": -SETTINGS.duplicate}
    for mode in ("hybrid", "keyword", "vector", "recent"):
        hits = world.recall(query, mode=mode, k=20)
        for hit in hits:
            assert sum(part.value for part in hit.parts) == hit.score
            assert all(least.get(part.name, 0) <= part.value <= bounds.get(part.name, 0) for part in hit.parts)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    world.close()


def test_the_turns_before_lead_to_an_answer_that_does_not_repeat_the_question(world: World) -> None:
    source = {"session": "s1", "speaker": "Ann"}
    world.write("Which instrument do you practise?", source=source, occurred_at=1)
    answer = world.write("My uncle's old cello.", source={**source, "speaker": "Bob"}, occurred_at=2)
    apart = world.write("My uncle's old car.", source={"session": "s2"}, occurred_at=3)
    found = world.found("instrument", mode="keyword")
    assert answer in found
    assert apart not in found
    assert next(lsn for lsn in world.found("instrument") if lsn in (answer, apart)) == answer


def test_the_turns_before_are_those_of_the_same_scope_and_session(world: World) -> None:
    for scope, session in (("user:b", "s1"), ("user:a", "s2")):
        world.write("instrument", scope=scope, source={"session": session}, occurred_at=1)
    answer = world.write("a cello", source={"session": "s1"}, occurred_at=2)
    assert answer not in world.found("instrument", mode="keyword")


def test_who_is_named_in_the_query_comes_first(world: World) -> None:
    bob = world.write("I bought a cello", source={"speaker": "Bob"}, occurred_at=1)
    ann = world.write("I bought a cello", source={"speaker": "Ann"}, occurred_at=1)
    assert world.found("what did Ann buy, a cello?")[0] == ann
    assert world.found("what did Bob buy, a cello?")[0] == bob


def test_R3_what_is_told_late_makes_nothing_else_look_new(world: World) -> None:
    year = 365 * 86_400 * 10**9
    for text, occurred in (("walrus one", 0), ("walrus two", year), ("of old times", 0)):
        world.write(text, occurred_at=occurred)
    recency = {hit.lsn: part.value for hit in world.recall("walrus") for part in hit.parts if part.name == "recency"}
    assert recency[2] == SETTINGS.recency
    assert recency[1] < SETTINGS.recency / 100


def test_R1_below_a_scope_is_not_what_begins_alike(world: World) -> None:
    lsns = [world.write(f"walrus {scope}", scope=scope) for scope in ("user:a/x", "user:a-b", "user:a.b/x", "user:ab")]
    assert world.found("walrus", below=True, k=10) == lsns[:1]


def test_R2_parts_are_called_what_they_are(world: World) -> None:
    world.write("a kitten on the sofa")
    (hit,) = world.recall("cat")  # no common word
    assert {part.name for part in hit.parts} >= {"vector"}
    assert "text" not in {part.name for part in hit.parts}
    (hit,) = world.recall("kitten", mode="keyword")
    assert {part.name for part in hit.parts} == {"text", "session"}


def test_R3_what_is_of_no_session_gains_nothing_from_others(world: World) -> None:
    world.write("walrus and seal, and what they eat in winter")
    world.write("walrus or sparrow or cat or dog or horse or cow or goat")
    first, second = (
        {part.name: part.value for part in hit.parts} for hit in world.recall("walrus and seal, eat", mode="keyword")
    )
    assert first["session"] / first["text"] == pytest.approx(second["session"] / second["text"])


def test_R3_of_more_than_can_be_looked_at_the_newest_are(world: World) -> None:
    lsns = [world.write(f"walrus {n}") for n in range(9)]
    few = Settings(gather=1, most_postings=3, pool=3)
    assert set(world.found("walrus", mode="keyword", k=1, settings=few)) == {*lsns[-3:]}


# --- filters and limits ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector", "recent"])
def test_filters_all_hold(world: World, mode: str) -> None:
    one = world.write("walrus", tags=["a", "b"], confidence=0.9, occurred_at=100)
    two = world.write("walrus", tags=["a"], confidence=0.2, occurred_at=200)
    three = world.write("walrus", tags=["A", "ab"], occurred_at=300)

    def found(**given: object) -> set[int]:
        return set(world.found("walrus", mode=mode, **given))

    assert found() == {one, two, three}
    assert found(tags=("a",)) == {one, two}
    assert found(tags=("a", "b")) == {one}
    assert found(tags=("b a",)) == set()
    assert found(since=200) == {two, three}
    assert found(until=200) == {one}
    assert found(since=100, until=101) == {one}
    assert found(min_confidence=0.2) == {one, two}
    assert found(min_confidence=0.0) == {one, two}


def test_a_filter_is_met_however_many_others_match_better(world: World) -> None:
    wanted = world.write("walrus seal otter and many other words that make it a poor match", occurred_at=1)
    for _ in range(600):
        world.write("walrus", occurred_at=10)
    assert world.found("walrus", until=5) == [wanted]


@pytest.mark.parametrize("k", [0, -1, -(2**70)])
def test_k_below_one_is_refused(world: World, k: int) -> None:
    with pytest.raises(InvalidArgument):
        world.found("walrus", k=k)


def test_an_unknown_mode_is_refused(world: World) -> None:
    with pytest.raises(InvalidArgument):
        world.found("walrus", mode="graph")


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector", "recent"])
def test_an_absurd_k_gives_all(world: World, mode: str) -> None:
    lsns = {world.write(f"walrus {number}") for number in range(600)}
    assert set(world.found("walrus", k=2**70, mode=mode)) == lsns


def test_recent_lists_the_newest_first_and_each_once(world: World) -> None:
    lsns = [world.write(f"walrus {number}") for number in range(520)]
    assert world.found("", mode="recent", valid_at=LATER) == lsns[::-1]
