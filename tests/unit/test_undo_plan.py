"""Undo: what is selected, what goes with it, what is suspect, and that all of it can be undone in turn."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.small_world import World
from walnut.cli.screen import Screen
from walnut.cli.trees import draw_plan
from walnut.errors import InvalidArgument, StalePlan
from walnut.model.requests import Selector
from walnut.model.results import RevertPlan
from walnut.undo.select import matches


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def roles(plan: RevertPlan) -> dict[int, str]:
    return {item.lsn: item.role + ("" if item.reverts else " (stays)") for item in plan.items}


# --- selection ------------------------------------------------------------------------------------


@pytest.fixture
def mixed(world: World) -> World:
    world.write("one", actor="agent:x", source={"conversation_id": "c1", "message_id": "m1"})
    world.write("two", actor="agent:y", source={"conversation_id": "c1", "session": "s9"})
    world.write("three", actor="agent:x", scope="user:a/s:1", source={"session": "c1"})
    world.write("four", actor="agent:x", scope="user:b", source={"conversation_id": "c1"})
    world.forget(1, actor="agent:y")
    return world


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"actor": "agent:x"}, [1, 3]),
        ({"source": {"conversation_id": "c1"}}, [1, 2]),
        ({"source": {"conversation_id": "c1", "message_id": "m1"}}, [1]),
        ({"source": {"conversation_id": "c1", "message_id": "m2"}}, []),
        ({"session": "c1"}, [1, 3]),
        ({"session": "s9"}, [2]),
        ({"kinds": ("memory.delete",)}, [5]),
        ({"events": (1, 2, 4)}, [1, 2]),
        ({"actor": "agent:x", "session": "c1", "kinds": ("memory.write",)}, [1, 3]),
        ({"actor": "agent:y", "session": "c1"}, []),
    ],
)
def test_all_given_selectors_must_hold(mixed: World, selector: dict[str, Any], expected: list[int]) -> None:
    plan = mixed.plan(**selector)
    assert list(roles(plan)) == expected
    assert set(roles(plan).values()) <= {"selected"}


def test_times_bound_when_it_was_recorded_half_open(mixed: World) -> None:
    at = [event.recorded_at for event in mixed.log.read()]
    assert list(roles(mixed.plan(since=at[1]))) == [n + 1 for n in (1, 2, 4) if at[n] >= at[1]]
    assert [n for n in roles(mixed.plan(until=at[2])) if at[n - 1] >= at[2]] == []
    assert roles(mixed.plan(since=at[0], until=at[4] + 1)).keys() == {1, 2, 3, 5}


def test_one_event_is_judged_as_the_views_select(mixed: World) -> None:
    """The log asks it of what came after a plan, where no view has been yet."""
    events = list(mixed.log.read())
    at = events[1].recorded_at
    for selector in (
        *(Selector(since=at), Selector(until=at), Selector(since=at, until=at + 1), Selector(session="c1")),
        *(Selector(actor="agent:x"), Selector(source={"conversation_id": "c1"}), Selector(kinds=("memory.delete",))),
    ):
        for scope in ("user:a", "user:a/s:1", "global"):
            judged = [event.lsn for event in events if matches(event, selector, bound_scope=scope)]
            assert judged == mixed.snapshot().select(selector, scope, 5)
    assert not matches(events[1], Selector(until=at), bound_scope="global")


def test_nothing_to_select_by_is_refused(mixed: World) -> None:
    with pytest.raises(InvalidArgument):
        mixed.plan()


def test_only_the_bound_scope_and_below_is_governed(mixed: World) -> None:
    assert list(roles(mixed.plan(scope="user:a/s:1", actor="agent:x"))) == [3]
    assert list(roles(mixed.plan(scope="global", actor="agent:x"))) == [1, 3, 4]


def test_a_transaction_is_undone_whole(world: World) -> None:
    first = world.append(world.draft("one", memory=1), world.draft("two", memory=2), world.draft("three", memory=3))
    other = world.write("other")
    plan = world.plan(events=(first + 1,))
    assert plan.ranges == ((first, first + 2),)
    assert other not in roles(plan)


def test_ranges_never_span_what_is_not_planned(world: World) -> None:
    for actor in "xxyxyyxx":
        world.write("text", actor=f"agent:{actor}")
    assert world.plan(actor="agent:x").ranges == ((1, 2), (4, 4), (7, 8))


# --- T3 -------------------------------------------------------------------------------------------


def test_T3_a_revert_can_be_reverted_and_reverted_again(world: World) -> None:
    lsn = world.write("walrus")
    for round_ in range(4):
        assert world.found("walrus") == ([lsn] if round_ % 2 == 0 else [])
        newest = world.log.durable_lsn()
        plan = world.plan(events=(newest,))
        assert plan.ranges == ((newest, newest),)
        assert plan.memory_ids == world.plan(events=(newest,)).items[0].memory_ids
        assert len(plan.memory_ids) == 1
        world.apply(plan)


def test_T3_what_is_reverted_already_is_not_selected_again(world: World) -> None:
    lsn = world.write("walrus")
    world.apply(world.plan(events=(lsn,)))
    assert world.plan(events=(lsn,)).items == ()
    assert world.plan(actor="agent:x").items == ()


def test_T3_reverts_are_selected_by_id_or_kind_only(world: World) -> None:
    lsn = world.write("walrus")
    undo = world.apply(world.plan(events=(lsn,)))
    assert roles(world.plan(actor="agent:judge")) == {}
    assert roles(world.plan(kinds=("memory.reverted",))) == {undo: "selected"}
    assert roles(world.plan(events=(undo,))) == {undo: "selected"}


# --- T4 -------------------------------------------------------------------------------------------


def test_T4_what_was_derived_goes_with_its_evidence_all_the_way_up(world: World) -> None:
    raw = world.write("poison")
    fact = world.write("fact", caused_by=(raw,), actor="agent:extract")
    belief = world.write("belief", caused_by=(fact,), actor="agent:extract")
    untouched = world.write("other")
    plan = world.plan(events=(raw,))
    assert roles(plan) == {raw: "selected", fact: "derived", belief: "derived"}
    assert [item.because for item in plan.items] == [(), (raw,), (fact,)]
    assert len(plan.memory_ids) == 3
    world.apply(plan)
    assert world.found("poison fact belief other") == [untouched]
    assert str(plan).count("undo [") == 3


def test_T4_a_fact_with_other_evidence_left_is_kept_and_listed(world: World) -> None:
    one, two = world.write("said once"), world.write("said twice")
    fact = world.write("fact", caused_by=(one, two))
    above = world.write("above", caused_by=(fact,))
    plan = world.plan(events=(one,))
    assert roles(plan) == {one: "selected", fact: "needs_recompute (stays)"}
    assert roles(world.plan(events=(one, two))) == {
        one: "selected",
        two: "selected",
        fact: "derived",
        above: "derived",
    }
    world.apply(plan)
    assert roles(world.plan(events=(two,))) == {two: "selected", fact: "derived", above: "derived"}


def test_T4_evidence_that_is_selected_but_cannot_be_undone_still_stands(world: World) -> None:
    raw = world.write("raw")
    intent = world.event("intent.completed")
    fact = world.write("fact", caused_by=(raw, intent))
    assert roles(world.plan(events=(raw, intent))) == {
        raw: "selected",
        intent: "kept (stays)",
        fact: "needs_recompute (stays)",
    }


def test_T4_what_was_derived_and_undone_already_is_not_planned_again(world: World) -> None:
    raw = world.write("raw")
    fact = world.write("fact", caused_by=(raw,))
    world.shown(raw)
    later = world.write("later")
    world.apply(world.plan(events=(fact, later)))
    assert roles(world.plan(events=(raw,), include_suspects=True)) == {raw: "selected"}


def test_T4_evidence_may_be_planned_by_the_closure_itself(world: World) -> None:
    raw = world.write("raw")
    left, right = world.write("left", caused_by=(raw,)), world.write("right", caused_by=(raw,))
    top = world.write("top", caused_by=(left, right))
    assert set(roles(world.plan(events=(raw,)))) == {raw, left, right, top}
    assert set(roles(world.plan(events=(raw,))).values()) == {"selected", "derived"}


def test_T4_what_was_promoted_out_of_the_governed_scope_is_not_touched_from_below(world: World) -> None:
    raw = world.write("raw", scope="user:a/s:1")
    promoted = world.write("promoted", scope="user:a", caused_by=(raw,))
    assert roles(world.plan(scope="user:a/s:1", events=(raw,))) == {raw: "selected"}
    assert roles(world.plan(scope="user:a", events=(raw,))) == {raw: "selected", promoted: "derived"}


def test_T4_what_was_written_after_being_shown_it_is_suspect(world: World) -> None:
    poison = world.write("poison", actor="agent:eve")
    before = world.write("earlier", actor="agent:x")
    note = world.shown(poison, actor="agent:x")
    after = world.write("later", actor="agent:x")
    world.write("of another", actor="agent:y")
    derived = world.write("derived from it", actor="agent:y", caused_by=(after,))
    plan = world.plan(events=(poison,))
    assert roles(plan) == {poison: "selected", after: "suspect (stays)"}
    assert plan.items[1].because == (poison, note)
    assert plan.ranges == ((poison, poison),)
    everything = world.plan(events=(poison,), include_suspects=True)
    assert roles(everything) == {poison: "selected", after: "suspect", derived: "derived"}
    assert before not in roles(everything)
    world.apply(everything)
    assert sorted(world.found("poison earlier later another derived")) == [before, 5]


def test_T4_suspicion_spreads_from_suspect_to_suspect_only_when_asked(world: World) -> None:
    poison = world.write("poison", actor="agent:eve")
    world.shown(poison, actor="agent:x")
    second = world.write("second", actor="agent:x")
    world.shown(second, actor="agent:y")
    third = world.write("third", actor="agent:y")
    assert set(roles(world.plan(events=(poison,)))) == {poison, second}
    assert set(roles(world.plan(events=(poison,), include_suspects=True))) == {poison, second, third}


# --- T5 -------------------------------------------------------------------------------------------

FINAL = ["intent.begun", "intent.completed", "intent.failed", "memory.erased", "memory.purged"]


@pytest.mark.parametrize("kind", FINAL)
def test_T5_intents_and_erasures_are_kept_and_listed_only_by_id(world: World, kind: str) -> None:
    lsn = world.event(kind)
    written = world.write("walrus")
    assert roles(world.plan(actor="agent:x")) == {written: "selected"}
    assert roles(world.plan(kinds=(kind,))) == {}
    plan = world.plan(events=(lsn,))
    assert roles(plan) == {lsn: "kept (stays)"}
    assert plan.ranges == ()


def test_T5_intents_derived_from_a_reverted_event_are_not_undone(world: World) -> None:
    raw = world.write("raw")
    world.event("intent.begun", caused_by=(raw,))
    assert roles(world.plan(events=(raw,))) == {raw: "selected"}


# --- staleness ------------------------------------------------------------------------------------


def test_a_plan_is_stale_when_a_later_event_touches_a_planned_memory(world: World) -> None:
    lsn = world.write("one", memory=1, actor="agent:eve")
    plan = world.plan(events=(lsn,))
    world.write("two", memory=1, update=True)
    with pytest.raises(StalePlan):
        world.apply(plan)
    assert world.log.durable_lsn() == 2


def test_a_plan_is_stale_when_a_later_event_matches_its_selector(world: World) -> None:
    world.write("one", actor="agent:eve")
    plan = world.plan(actor="agent:eve")
    world.write("two", actor="agent:eve")
    with pytest.raises(StalePlan):
        world.apply(plan)


def test_a_plan_is_not_stale_when_others_go_on_writing(world: World) -> None:
    world.write("one", actor="agent:eve")
    plan = world.plan(actor="agent:eve")
    world.write("two", actor="agent:x")
    world.write("three", actor="agent:eve", scope="user:b")
    world.shown(1, actor="agent:eve")
    assert world.apply(plan) == 5


# --- any history ----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(1, 12), max_size=3), st.booleans()), max_size=12),
    st.integers(1, 12),
    st.booleans(),
)
def test_T4_a_plan_is_closed_and_applying_and_undoing_it_restores_every_answer(
    history: list[tuple[int, list[int], bool]], start: int, suspects: bool
) -> None:
    world = World()
    for number, (actor, causes, shown) in enumerate(history, 1):
        if shown and causes:
            world.shown(*(cause for cause in causes if cause < number), actor=f"agent:{actor}")
        else:
            world.write("walrus", actor=f"agent:{actor}", caused_by=tuple(c for c in causes if c < number))
    if start <= world.log.durable_lsn():
        before = world.recall("walrus", k=50)
        plan = world.plan(events=(start,), include_suspects=suspects)
        planned = {item.lsn for item in plan.items if item.reverts}
        assert planned == {lsn for low, high in plan.ranges for lsn in range(low, high + 1)}
        for event in world.log.read():
            causes_ = set(event.content.caused_by) if event.content else set()
            kept = event.kind == "memory.write" and event.lsn not in planned
            assert not (kept and causes_ and causes_ <= planned)
        if plan.ranges:
            undo = world.apply(plan)
            assert planned.isdisjoint(world.found("walrus", k=50))
            world.apply(world.plan(events=(undo,)))
            assert world.recall("walrus", k=50) == before
    world.close()


def test_T4_a_chain_longer_than_the_stack_is_deep_is_planned_and_printed(world: World) -> None:
    world.write("first")
    for lsn in range(1, 1500):
        world.write("next", caused_by=(lsn,))
    plan = world.plan(events=(1,))
    lines = str(plan).splitlines()
    assert len(lines) == 1501
    assert "1,500 events, 1,500 memories" in lines[-1]
    drawn = io.StringIO()
    draw_plan(Screen(json=False, out=drawn), plan)
    assert drawn.getvalue().count("undo memory.write") == 1500
    assert max(map(len, drawn.getvalue().splitlines())) < 200
