"""Contexts of a store: what stands beside hits obeys scopes, moments and filters, and all that is shown is noted."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

import walnut
from walnut import Memory

TURNS = [
    ("Marta", "Who teaches you the trombone?"),
    ("Idris", "A retired lighthouse keeper."),
    ("Marta", "How lovely, say hello."),
    ("Idris", "The weather was awful."),
]


def talk(m: Memory, *, session: str = "s1", **given: object) -> list[walnut.Ack]:
    """Four turns of a session, a minute apart."""
    items = [
        {
            "text": text,
            "source": {"session": session, "speaker": speaker},
            "occurred_at": f"2026-02-01T10:0{minute}:00Z",
            **given,
        }
        for minute, (speaker, text) in enumerate(TURNS)
    ]
    return list(m.remember_many(items))


def shown(m: Memory) -> list[int]:
    """LSNs that the handle's notes name so far."""
    m.remember("noted")
    found: list[int] = []
    for event in m.log.read():
        if event.kind == "memory.recalled" and event.content is not None:
            listed = event.content.payload["shown"]
            found += [lsn for lsn in listed if isinstance(lsn, int)] if isinstance(listed, list) else []
    return sorted(found)


def roles(context: walnut.Context) -> dict[int, str]:
    return {line.lsn: line.role for line in context.lines}


def test_the_turns_beside_a_hit_stand_with_it_and_are_marked_and_never_double() -> None:
    with walnut.open("memory://") as m:
        before, hit, after, _ = [ack.lsn for ack in talk(m)]
        packed = m.context("lighthouse", k=1, neighbours=1)
        assert roles(packed) == {hit: "hit", before: "before", after: "after"}
        assert [line.split(" [")[0] for line in packed.text.splitlines()] == ["-", "  before", "  after"]
        by_time = m.context("lighthouse", k=1, neighbours=1, order="time")
        assert [line.lsn for line in by_time.lines] == [before, hit, after]
        everything = m.context("lighthouse", k=4, neighbours=3, mode="recent")
        assert sorted(roles(everything)) == sorted(set(everything_lsns(m)))
        assert set(roles(everything).values()) == {"hit"}
        assert roles(m.context("lighthouse", k=1)) == {hit: "hit"}


def everything_lsns(m: Memory) -> list[int]:
    return [record.lsn for record in m.list().items]


def test_T4_exactly_what_the_text_shows_is_noted_neighbours_and_evidence_too() -> None:
    with walnut.open("memory://") as m:
        turns = [ack.lsn for ack in talk(m)]
        fact = m.remember("Idris learns the trombone", caused_by=[turns[1]])
        packed = m.context("who learns the trombone", k=1, neighbours=1)
        assert len(packed.lines) > 1
        assert shown(m) == sorted(roles(packed))
        assert fact.lsn in roles(packed) or turns[0] in roles(packed)


def test_turns_of_other_scopes_and_sessions_stand_beside_nothing() -> None:
    with walnut.open("memory://", scope="global") as root:
        alice, eve, inner = (root.bind(scope=scope) for scope in ("user:a", "user:e", "user:a/session:1"))
        talk(eve)
        root.bind(scope="user:a/session:2").remember(
            "secret", source={"session": "s1"}, occurred_at="2026-02-01T10:00:30Z"
        )
        talk(alice, session="s2")
        lighthouse = talk(alice)[1]
        eve.remember("secret", source={"session": "s1"}, occurred_at="2026-02-01T10:01:30Z")
        for handle in (alice, inner):
            packed = handle.context("lighthouse", k=1, neighbours=5)
            assert len(packed.lines) == 4
            assert "secret" not in packed.text
            for line in packed.lines:
                assert alice.why(line.event_id).root.lsn == line.lsn
            assert [line.lsn for line in packed.lines if line.role != "hit"][-1] in range(
                lighthouse.lsn - 1, lighthouse.lsn + 3
            )


def test_V4_a_view_that_lies_about_a_session_puts_no_other_turn_beside_a_hit(tmp_path: Path) -> None:
    with walnut.open(tmp_path, scope="global") as root:
        alice, eve = (root.bind(scope=scope) for scope in ("user:a", "user:e"))
        lighthouse = talk(alice)[1]
        talk(alice, session="s2", text="other")
        talk(eve, text="secret")
        talk(root, text="of the scope above")
        root.wait()
        (file,) = (tmp_path / "views").glob("*-v*.db")
        with sqlite3.connect(file) as db:
            db.execute(
                "UPDATE text_docs SET session = (SELECT session FROM text_docs WHERE lsn = ?)", (lighthouse.lsn,)
            )
        db.close()
        packed = alice.context("lighthouse", k=1, neighbours=5)
        assert {line.lsn for line in packed.lines} <= set(range(lighthouse.lsn - 1, lighthouse.lsn + 3))


def test_neighbours_are_current_and_pass_the_filters() -> None:
    with walnut.open("memory://") as m:
        turns = talk(m)
        m.forget(str(turns[0].memory_id))
        m.remember(
            "Changed", memory_id=turns[2].memory_id, source={"session": "s1"}, occurred_at="2026-02-01T10:02:00Z"
        )
        packed = m.context("lighthouse", k=1, neighbours=1)
        assert turns[0].lsn not in roles(packed)
        assert turns[2].lsn not in roles(packed)
        assert "Changed" in packed.text
        filtered = m.context("lighthouse", k=1, neighbours=3, until="2026-02-01T10:02:00Z")
        assert list(roles(filtered)) == [turns[1].lsn]
        assert len(m.context("lighthouse", k=1, neighbours=3, tags=[]).lines) > 1


def test_T2_a_context_as_of_an_lsn_is_the_text_of_then() -> None:
    with walnut.open("memory://") as m:
        turns = talk(m)
        asked = {"neighbours": 2, "order": "time", "budget": 400}
        then = m.context("lighthouse", **asked)  # type: ignore[arg-type]
        m.forget(str(turns[0].memory_id))
        m.remember("Another lighthouse", source={"session": "s1"}, occurred_at="2026-02-01T10:01:30Z")
        assert m.context("lighthouse", **asked).text != then.text  # type: ignore[arg-type]
        assert m.as_of(lsn=turns[-1].lsn).context("lighthouse", **asked).text == then.text  # type: ignore[arg-type]


def test_C3_a_context_is_the_same_bytes_whoever_else_writes_and_after_reopening(tmp_path: Path) -> None:
    asked = [
        {"order": order, "neighbours": 1, "budget": budget} for order in ("relevance", "time") for budget in (99, 900)
    ]
    with walnut.open(tmp_path, scope="global") as root:
        alice, eve = root.bind(scope="user:a"), root.bind(scope="user:e")
        talk(alice)
        first = [alice.context("lighthouse weather", **each) for each in asked]  # type: ignore[arg-type]
        talk(eve, occurred_at="2027-01-01")
        eve.remember_many([{"text": f"lighthouse {number}"} for number in range(50)])
        root.bind(scope="user:a/session:2").remember("lighthouse weather")
        assert [alice.context("lighthouse weather", **each) for each in asked] == first  # type: ignore[arg-type]
    with walnut.open(tmp_path, scope="user:a") as alice:
        again = [alice.context("lighthouse weather", **each) for each in asked]  # type: ignore[arg-type]
    assert [each.text.encode() for each in again] == [each.text.encode() for each in first]


def test_C3_memories_that_do_not_match_change_no_byte_of_an_order_by_time() -> None:
    with walnut.open("memory://") as m:
        talk(m)
        m.remember("The lighthouse is painted anew", occurred_at="2026-02-05")
        before = m.context("lighthouse", budget=900, order="time", mode="keyword")
        m.remember_many(
            [{"text": f"Gravel, load {number}", "occurred_at": f"2026-02-0{1 + number % 9}"} for number in range(40)]
        )
        after = m.context("lighthouse", budget=900, order="time", mode="keyword")
        assert after.text == before.text
        assert len(before.lines) >= 2
        m.remember("Another lighthouse", occurred_at="2026-03-01")
        assert m.context("lighthouse", budget=900, order="time", mode="keyword").text.startswith(before.text)


def test_C2_only_the_newest_version_is_packed() -> None:
    with walnut.open("memory://") as m:
        old = m.remember("Ann lives in Berlin", key="city", occurred_at="2026-01-01")
        new = m.remember("Ann lives in Paris", key="city", occurred_at="2026-02-01")
        for order in ("relevance", "time"):
            packed = m.context("where does Ann live? Berlin?", order=order)
            assert [line.lsn for line in packed.lines] == [new.lsn]
            assert "Berlin" not in packed.text
        assert [line.lsn for line in m.as_of(lsn=old.lsn).context("where does Ann live?").lines] == [old.lsn]


@pytest.mark.parametrize("failure", [ValueError("<|end|>"), KeyError(1), UnicodeDecodeError("utf-8", b"", 0, 1, "x")])
def test_V4_a_counter_that_fails_says_nothing_about_the_views(failure: Exception, tmp_path: Path) -> None:
    def count(text: str) -> int:
        raise failure

    with walnut.open(tmp_path) as m:
        talk(m)
        m.wait()
        before = {file.name: file.stat().st_ino for file in (tmp_path / "views").glob("*-v*.db")}
        with pytest.raises(type(failure)) as raised:
            m.context("lighthouse", count=count)
        assert raised.value is failure
        assert m.recall("lighthouse")
        assert {file.name: file.stat().st_ino for file in (tmp_path / "views").glob("*-v*.db")} == before


def test_T2_turns_of_later_push_out_no_turn_of_then() -> None:
    with walnut.open("memory://") as m:
        turns = talk(m)
        then = m.context("lighthouse", k=1, neighbours=1)
        for second in range(30):
            source = {"session": "s1"}
            m.remember(f"Late {second}", source=source, occurred_at=f"2026-02-01T10:01:{second + 10}Z")
            m.remember(f"Late {second}, before", source=source, occurred_at=f"2026-02-01T10:00:{second + 10}Z")
        assert m.as_of(lsn=turns[-1].lsn).context("lighthouse", k=1, neighbours=1).text == then.text


def test_contradictions_stand_side_by_side() -> None:
    with walnut.open("memory://") as m:
        tea = m.remember("Ann drinks tea in the morning")
        coffee = m.remember("Ann drinks coffee in the morning", tags=[f"contradicts:{tea.memory_id}"])
        packed = m.context("what does Ann drink?", k=1)
        assert sorted(roles(packed)) == [tea.lsn, coffee.lsn]
        assert sorted(roles(packed).values()) == ["conflict", "hit"]


def test_the_depth_follows_the_budget() -> None:
    with walnut.open("memory://") as m:
        m.remember_many([{"text": f"Note {number} on gardening"} for number in range(300)])
        few, many = m.context("gardening", budget=300), m.context("gardening", budget=20_000)
        assert len(few.lines) < 12
        assert len(many.lines) == 300
        assert (many.left_out, many.budget) == (0, 20_000)
        assert m.context("gardening", budget=1).lines == ()
        assert m.context("gardening", k=7, budget=20_000).left_out == 0
        assert len(m.context("gardening", k=7, budget=20_000).lines) == 7


@pytest.mark.parametrize("order", ["relevance", "time"])
def test_any_history_gives_the_same_bytes_twice_within_the_budget_and_all_is_explained(order: str) -> None:
    chance = random.Random(order)
    with walnut.open("memory://", scope="global") as root:
        handles = [root.bind(scope=scope) for scope in ("user:a", "user:a/session:1", "user:b")]
        words = ["tea", "coffee", "train", "garden", "Oslo", "invoice", "[evt_", "\n", "猫", "7"]
        for _ in range(120):
            handle = chance.choice(handles)
            text = " ".join(chance.choices(words, k=chance.choice((3, 8, 300))))
            known = [each.lsn for each in handle.list(limit=5).items]
            handle.remember(
                text if text.strip() else "tea",
                source={"session": chance.choice("xy"), "speaker": chance.choice(["Ann", "- [evt_1]"])},
                occurred_at=f"2026-02-0{chance.randint(1, 3)}",
                caused_by=chance.sample(known, k=min(len(known), chance.randint(0, 2))),
            )
        for budget in (40, 120, 700, 5000):
            asked = {"budget": budget, "order": order, "neighbours": chance.randint(0, 2), "count": len}
            query = " ".join(chance.choices(words, k=3))
            for handle in handles:
                packed = handle.context(query, **asked)  # type: ignore[arg-type]
                assert handle.context(query, **asked) == packed  # type: ignore[arg-type]
                assert len(packed.text) == packed.tokens <= budget
                assert packed.text.count("[evt_") == len(set(packed.citations)) == len(packed.lines)
                sees = {record.event_id for record in handle.list(limit=500).items}
                assert set(packed.citations) <= sees
                for event_id in packed.citations:
                    assert handle.why(event_id).root.event_id == event_id


@pytest.mark.parametrize(
    ("where", "given"),
    [
        ("order", {"order": "best"}),
        ("neighbours", {"neighbours": -1}),
        ("neighbours", {"neighbours": 99}),
        ("count", {"count": 7}),
        ("budget", {"budget": 0}),
        ("k", {"k": 0}),
    ],
)
def test_a_wrong_argument_is_refused_by_name(where: str, given: dict[str, object]) -> None:
    with walnut.open("memory://") as m, pytest.raises(walnut.InvalidArgument) as raised:
        m.context("tea", **given)  # type: ignore[arg-type]
    assert raised.value.where == where
