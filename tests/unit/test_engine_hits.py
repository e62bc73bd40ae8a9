"""One place a hit: facts beside what they were derived from, and repetitions, as far as the handle may see them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import walnut
from walnut import Hit, Memory, Related
from walnut.engine.hits import CARRIED
from walnut.model import ids
from walnut.model.event import INSERT, Content, Draft
from walnut.ports import Batch
from walnut.recall.facts import MAX_DEPTH
from walnut.recall.plan import SETTINGS


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Memory]:
    with walnut.open(tmp_path / "store", scope="global") as memory:
        yield memory


@pytest.fixture
def m(root: Memory) -> Memory:
    return root.bind(scope="user:alice", actor="agent:teddy")


def texts(related: tuple[Related, ...]) -> list[str | None]:
    return [each.text for each in related]


def found(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def _promoted(m: Memory, text: str, *, caused_by: tuple[int, ...]) -> None:
    """Write into the scope what rests on events that the scope does not see."""
    content = Content(scope=m.scope, actor=m.actor, payload={"text": text}, caused_by=caused_by)
    draft = Draft(kind="memory.write", op=INSERT, touches=(ids.TOUCH_BYTES["mem"] + bytes(16),), content=content)
    m._handle.store.log.append(Batch(transactions=((draft,),)))


def test_R4_a_fact_leads_and_carries_its_turns(m: Memory) -> None:
    one = m.remember("please send it as a table", source={"speaker": "Alice", "turn": "t1"}, occurred_at="2026-01-02")
    two = m.remember("the pdf of the invoice was late again", source={"speaker": "Alice", "turn": "t2"})
    m.remember("the weather in the invoice office")
    fact = m.remember("Alice wants invoice exports as CSV", caused_by=[one, two], confidence=0.9)
    best, *others = m.recall("invoice exports CSV")
    assert (best.memory_id, found(others)) == (fact.memory_id, ["the weather in the invoice office"])
    assert best.facts == ()
    first, second = best.evidence
    assert (first.lsn, first.event_id, first.memory_id, first.state) == (
        one.lsn,
        one.event_id,
        one.memory_id,
        "current",
    )
    assert (first.text, first.source) == ("please send it as a table", {"speaker": "Alice", "turn": "t1"})
    assert (first.state, first.actor) == ("current", "agent:teddy")
    assert first.occurred_at is not None
    assert f"{first.occurred_at:%Y-%m-%d}" == "2026-01-02"
    assert second.lsn == two.lsn


def test_a_turn_that_answers_better_carries_the_fact(m: Memory) -> None:
    turn = m.remember("my landlord raised the rent of the flat in Lyon by forty euros", source={"speaker": "Alice"})
    m.remember("Alice lives in Lyon", caused_by=[turn])
    (best,) = m.recall("who raised the rent of the flat by forty euros?")
    assert (best.lsn, best.evidence, texts(best.facts)) == (turn.lsn, (), ["Alice lives in Lyon"])


def test_two_facts_of_one_turn_are_two_hits(m: Memory) -> None:
    turn = m.remember("moved with the dog, to a flat in Lyon")
    m.remember("Alice has a dog", caused_by=[turn])
    m.remember("Alice lives in Lyon", caused_by=[turn])
    hits = m.recall("Alice: dog? Lyon?")
    assert sorted(found(hits)) == ["Alice has a dog", "Alice lives in Lyon"]
    assert all(texts(hit.evidence) == ["moved with the dog, to a flat in Lyon"] for hit in hits)


def test_a_place_that_is_saved_goes_to_the_next_hit(m: Memory) -> None:
    turns = [m.remember(f"brought tea, again, from journey number {n}") for n in range(4)]
    m.remember("tea comes from trips abroad", caused_by=turns)
    m.remember("a trip costs time")
    assert found(m.recall("tea from trips abroad", k=2)) == ["tea comes from trips abroad", "a trip costs time"]


def test_evidence_of_evidence_is_carried_and_a_long_chain_ends(m: Memory) -> None:
    last = m.remember("saw a heron at the lake")
    for n in range(MAX_DEPTH + 2):
        last = m.remember(f"heron, told {n} times", caused_by=[last])
    (best,) = [hit for hit in m.recall(f"told {MAX_DEPTH + 1} times") if hit.lsn == last.lsn]
    assert [each.lsn for each in best.evidence] == list(range(last.lsn - MAX_DEPTH, last.lsn))


def test_of_much_evidence_the_best_is_carried_and_the_rest_keeps_its_places(m: Memory) -> None:
    turns = [m.remember(f"planted {name} in spring") for name in ("basil", "mint", "sage", "dill", "leek", "kale")]
    turns += [m.remember(f"the garden needs water on day {n}") for n in range(CARRIED)]
    fact = m.remember("summary of garden and spring: planted herbs", caused_by=turns)
    best, *others = m.recall("herbs planted in spring, garden summary", k=50)
    assert (best.lsn, len(best.evidence)) == (fact.lsn, CARRIED)
    carried = {each.lsn for each in best.evidence}
    assert {ack.lsn for ack in turns[:6]} <= carried
    assert carried.isdisjoint(hit.lsn for hit in others)
    assert carried | {hit.lsn for hit in others} == {ack.lsn for ack in turns}
    assert [each.lsn for each in best.evidence] == sorted(carried)


def test_evidence_that_no_longer_holds_says_so_and_nothing_else(m: Memory) -> None:
    undone = m.remember("the code is 4711", source={"conversation_id": "bad"})
    forgotten = m.remember("the code was told by phone")
    replaced = m.remember("the door is green", key="door")
    kept = m.remember("the door opens with a code")
    m.remember("a door code exists for the cellar", caused_by=[undone, forgotten, replaced, kept])
    m.apply(m.plan_revert(source={"conversation_id": "bad"}))
    m.forget(forgotten.memory_id or "")
    m.remember("the door is red", key="door")
    best = m.recall("does a door code exist for the cellar?")[0]
    assert [(each.state, each.text) for each in best.evidence] == [
        ("reverted", None),
        ("absent", None),
        ("superseded", None),
        ("current", "the door opens with a code"),
    ]
    assert all(each.source is None and each.actor is None for each in best.evidence[:3])
    then = m.as_of(lsn=5).recall("does a door code exist for the cellar?")[0]
    assert [each.state for each in then.evidence] == ["current"] * 4


def test_evidence_outside_the_scope_is_a_stub(root: Memory) -> None:
    private = root.bind(scope="user:alice/session:1").remember("secret of the heron")
    root.bind(scope="user:alice").remember("herons are shy")
    _promoted(root, "herons exist", caused_by=(private.lsn, 3, 4))  # and of itself, and of what comes after
    root.remember("later")
    best = root.bind(scope="user:bob").recall("herons exist")[0]
    (stub,) = best.evidence
    assert (stub.event_id, stub.state) == (private.event_id, "outside")
    assert (stub.text, stub.memory_id, stub.actor, stub.source, stub.occurred_at) == (None,) * 5
    seen = [hit for hit in root.recall("herons exist", below=True) if hit.text == "herons exist"]
    assert texts(seen[0].evidence) == ["secret of the heron"]


def test_R1_what_lies_behind_evidence_of_another_scope_is_not_told(root: Memory) -> None:
    private = root.bind(scope="user:alice/session:1")
    deep = private.remember("secret of the heron")
    shallow = private.remember("herons and a secret", caused_by=[deep])
    _promoted(root, "herons exist", caused_by=(shallow.lsn,))
    best = root.bind(scope="user:bob").recall("herons exist")[0]
    assert [each.lsn for each in best.evidence] == [shallow.lsn]
    below = next(hit for hit in root.recall("herons exist", below=True) if hit.text == "herons exist")
    assert {each.lsn for each in below.evidence} == {deep.lsn, shallow.lsn}


def test_V4_a_score_belongs_to_the_version_that_was_ranked(tmp_path: Path) -> None:
    """The view believes that an older version still holds: neither that one nor the newer has the older's score."""
    with walnut.open(tmp_path) as m:
        m.remember("walrus and seal", key="animal")
        m.remember("sparrow", key="animal")
        right = m.recall("walrus seal")
        (file,) = (tmp_path / "views").glob("*-v*.db")
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("DELETE FROM versions WHERE lsn = 2")
        assert m.recall("walrus seal", mode="keyword") == []
        assert m.recall("walrus seal") == right


def test_a_repetition_stands_once_and_says_how_often(m: Memory) -> None:
    for day in (1, 3, 2):
        m.remember("I take the bus to work", source={"speaker": "Alice"}, occurred_at=f"2026-01-0{day}")
    m.remember("I take the bus to work", source={"speaker": "Bob"})
    hits = m.recall("bus to work?")
    alice, bob = sorted(hits, key=lambda hit: -hit.said)
    assert (alice.said, f"{alice.occurred_at:%d}") == (3, "03")
    assert [each.occurred_at and f"{each.occurred_at:%d}" for each in alice.repeats] == ["02", "01"]
    assert (bob.said, bob.repeats, len(hits)) == (1, (), 2)


def test_equal_words_under_another_key_or_with_other_data_are_no_repetition(m: Memory) -> None:
    m.remember("UTC", key="timezone of Alice")
    m.remember("UTC", key="timezone of the server")
    m.remember("UTC", data={"of": "Bob"})
    m.remember("UTC")
    m.remember("UTC", memory_id=m.remember("utc!").memory_id)
    hits = m.recall("UTC")
    assert sorted(hit.said for hit in hits) == [1, 1, 1, 2]


def test_the_same_words_in_another_scope_are_no_repetition(root: Memory) -> None:
    root.remember("lunch is at noon")
    below = root.bind(scope="team:a")
    below.remember("lunch is at noon")
    assert [hit.said for hit in below.recall("lunch")] == [1, 1]


def test_what_stands_beside_a_hit_was_shown_too(m: Memory) -> None:
    turn = m.remember("the deploy key is in the blue vault", source={"conversation_id": "c1"})
    m.remember("keys are kept in vaults", caused_by=[turn])
    other = m.bind(actor="agent:other")
    (hit,) = other.recall("where are keys kept, in vaults?")
    assert {hit.lsn} | {each.lsn for each in (*hit.evidence, *hit.facts)} == {1, 2}
    acted = other.remember("opened the vault")
    plan = m.plan_revert(events=[turn])
    assert acted.lsn in {item.lsn for item in plan.items if item.role == "suspect"}


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector", "recent"])
def test_all_modes_put_a_fact_and_its_turns_in_one_place(m: Memory, mode: str) -> None:
    turn = m.remember("green tea was bought in Kyoto")
    m.remember("green tea comes from Kyoto", caused_by=[turn])
    (best,) = m.recall("green tea Kyoto", mode=mode)  # type: ignore[arg-type]
    assert len(best.evidence) + len(best.facts) == 1


def test_what_was_said_very_often_leaves_room_for_the_rest(m: Memory) -> None:
    m.remember("the standup of Mondays is at ten")
    m.remember_many([{"text": "the standup is at nine"} for _ in range(400)])
    best, other = m.recall("when is the standup, at nine?", k=2)
    assert (best.text, len(best.repeats)) == ("the standup is at nine", CARRIED)
    assert best.said >= 250
    assert other.text == "the standup of Mondays is at ten"


# --- evidence in the ranking ----------------------------------------------------------------------------


def evidence_part(hit: Hit) -> float:
    assert sum(part.value for part in hit.parts) == hit.score
    return sum(part.value for part in hit.parts if part.name == "evidence")


def test_a_fact_from_more_conversations_counts_a_little_more(m: Memory) -> None:
    turns = [m.remember(f"heard on day {n}", source={"session": f"s{n // 2}"}) for n in range(6)]
    alone = [m.remember("seen in the open"), m.remember("seen by another")]
    for name, causes in {
        "no source": [],
        "one conversation": turns[:2],
        "two conversations": turns[:4],
        "three conversations and more": [*turns, *alone],
    }.items():
        m.remember(f"herons nest here, says {name}", caused_by=causes)
    parts = {hit.text.split(" says ")[1]: evidence_part(hit) for hit in m.recall("herons nest", explain=True)}
    weight = SETTINGS.evidence
    assert parts == {
        "no source": 0,
        "one conversation": 0,
        "two conversations": weight / 2,
        "three conversations and more": weight * (1 - 1 / 5),
    }
    assert all(evidence_part(hit) == 0 for hit in m.recall("herons nest", mode="keyword", explain=True))


def test_evidence_that_was_undone_no_longer_counts(m: Memory) -> None:
    turns = [m.remember(f"heard on day {n}", source={"session": f"s{n}"}) for n in range(2)]
    fact = m.remember("herons nest here", caused_by=turns)
    before = evidence_part(m.recall("herons nest", explain=True)[0])
    m.apply(m.plan_revert(events=[turns[0]]))
    assert (before > 0, evidence_part(m.recall("herons nest", explain=True)[0])) == (True, 0)
    assert evidence_part(m.as_of(lsn=fact.lsn).recall("herons nest", explain=True)[0]) == before


def test_what_becomes_of_evidence_outside_the_scope_moves_no_score(root: Memory) -> None:
    below = root.bind(scope="user:alice")
    private = [below.remember(f"secret {n}", source={"session": f"s{n}"}) for n in range(3)]
    root.remember("herons are shy", source={"session": "s9"})
    _promoted(root, "herons exist", caused_by=(*(ack.lsn for ack in private), 4))
    before = root.recall("herons exist", explain=True)[0]
    assert evidence_part(before) == SETTINGS.evidence / 2
    below.apply(below.plan_revert(events=private))
    assert root.recall("herons exist", explain=True)[0].parts == before.parts


# --- contradictions -----------------------------------------------------------------------------------


def against(m: Memory, query: str, **given: object) -> list[tuple[str, str | None, str]]:
    best = m.recall(query, **given)[0]  # type: ignore[arg-type]
    return [(each.reason, each.text, each.state) for each in best.conflicts]


def test_two_writers_whose_dates_overlap_contradict_each_other(m: Memory) -> None:
    other = m.bind(actor="agent:other")
    m.remember("office is in Lyon", key="office", valid_from="2020-01-01", valid_until="2190-01-01")
    other.remember("office is in Oslo", key="office", valid_from="2021-01-01")
    assert against(m, "office") == [("overlap", "office is in Lyon", "superseded")]
    assert m.recall("office")[0].conflicts[0].actor == m.actor
    then = m.as_of(valid_time="2020-06-01").recall("office")[0]
    assert (then.text, then.conflicts) == ("office is in Lyon", ())


@pytest.mark.parametrize(("start", "contradicts"), [("2021-01-01", True), ("2022-01-01", False)])
def test_two_writers_who_state_the_same_beginning_contradict_each_other(
    m: Memory, start: str, *, contradicts: bool
) -> None:
    m.remember("office is in Lyon", key="office", valid_from="2021-01-01")
    m.bind(actor="agent:other").remember("office is in Oslo", key="office", valid_from=start)
    assert bool(against(m, "office")) is contradicts


def test_what_one_writer_changed_and_another_changed_back_is_a_contradiction(m: Memory) -> None:
    other = m.bind(actor="agent:other")
    m.remember("the deadline is Friday", key="deadline")
    changed = other.remember("the deadline is Monday", key="deadline")
    assert against(m, "deadline") == []  # a new version, no more
    m.remember("The deadline is Friday!", key="deadline")
    assert against(m, "deadline") == [("restored", "the deadline is Monday", "superseded")]
    m.apply(m.plan_revert(events=[changed]))
    assert against(m, "deadline") == []


def test_whom_an_actor_quotes_is_a_writer_too(m: Memory) -> None:
    for speaker, day in (("Alice", "Friday"), ("Bob", "Monday"), ("Alice", "Friday")):
        m.remember(f"the deadline is {day}", key="deadline", source={"speaker": speaker})
    assert against(m, "deadline") == [("restored", "the deadline is Monday", "superseded")]


def test_one_writer_corrects_without_contradiction(m: Memory) -> None:
    for day in ("Friday", "Monday", "Friday"):
        m.remember(f"the deadline is {day}", key="deadline", valid_from="2021-01-01", valid_until="2190-01-01")
    assert against(m, "deadline") == []


def test_a_marked_contradiction_shows_on_both_sides_and_hides_neither(m: Memory) -> None:
    one = m.remember("Alice is allergic to nuts")
    other = m.remember("Alice ate walnut cake and was fine", tags=[f"contradicts:{one.memory_id}"])
    hits = {hit.memory_id: hit for hit in m.recall("Alice nuts allergic walnut cake")}
    assert [each.memory_id for each in hits[one.memory_id or ""].conflicts] == [other.memory_id]
    (mark,) = hits[other.memory_id or ""].conflicts
    assert (mark.reason, mark.text, mark.state) == ("marked", "Alice is allergic to nuts", "current")
    m.forget(other.memory_id or "")
    assert [hit.conflicts for hit in m.recall("Alice nuts allergic")] == [()]


def test_marks_are_seen_from_where_they_were_made_and_below(root: Memory, m: Memory) -> None:
    one = m.remember("the gate code is 4711")
    tags = [f"contradicts:{one.memory_id}", "contradicts:", "contradicts:mem_x"]
    for scope in ("user:bob", "user:alice/session:1"):
        root.bind(scope=scope).remember("the gate code is 4712", tags=tags)
    assert m.recall("gate code")[0].conflicts == ()
    below = root.bind(scope="user:alice/session:1").recall("gate code 4711")
    assert {hit.text: [each.text for each in hit.conflicts] for hit in below} == {
        "the gate code is 4711": ["the gate code is 4712"],
        "the gate code is 4712": ["the gate code is 4711"],
    }
    wide = {hit.lsn: len(hit.conflicts) for hit in m.recall("gate code", below=True)}
    assert wide == {1: 1, 3: 1}
