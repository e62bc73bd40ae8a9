"""Reading through a handle: moments, pages, histories, and answers checked against the log."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import walnut
from walnut import InvalidArgument, Memory, NotFound
from walnut.recall import rank


@pytest.fixture(params=["memory", "files"])
def m(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    url = "memory://" if request.param == "memory" else tmp_path / "store"
    with walnut.open(url, scope="user:alice") as memory:
        yield memory


def texts(found: walnut.Page | list[walnut.Hit]) -> list[str]:
    return [record.text for record in (found.items if isinstance(found, walnut.Page) else found)]


def test_a_record_tells_what_was_remembered(m: Memory) -> None:
    cause = m.remember("raw")
    ack = m.remember(
        "Prefers CSV",
        key="format",
        tags=["preference", "billing", "preference"],
        confidence=0.8,
        ttl="90d",
        data={"n": [1, None, True, 2.5]},
        source={"channel": "telegram", "message_id": "m7"},
        subject="person:1",
        occurred_at="2026-02-01T12:00:00+02:00",
        valid_until=datetime(2999 - 800, 1, 1, tzinfo=UTC),
        caused_by=[cause],
    )
    record = m.get(key="format")
    assert record == m.get(ack.memory_id)
    assert (record.lsn, record.version, record.event_id) == (ack.lsn, ack.version, ack.event_id)
    assert (record.scope, record.actor, record.subject) == ("user:alice", "agent:default", "person:1")
    assert record.tags == ("preference", "billing")
    assert (record.confidence, record.data, record.caused_by) == (0.8, {"n": [1, None, True, 2.5]}, (cause.lsn,))
    assert record.source == {"channel": "telegram", "message_id": "m7"}
    assert record.occurred_at == record.valid_from == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert record.expires_at == record.recorded_at + timedelta(days=90)


def test_T2_as_of_an_lsn_a_time_or_before_everything(m: Memory) -> None:
    one = m.remember("tea", key="drink")
    then = m.get(key="drink").recorded_at
    m.remember("coffee", key="drink")
    m.forget(one.memory_id or "")
    with pytest.raises(NotFound):
        m.get(key="drink")
    for past in (m.as_of(lsn=1), m.as_of(system_time=then)):
        assert past.lsn == 1
        assert past.get(key="drink").text == "tea"
        assert texts(past.recall("tea")) == ["tea"]
        assert texts(past.list()) == ["tea"]
        assert [v.state for v in past.history(one.memory_id or "")] == ["current"]
    assert m.as_of(lsn=2).get(key="drink").text == "coffee"
    for start in (m.as_of(lsn=0), m.as_of(system_time="1999-01-01")):
        assert (start.lsn, start.recall("tea"), start.list().items) == (0, [], ())
        with pytest.raises(NotFound):
            start.get(one.memory_id)
        with pytest.raises(NotFound):
            start.history(one.memory_id or "")
        with pytest.raises(NotFound):
            start.why(one.event_id)
        assert start.context("tea").hits == ()
    future = m.as_of(system_time="2200-01-01")
    assert (future.lsn, future.list().items) == (3, ())


def test_a_time_to_live_ends_by_the_moment_that_is_asked_about(m: Memory) -> None:
    m.remember("tea", key="drink", ttl="1d")
    assert m.get(key="drink").text == "tea"
    with pytest.raises(NotFound):
        m.as_of(valid_time=datetime.now(UTC) + timedelta(days=2)).get(key="drink")


def test_a_time_to_live_is_counted_from_when_it_was_recorded(m: Memory) -> None:
    m.remember("told late", key="past", ttl="1d", occurred_at="1980-01-01")
    m.remember("told early", key="future", ttl="1d", occurred_at=datetime.now(UTC) + timedelta(days=5))
    assert m.get(key="past").text == "told late"
    after = m.as_of(valid_time=datetime.now(UTC) + timedelta(days=6))
    assert [record.key for record in after.list().items] == []


def test_T1_what_was_true_then_is_still_known(m: Memory) -> None:
    paris = m.remember("lives in Paris", key="home", valid_from="2026-01-01")
    m.remember("lives in Berlin", key="home", valid_from="2020-01-01")
    assert m.get(key="home").text == "lives in Paris"
    assert m.as_of(valid_time="2025-06-01").get(key="home").text == "lives in Berlin"
    assert m.as_of(valid_time=m.get(key="home").valid_from).get(key="home").text == "lives in Paris"
    assert m.as_of(valid_time="2027-01-01", lsn=1).get(key="home").text == "lives in Paris"
    assert [v.state for v in m.history(paris.memory_id or "")] == ["current", "superseded"]


def test_pages_go_on_where_they_ended_whatever_is_written_meanwhile(m: Memory) -> None:
    m.remember_many({"text": f"note {n}", "tags": ["even" if n % 2 == 0 else "odd"]} for n in range(25))
    page = m.list(limit=10, tags=["even"])
    seen = texts(page)
    m.remember("new", tags=["even"])
    m.forget(m.as_of(lsn=1).list().items[0].memory_id)
    while page.cursor is not None:
        page = m.list(limit=10, tags=["even"], cursor=page.cursor)
        seen += texts(page)
    assert seen == [f"note {n}" for n in range(24, -1, -2)]
    assert page.lsn == 25


def test_a_cursor_of_another_listing_is_refused(m: Memory) -> None:
    m.remember_many({"text": f"note {n}"} for n in range(3))
    cursor = m.list(limit=1).cursor
    assert cursor is not None
    assert m.list(limit=2, cursor=cursor).items[0].text == "note 1"
    broken = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    for handle, token, tags in ((m, cursor, ["x"]), (m.bind(scope="user:alice/s"), cursor, []), (m, broken, [])):
        with pytest.raises(InvalidArgument) as caught:
            handle.list(cursor=token, tags=tags)
        assert caught.value.where == "cursor"


def test_a_history_tells_the_state_of_every_version(m: Memory) -> None:
    ack = m.remember("one", key="k")
    bad = m.remember("two", key="k")
    m.apply(m.plan_revert(events=[bad]))
    m.remember("three", key="k")
    m.forget(ack.memory_id or "")
    m.remember("four", key="k")
    m.remember("five", key="k", valid_from="2200-01-01")
    history = m.history(ack.memory_id or "")
    assert [(v.kind.partition(".")[2], v.state, v.memory.text if v.memory else None) for v in history] == [
        ("write", "deleted", "one"),
        ("update", "reverted", "two"),
        ("reverted", "current", None),
        ("update", "deleted", "three"),
        ("delete", "deleted", None),
        ("update", "current", "four"),
        ("update", "scheduled", "five"),
    ]


def test_a_history_by_key_is_there_also_when_the_memory_is_gone(m: Memory) -> None:
    ack = m.remember("one", key="k")
    session = m.bind(scope="user:alice/s")
    m.forget(ack)
    with pytest.raises(NotFound):
        m.get(key="k")
    for handle in (m, session):
        assert [v.state for v in handle.history(key="k")] == ["deleted", "deleted"]
    session.remember("nearer", key="k")
    assert [v.state for v in session.history(key="k")] == ["current"]
    assert [v.state for v in m.as_of(lsn=ack.lsn).history(key="k")] == ["current"]
    with pytest.raises(NotFound) as caught:
        m.history(key="other")
    assert caught.value.where == "key"
    with pytest.raises(InvalidArgument):
        m.history()
    with pytest.raises(InvalidArgument):
        m.history(ack, key="k")


def test_a_memory_is_named_by_its_id_or_by_what_holds_it(m: Memory) -> None:
    ack = m.remember("Likes tea")
    (hit,) = m.recall("tea")
    record = m.get(hit)
    assert record == m.get(ack) == m.get(ack.memory_id)
    again = m.remember("Likes coffee", memory_id=record, idempotency_key="i")
    assert again.memory_id == ack.memory_id
    assert m.remember("Likes coffee", memory_id=ack.memory_id, idempotency_key="i").replayed
    assert [v.lsn for v in m.history(hit)] == [v.lsn for v in m.history(ack.memory_id)]
    assert m.forget(hit).memory_id == ack.memory_id
    none = msgspec.structs.replace(ack, memory_id=None)
    for call in (m.get, m.history, m.forget):
        with pytest.raises(InvalidArgument) as caught:
            call(none)
        assert caught.value.where == "memory_id"


def test_L11_T5_a_redelivered_reverted_event_says_so(m: Memory) -> None:
    first = m.remember("poison", idempotency_key="k")
    undo = m.apply(m.plan_revert(events=[first]))
    again = m.remember("poison", idempotency_key="k")
    assert (again.lsn, again.replayed, again.reverted) == (first.lsn, True, True)
    m.apply(m.plan_revert(events=[undo]))
    assert not m.remember("poison", idempotency_key="k").reverted
    assert m.get(first.memory_id).text == "poison"


def test_T3_a_revert_shows_what_was_before_and_can_be_reverted(m: Memory) -> None:
    m.remember("tea", key="drink")
    coffee = m.remember("coffee", key="drink", source={"conversation_id": "c1"})
    plan = m.plan_revert(session="c1")
    assert m.get(key="drink").text == "coffee", "a plan does nothing"
    undo = m.apply(plan)
    record = m.get(key="drink")
    assert (record.text, record.lsn, record.version) == ("tea", 1, undo.lsn)
    with pytest.raises(walnut.VersionConflict):
        m.remember("water", key="drink", expected_version=coffee.version)
    m.apply(m.plan_revert(events=[undo]))
    assert m.get(key="drink").text == "coffee"


def test_a_stale_plan_is_refused(m: Memory) -> None:
    ack = m.remember("tea", key="drink")
    other = m.remember("poison", source={"conversation_id": "c1"})
    touched, selected = m.plan_revert(events=[ack]), m.plan_revert(session="c1")
    unrelated = m.plan_revert(events=[other])
    m.remember("coffee", key="drink")
    m.remember("more poison", source={"conversation_id": "c1"})
    for plan in (touched, selected):
        with pytest.raises(walnut.StalePlan):
            m.apply(plan)
    m.apply(unrelated)
    with pytest.raises(walnut.WalnutError):
        m.apply(unrelated)


def test_V5_a_handle_reads_its_own_writes_at_once(m: Memory) -> None:
    for n in range(20):
        m.remember(f"note {n}", key="k", durability="process" if n % 2 else "disk")
        assert m.get(key="k").text == f"note {n}"
    assert m.wait() == 20
    assert texts(m.recall("note", min_lsn=20)) == ["note 19"]


def test_V5_an_lsn_that_never_comes_is_a_lag(m: Memory) -> None:
    m.remember("tea")
    with pytest.raises(walnut.ViewLag):
        m.wait(99, timeout=0.01)


def views_of(folder: Path) -> sqlite3.Connection:
    (path,) = (folder / "views").glob("*.db")
    return sqlite3.connect(path)


#: A lie told by the tables of the view, by the name of what it hides, brings back or shows.
LIES = {
    "hides the newest version": "DELETE FROM versions WHERE lsn = 3",
    "hides a version that starts later": "DELETE FROM versions WHERE lsn = 6",
    "brings back what was forgotten": "DELETE FROM forgets",
    "shows a secret": "UPDATE versions SET scope = (SELECT scope FROM versions WHERE lsn = 2) WHERE lsn = 1",
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("by", ["get", "list", "recall"])
def test_V4_a_view_that_lies_is_not_believed(tmp_path: Path, lie: str, by: str) -> None:
    with walnut.open(tmp_path / "s", scope="user:alice") as m:
        secret = m.bind(scope="user:alice/private").remember("secret plan")
        m.remember("tea", key="drink")
        m.remember("coffee", key="drink")
        gone = m.remember("cocoa")
        m.forget(gone.memory_id or "")
        m.remember("lives in Paris", key="home", valid_from="2026-01-01")
        m.remember("lives in Berlin", key="home", valid_from="2020-01-01")
        assert len(m.list().items) == 2
        with views_of(tmp_path / "s") as db:
            assert db.execute(LIES[lie]).rowcount == 1
        db.close()
        if by == "get":
            for memory_id in (secret.memory_id, gone.memory_id):
                with pytest.raises(NotFound):
                    m.get(memory_id)
            assert (m.get(key="drink").text, m.get(key="home").text) == ("coffee", "lives in Paris")
        elif by == "list":
            assert set(texts(m.list())) <= {"coffee", "lives in Paris"}
        else:
            assert set(texts(m.recall("secret plan tea coffee cocoa Paris Berlin"))) <= {"coffee", "lives in Paris"}


def test_V4_a_damaged_view_file_is_built_anew(tmp_path: Path) -> None:
    with walnut.open(tmp_path / "s") as m:
        m.remember("tea", key="drink")
    for path in (tmp_path / "s" / "views").glob("*.db*"):
        path.write_bytes(b"\xff" * 20_000)
    with walnut.open(tmp_path / "s") as m:
        assert m.get(key="drink").text == "tea"


@pytest.mark.parametrize(
    "rot",
    [
        "UPDATE text_docs SET says = 'many'",
        "UPDATE text_docs SET body = x'00'",
        "UPDATE text_docs SET forms = x''",
        "UPDATE text_docs SET newest = 'late'",
        "UPDATE versions SET memory = 7",
    ],
)
def test_V4_rows_of_another_kind_than_was_written_are_found_and_healed(tmp_path: Path, rot: str) -> None:
    with walnut.open(tmp_path) as m:
        m.remember_many([{"text": f"tea number {n}", "source": {"session": "s"}} for n in range(5)])
        right = m.recall("tea", explain=True)
    (file,) = (tmp_path / "views").glob("*.db")
    with sqlite3.connect(file) as db:
        db.execute(rot)
    db.close()
    with walnut.open(tmp_path) as m:
        m.recall("tea")
        assert m.recall("tea", explain=True) == right
        assert all(check.ok for check in m.upkeep.verify_views())


@pytest.mark.parametrize("error", [ValueError("ours"), TypeError("ours"), KeyError("ours")])
def test_V4_an_error_of_ours_is_no_damage_of_the_views(
    m: Memory, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> float:
        raise error

    m.remember("tea")
    before = m.recall("tea")
    live = m._handle.store.views._live
    with monkeypatch.context() as patched:
        patched.setattr(rank, "recency", failing)
        for _ in range(2):
            with pytest.raises(type(error)) as raised:
                m.recall("tea")
            assert raised.value is error
    generation = live._good
    assert m.recall("tea") == before
    assert live._good == generation
    assert generation[1] == 1
