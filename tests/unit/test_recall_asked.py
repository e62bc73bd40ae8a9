"""What a query asks beside its words: times, identifiers, phrases, the latest, the first; never at an answer's cost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import planned
from tests.unit.small_world import World
from walnut.errors import InvalidArgument
from walnut.recall.asked import asked, exactness
from walnut.recall.plan import SETTINGS
from walnut.views.folds.text import Doc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1_000


#: A Wednesday.
NOW = ns("2024-05-15T12:00")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def runs(world: World) -> dict[str, int]:
    told = {"2023-08-12": "ten", "2024-03-06": "hill", "2024-03-20": "rain", "2024-05-08": "calf", "2024-05-14": "wood"}
    return {
        word: world.write(f"the club run went well, {word} this time", occurred_at=ns(date + "T09:00"))
        for date, word in told.items()
    }


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("how was the club run last week?", ["calf"]),
        ("how was the club run yesterday?", ["wood"]),
        ("how was the club run in March?", ["rain", "hill"]),
        ("how was the club run before March?", ["ten"]),
        ("how was the club run on 6 March 2024?", ["hill"]),
        ("how was the club run on 5 March 2024?", ["hill"]),  # told the day after
        ("how was the club run last summer?", ["ten"]),
        ("what is the latest about the club run?", ["wood"]),
        ("how was the club run originally?", ["ten"]),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "keyword"])
def test_what_occurred_when_the_query_says_comes_first_and_all_else_is_still_found(
    world: World, query: str, first: list[str], mode: str
) -> None:
    told = runs(world)
    found = world.found(query, valid_at=NOW, mode=mode)
    assert set(found[: len(first)]) == {told[word] for word in first}
    assert set(found) == set(told.values())


def test_a_time_is_seen_from_the_moment_of_the_handle(world: World) -> None:
    told = runs(world)
    assert world.found("the club run of yesterday", valid_at=ns("2024-05-16"))[0] != told["calf"]
    assert world.found("the club run of two months ago", valid_at=ns("2024-05-28"))[0] == told["rain"]
    assert world.found("the club run of two months ago", valid_at=ns("2023-10-12"))[:1] == [told["ten"]]


@pytest.mark.parametrize(
    ("query", "lifted"),
    [("how was the club run in March?", "march"), ("how was the club run originally?", "march"), ("the club run", "")],
)
def test_a_session_is_lifted_by_what_is_of_the_time_or_the_first_that_is_asked_for(
    world: World, query: str, lifted: str
) -> None:
    """Two sessions alike, but for their day: what another time's best turn says lifts no turn beside it much."""
    beside = {}
    for session, day in (("march", "2024-03-06"), ("may", "2024-05-08")):
        place = {"source": {"session": session}, "occurred_at": ns(f"{day}T09:00")}
        world.write(f"the club run went well, {'wood' if session == 'may' else 'hill'} this time", **place)
        beside[session] = world.write(f"{'cake' if session == 'may' else 'soup'} after the run", **place)
    found = {scored.lsn: scored for scored in world.recall(query, valid_at=NOW, mode="keyword")}
    parts = {name: {part.name: part.value for part in found[lsn].parts}["session"] for name, lsn in beside.items()}
    assert (parts["march"] > 2 * parts["may"]) == (lifted == "march")
    assert parts["may"] > 0


def test_of_repetitions_the_one_at_the_time_asked_for_counts(world: World) -> None:
    days = ["2024-03-06", "2024-03-20", "2024-05-08"]
    march, later, may = (world.write("the wiper motor broke again", occurred_at=ns(day)) for day in days)
    assert world.found("what broke?", valid_at=NOW)[0] == may
    best = world.recall("what broke on 6 March?", valid_at=NOW)[0]
    assert (best.lsn, best.repeats) == (march, (may, later))
    assert world.found("what broke first, originally?", valid_at=NOW)[0] == march


@pytest.mark.parametrize(
    ("query", "held", "others"),
    [
        (
            "what about INV-2041?",
            "INV-2041 is paid",
            ["INV-2014 is paid 2041 times, INV-2041x", "2041 INV: what about it"],
        ),
        ("user_id", "column user_id is text", ["the user has an id", "id user"]),
        (
            "mail to ann.lee@corp.example?",
            "ann.lee@corp.example is her mail",
            ["ann corp example lee mail", "lee.ann@corp"],
        ),
        ("is 3.11.2 out?", "3.11.2 is out today", ["3.2.11 is out today", "2 of 11 are out, 3 stay"]),
        ("which file is 9f8a3c1d?", "file 9f8a3c1d is lost", ["the file which is a file", "9f8a3c1e is a file"]),
        (
            'who sang "over the hills"?',
            "choir sang over the hills",
            ["hills over the who", "who sang of the hills, who?"],
        ),
    ],
)
def test_R3_what_holds_an_identifier_or_a_phrase_exactly_comes_first(
    world: World, query: str, held: str, others: list[str]
) -> None:
    lsn = world.write(held)
    for other in others:
        world.write(other)
    found = world.recall(query)
    assert found[0].lsn == lsn
    assert [hit.lsn for hit in found if any(part.name == "exact" for part in hit.parts)] == [lsn]


@pytest.mark.parametrize(
    "query",
    ["and/or the well-known 3rd man", "Marta's 5pm", "plain words", "it's 20", "a 10k run", "e.g. he/she", "?!"],
)
def test_ordinary_words_are_no_identifiers(query: str) -> None:
    assert asked(query, now=NOW)[0].needles == ()


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("When did I see the dentist?", True),
        ("  when is it", True),
        ("Do you know when she leaves?", True),
        ("Where is he? When does he come?", True),
        ("Since when do we have the boat", True),
        ("What year did we move", True),
        ("What did she eat when she visited?", False),
        ("How did I feel when Tom called", False),
        ("whenever it rains", False),
    ],
)
def test_when_asks_for_a_time_only_where_it_is_a_question(query: str, asks: bool) -> None:
    assert asked(query, now=NOW)[0].when is asks


def test_who_asks_when_is_told_by_what_says_when(world: World) -> None:
    world.write("Went to the dentist, the dentist was kind", occurred_at=1)
    lsn = world.write("Went to the dentist yesterday and the tooth is gone", occurred_at=0)
    assert world.found("when was I at the dentist?")[0] == lsn


@given(
    st.lists(
        st.sampled_from(
            ["yesterday", "when", '"the', 'run"', "INV-1", "latest", "originally", "last week", "rain", "in May"]
        ),
        max_size=6,
    )
)
def test_parts_sum_to_the_score_and_scores_fall(words: list[str]) -> None:
    world = World()
    runs(world)
    world.write("INV-1: the run last week", occurred_at=NOW)
    found = world.recall(" ".join(words), valid_at=NOW)
    world.close()
    assert all(sum(part.value for part in hit.parts) == hit.score for hit in found)
    assert all(before.score >= after.score for before, after in pairwise(found))


def test_R1_another_tenant_changes_no_score(world: World) -> None:
    runs(world)
    query = 'when was the latest "club run" of INV-7 last week?'
    before = world.recall(query, valid_at=NOW)
    for number in range(30):
        world.write(f"club run INV-7 {number}", scope="user:b", occurred_at=NOW - number * 10**15)
    assert world.recall(query, valid_at=NOW) == before


def test_R3_of_several_times_each_counts(world: World) -> None:
    told = runs(world)
    hits = world.recall("the club run on 6 March 2024 and on 12 August 2023", valid_at=NOW)
    parts = {hit.lsn: part.value for hit in hits for part in hit.parts if part.name == "time"}
    assert {hit.lsn for hit in hits[:2]} == {told["hill"], told["ten"]}
    assert (parts[told["hill"]], parts[told["ten"]]) == (SETTINGS.time, SETTINGS.time)


def test_R3_the_day_on_which_it_was_told_does_not_say_when(world: World) -> None:
    world.write("Saw the dentist", occurred_at=ns("2024-03-20"))
    (hit,) = world.recall("when did I see the dentist?", valid_at=NOW)
    assert "when" not in {part.name for part in hit.parts}


def test_R3_before_March_does_not_ask_for_March(world: World) -> None:
    world.write("the club run", occurred_at=ns("2024-02-06"))
    march = world.write("what we call a march", occurred_at=ns("2024-02-06"))
    assert march not in world.found("the club run before March", mode="keyword", valid_at=NOW)


def test_R3_a_phrase_is_whole_terms() -> None:
    needle = b"\1\2\3\4"
    between, whole = b"\0\0\1\2\3\4\0\0", b"\0\0\1\2\3\4\0\0" + needle

    def doc(body: bytes) -> Doc:
        return Doc(
            lsn=1,
            session=None,
            occurred=0,
            confidence=None,
            asks=False,
            says=1,
            echo=0,
            speaker=0,
            body=body,
            forms=b"",
            ctx=b"",
        )

    assert exactness([doc(between), doc(whole), doc(b"")], [needle]) == [0.0, 1.0, 0.0]


def test_a_graph_that_is_not_there_is_said(world: World) -> None:
    with pytest.raises(InvalidArgument, match="no graph"):
        world.recall("x", mode="graph")


def test_the_planner_is_worth_its_place_on_made_up_talks() -> None:
    on, off = (rows for _, rows in planned.measured(3, talks=1, levers=["the planner"]))
    assert on[-1].recall[10] >= off[-1].recall[10] + 0.1
    assert all(with_it.recall[10] >= without.recall[10] - 0.03 for with_it, without in zip(on, off, strict=True))
