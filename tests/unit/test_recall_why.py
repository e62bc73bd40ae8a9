"""Why: the evidence down to raw events, what an event led to, and nothing of other scopes."""

from collections.abc import Iterator

import pytest

from tests.unit.small_world import LATER, World
from walnut.model.requests import Direction
from walnut.model.results import Explanation, Step
from walnut.model.scope import ancestors
from walnut.recall import why
from walnut.views.visibility import Moment


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def explain(
    world: World, lsn: int, direction: Direction = "from", *, scope: str = "user:a", at: int | None = None
) -> Explanation:
    snapshot = world.snapshot()
    moment = Moment(snapshot.lsn if at is None else at, LATER)
    return why.explain(snapshot, world.log, lsn, ancestors(scope), moment, direction=direction)


def tree(step: Step) -> tuple[object, ...]:
    return (step.lsn, step.reason, *(tree(child) for child in step.steps))


def test_the_chain_goes_down_to_raw_events(world: World) -> None:
    raw = world.write("said on the phone")
    note = world.write("heard twice", caused_by=(raw,))
    fact = world.write("prefers CSV", caused_by=(note, raw))
    found = explain(world, fact)
    assert tree(found.root) == (3, "memory.write", (1, "evidence"), (2, "evidence"))
    assert found.root.text == "prefers CSV"
    assert found.memory_id.startswith("mem_")
    assert "prefers CSV" in str(found)


def test_earlier_versions_are_part_of_the_chain(world: World) -> None:
    world.write("likes tea", memory=1)
    second = world.write("likes coffee", memory=1, update=True)
    assert tree(explain(world, second).root) == (2, "memory.update", (1, "earlier version"))
    assert tree(explain(world, 1, "influenced").root) == (1, "memory.write", (2, "later version"))


def test_influence_goes_up_and_tells_who_was_shown_it(world: World) -> None:
    raw = world.write("said")
    fact = world.write("fact", caused_by=(raw,))
    world.shown(raw, actor="agent:reader")
    found = explain(world, raw, "influenced")
    assert tree(found.root) == (raw, "memory.write", (fact, "derived"), (3, "shown to"))
    assert found.root.steps[1].actor == "agent:reader"


def test_steps_of_other_scopes_are_stubs(world: World) -> None:
    secret = world.write("secret of b", scope="user:b", source={"channel": "phone"}, actor="agent:b")
    deeper = world.write("deeper secret", scope="user:b")
    world.write("x", scope="user:b", caused_by=(deeper,))
    fact = world.write("shared", caused_by=(secret, 3))
    found = explain(world, fact)
    assert [step.lsn for step in found.root.steps] == [secret, 3]
    for step in found.root.steps:
        assert (step.text, step.actor, step.scope, step.source, step.steps) == (None, None, None, None, ())
    world.shown(fact, scope="user:b", actor="agent:b")
    world.write("made of it", scope="user:b", caused_by=(fact,))
    assert explain(world, fact, "influenced").root.steps == (), "what others made of it does not exist"
    below = world.write("made of it", scope="user:a/session:1", caused_by=(fact,))
    (step,) = explain(world, fact, "influenced").root.steps
    assert (step.lsn, step.text, step.actor) == (below, None, None)


def test_undone_evidence_is_marked(world: World) -> None:
    raw = world.write("poison")
    other = world.write("fine")
    fact = world.write("fact", caused_by=(raw, other))
    world.apply(world.plan(events=(raw,)))
    assert [step.reason for step in explain(world, fact).root.steps] == ["evidence (reverted)", "evidence"]
    assert [step.reason for step in explain(world, fact, at=fact).root.steps] == ["evidence", "evidence"]


def test_a_deep_chain_and_a_wide_one_end_with_a_visible_step(world: World) -> None:
    last = world.write("raw")
    for _ in range(2 * why.MAX_DEPTH):
        last = world.write("next", caused_by=(last,))
    step = explain(world, last).root
    while step.steps:
        (step,) = step.steps
    assert step.reason == "… more"
    assert step.text is None
    wide = world.write("wide", caused_by=tuple(world.write(f"raw {n}") for n in range(2 * why.MAX_CHILDREN)))
    steps = explain(world, wide).root.steps
    assert len(steps) == why.MAX_CHILDREN + 1
    assert [one.reason for one in steps[-2:]] == ["evidence", "… more"]


def test_a_dense_web_stays_small(world: World) -> None:
    for n in range(1, 400):
        world.write("web", caused_by=tuple(range(max(1, n - 20), n)))

    def size(step: Step) -> int:
        return 1 + sum(map(size, step.steps))

    assert size(explain(world, 399).root) <= 2 * why.MAX_STEPS
    assert size(explain(world, 1, "influenced").root) <= 2 * why.MAX_STEPS


def test_what_came_later_is_not_part_of_a_past_moment(world: World) -> None:
    raw = world.write("raw")
    world.write("fact", caused_by=(raw,))
    assert explain(world, raw, "influenced", at=raw).root.steps == ()
