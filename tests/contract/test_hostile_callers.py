"""What comes between two steps of a call, a made-up plan, a lying view: none gets past the log's own word."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import walnut
from walnut import InvalidArgument, Memory, NotFound, StalePlan, VersionConflict, WalnutError
from walnut.engine import govern, parse, write
from walnut.model.results import RevertPlan


@pytest.fixture(params=["memory", "files"])
def m(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    url = "memory://" if request.param == "memory" else tmp_path / "store"
    with walnut.open(url, scope="user:alice") as memory:
        yield memory


def prepared(m: Memory, text: str, **given: Any) -> write.Write:
    """A write that has looked at everything it looks at, and is not written yet."""
    return write.remember(m._handle, parse.remember(text, **given), None)


def test_a_memory_forgotten_meanwhile_is_not_brought_back(m: Memory) -> None:
    memory_id = m.remember("old").memory_id or ""
    late = prepared(m, "new", memory_id=memory_id)
    m.forget(memory_id)
    with pytest.raises(NotFound):
        write.one(m._handle, late)
    with pytest.raises(NotFound):
        m.get(memory_id)


def test_a_memory_undone_meanwhile_is_not_brought_back(m: Memory) -> None:
    ack = m.remember("old")
    late = prepared(m, "new", memory_id=ack.memory_id)
    m.apply(m.plan_revert(events=[ack]))
    with pytest.raises(VersionConflict):
        write.one(m._handle, late)
    with pytest.raises(NotFound):
        m.remember("new", memory_id=ack.memory_id)


def test_T4_what_is_derived_between_plan_and_undo_makes_the_plan_stale(m: Memory) -> None:
    poison = m.remember("poison")
    late = govern.apply(m._handle, m.plan_revert(events=[poison]))
    m.remember("a conclusion", caused_by=[poison])
    with pytest.raises(StalePlan):
        write.one(m._handle, late)
    plan = m.plan_revert(events=[poison])
    assert len([item for item in plan.items if item.reverts]) == 2


def test_T4_who_is_shown_it_between_plan_and_undo_makes_the_plan_with_suspects_stale(m: Memory) -> None:
    poison = m.remember("poison")
    late = govern.apply(m._handle, m.plan_revert(events=[poison], include_suspects=True))
    m.recall("poison")
    m.remember("something else")
    with pytest.raises(StalePlan):
        write.one(m._handle, late)


def test_an_undo_of_another_scope_makes_no_plan_stale(m: Memory) -> None:
    session = m.bind(scope="user:alice/session:1")
    shared = session.remember("shared")
    late = govern.apply(session._handle, session.plan_revert(events=[shared]))
    m.remember("what above is made of it", caused_by=[m.remember("x")])
    assert write.one(session._handle, late).lsn == 4


def test_T4_what_many_items_follow_is_written_before_all_of_them(m: Memory) -> None:
    poison = m.remember("poison")
    m.remember("once", idempotency_key="k")
    m.recall("poison")
    acks = m.remember_many([{"text": "once", "idempotency_key": "k"}, {"text": "said under its influence"}])
    assert [ack.replayed for ack in acks] == [True, False]
    suspects = [item.lsn for item in m.plan_revert(events=[poison]).items if item.role == "suspect"]
    assert suspects == [acks[1].lsn]


def test_a_cursor_does_not_lead_out_of_a_past_moment(m: Memory) -> None:
    for number in range(6):
        m.remember(f"note {number}")
    live, past = m.list(limit=2), m.as_of(lsn=3)
    assert live.cursor
    with pytest.raises(InvalidArgument):
        past.list(limit=2, cursor=live.cursor)
    page = past.list(limit=2)
    assert [record.lsn for record in (*page.items, *past.list(limit=2, cursor=page.cursor).items)] == [3, 2, 1]


def test_the_last_time_there_is_can_be_asked_about(m: Memory) -> None:
    m.remember("note")
    last = "2262-04-11T23:47:16.854775+00:00"
    for at in (m.as_of(valid_time=last), m.as_of(system_time=last)):
        assert len(at.list().items) == len(at.recall("note")) == 1


def _tampered(plan: RevertPlan) -> list[RevertPlan]:
    of, selector = msgspec.structs.replace, plan.selector
    wrong: list[dict[str, Any]] = [
        *({"lsn": value} for value in (None, "1", -1, 0, 2**70, 1.5)),
        *({"ranges": value} for value in (None, (), ((0, 9),), (("a", "b"),), ((1,),), 7)),
        *({"memory_ids": value} for value in (None, ("x",), (5,), "mem")),
        *({"items": value} for value in (None, (1,), ("x",))),
        {"selector": None}, {"selector": "x"}, {"include_suspects": "yes"}, {"items": (object(),)},
        *({"selector": of(selector, **each)} for each in (
            {"events": ("x",)}, {"events": (2**70,)}, {"since": 2**70}, {"until": -(2**70)}, {"actor": "\ud800"},
            {"actor": 5}, {"source": {"a": object()}}, {"kinds": (5,)}, {"session": b"x"}, {"events": (10**6,)},
        )),
    ]  # fmt: skip
    return [of(plan, **each) for each in wrong]


def test_a_plan_that_was_tampered_with_is_refused(m: Memory) -> None:
    ack = m.remember("one")
    plan = m.plan_revert(kinds=["memory.write"])
    for forged in _tampered(plan):
        with pytest.raises((InvalidArgument, StalePlan)):
            m.apply(forged)
    assert m.get(ack.memory_id).text == "one"
    assert m.apply(plan).lsn == 2


@pytest.mark.parametrize(
    "lie",
    [
        "INSERT INTO tags SELECT tag, scope, 2 FROM tags WHERE lsn = 1",
        "UPDATE versions SET occurred_at = 0 WHERE lsn = 2",
        "UPDATE versions SET confidence = 1.0 WHERE lsn = 2",
        "UPDATE text_docs SET occurred = 0, confidence = 1.0 WHERE lsn = 2",
        "INSERT INTO edges SELECT 1, 2",
    ],
)
def test_V4_a_view_that_lies_about_a_filter_or_a_cause_is_not_believed(lie: str, tmp_path: Path) -> None:
    def answers(m: Memory) -> list[Callable[[], object]]:
        return [
            lambda: [record.lsn for record in m.list(tags=["a"]).items],
            lambda: [record.lsn for record in m.list(until="1990-01-01").items],
            lambda: [record.lsn for record in m.list(min_confidence=0.5).items],
            lambda: [hit.lsn for hit in m.recall("tea", until="1990-01-01")],
            lambda: [hit.lsn for hit in m.recall("tea", min_confidence=0.5)],
            lambda: [step.lsn for step in m.why("mem_" + known, direction="influenced").root.steps],
            lambda: m.plan_revert(events=[1]).ranges,
        ]

    with walnut.open(tmp_path) as m:
        known = (m.remember("tea", tags=["a"], confidence=0.9, occurred_at="1980-01-01").memory_id or "")[4:]
        m.remember("green tea", confidence=0.1)
        for number in range(len(answers(m))):
            before = answers(m)[number]()
            m.upkeep.rebuild()
            with sqlite3.connect(tmp_path / "views" / "memories-v1.db") as db:
                db.execute(lie)
            db.close()
            assert answers(m)[number]() == before


@pytest.mark.parametrize("wrong", [None, "x", b"x", -1, float("nan"), float("inf"), 2**70, object(), [], {}, True])
def test_every_argument_of_every_method_is_checked(m: Memory, wrong: Any) -> None:
    """Whatever is passed, what comes out is an answer or an error of Walnut."""
    m.remember("note", key="k")
    plan = m.plan_revert(kinds=["memory.write"])
    for name in ("since", "until", "tags", "min_confidence", "below"):
        answer(lambda name=name: m.list(**{name: wrong}))  # type: ignore[misc]
    for name in ("k", "mode", "since", "until", "tags", "min_confidence", "below", "explain"):
        answer(lambda name=name: m.recall("note", **{name: wrong}))  # type: ignore[misc]
    for name in ("events", "actor", "source", "session", "since", "until", "kinds", "include_suspects"):
        answer(lambda name=name: m.plan_revert(**{"actor": "a", name: wrong}))  # type: ignore[misc]
    for name in parse.ARGUMENTS - {"text"}:
        answer(lambda name=name: m.remember("x", **{name: wrong}))  # type: ignore[misc]
    calls: list[Callable[[], object]] = [
        lambda: m.remember(wrong),
        lambda: m.remember("x", durability=wrong),
        lambda: m.remember_many(wrong),
        lambda: m.remember_many([wrong]),
        lambda: m.remember_many([{"text": wrong}]),
        lambda: m.remember_many([{wrong: "x"} if wrong.__hash__ else {"text": "x", "tags": wrong}]),
        lambda: m.forget(wrong),
        lambda: m.forget("mem_x", expected_version=wrong),
        lambda: m.recall(wrong),
        lambda: m.context(wrong),
        lambda: m.context("x", budget=wrong),
        lambda: m.get(wrong),
        lambda: m.get(key=wrong),
        lambda: m.list(limit=wrong),
        lambda: m.list(cursor=wrong),
        lambda: m.history(wrong),
        lambda: m.why(wrong),
        lambda: m.why("x", direction=wrong),
        lambda: m.as_of(lsn=wrong),
        lambda: m.as_of(system_time=wrong),
        lambda: m.as_of(valid_time=wrong),
        lambda: m.apply(wrong),
        lambda: m.apply(msgspec.structs.replace(plan, selector=wrong)),
        lambda: m.bind(scope=wrong),
        lambda: m.bind(actor=wrong),
        lambda: m.wait(wrong, timeout=0),
        lambda: m.wait(timeout=wrong),
        lambda: list(m.log.read(after=wrong)),
        lambda: list(m.log.read(upto=wrong)),
        lambda: list(m.log.tail(after=wrong, timeout=0)),
        lambda: None if wrong is None or wrong == 2**70 else next(m.log.tail(timeout=wrong), None),
        lambda: m.log.locate(wrong),
        lambda: walnut.open(wrong, create=False),
        lambda: walnut.open("\ud800"),
        lambda: walnut.open("x/" * 3000),
        lambda: walnut.open("x" * 300),
        lambda: walnut.verify("\ud800"),
        lambda: walnut.verify("x" * 5000),
        lambda: walnut.open("memory://", scope=wrong),
        lambda: walnut.open("memory://", actor=wrong),
        lambda: walnut.open("memory://", durability=wrong),
        lambda: walnut.open("memory://", create=wrong).close(),
        lambda: walnut.open("memory://", busy_timeout=wrong).close(),
        lambda: walnut.open("memory://", checkpoint_every=wrong).close(),
        lambda: walnut.open("memory://", network_file_system=wrong).close(),
        lambda: walnut.verify(wrong),
        lambda: walnut.repair(wrong),
        lambda: walnut.repair("x", accept_loss=wrong),
    ]
    for call in calls:
        answer(call)


def answer(call: Callable[[], object]) -> None:
    refused: WalnutError | None = None
    try:
        call()
    except WalnutError as error:
        refused = error
    assert refused is None or refused.where or refused.hint, f"{refused} says neither where nor what to do"
