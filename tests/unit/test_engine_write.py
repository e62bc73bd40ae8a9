"""Writing through a handle: new memories, versions, retractions, idempotency, conditions, notes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import walnut
from walnut import IdempotencyConflict, InvalidArgument, Memory, NotFound, StoreClosed, VersionConflict
from walnut.engine import keys, parse


@pytest.fixture(params=["memory", "files"])
def m(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    url = "memory://" if request.param == "memory" else tmp_path / "store"
    with walnut.open(url, scope="user:alice", actor="agent:teddy") as memory:
        yield memory


def kinds(m: Memory) -> list[str]:
    return [event.kind for event in m.log.read()]


def test_without_key_or_id_it_is_always_a_new_memory(m: Memory) -> None:
    one, two = m.remember("tea"), m.remember("tea")
    assert one.memory_id != two.memory_id
    assert (one.lsn, one.version, two.lsn) == (1, 1, 2)
    assert [event.op for event in m.log.read()] == ["INSERT", "INSERT"]


def test_a_key_or_an_id_makes_a_new_version_that_inherits_nothing(m: Memory) -> None:
    one = m.remember("tea", key="drink", tags=["hot"], confidence=0.5)
    two = m.remember("coffee", key="drink")
    three = m.remember("water", memory_id=one.memory_id)
    assert one.memory_id == two.memory_id == three.memory_id
    assert [(event.op, event.before_lsn) for event in m.log.read()] == [("INSERT", None), ("UPDATE", 1), ("UPDATE", 2)]
    assert kinds(m) == ["memory.write", "memory.update", "memory.update"]
    assert [event.content.payload for event in m.log.read(after=1) if event.content] == [
        {"text": "coffee", "key": "drink"},
        {"text": "water"},
    ]


def test_key_and_id_must_agree(m: Memory) -> None:
    keyed, other = m.remember("tea", key="drink"), m.remember("x")
    assert m.remember("coffee", key="drink", memory_id=keyed.memory_id).memory_id == keyed.memory_id
    with pytest.raises(InvalidArgument):
        m.remember("coffee", key="drink", memory_id=other.memory_id)


def test_an_unknown_or_forgotten_memory_is_not_found(m: Memory) -> None:
    gone = m.remember("tea")
    assert gone.memory_id is not None
    assert m.forget(gone.memory_id).lsn == 2
    for memory_id in (gone.memory_id, "mem_01ARZ3NDEKTSV4RRFFQ69G5FAV", "mem_x", "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        with pytest.raises(NotFound):
            m.remember("coffee", memory_id=memory_id)
        with pytest.raises(NotFound):
            m.forget(memory_id)
    assert m.log.durable_lsn == 2


def test_a_scheduled_or_expired_memory_can_still_be_changed_and_forgotten(m: Memory) -> None:
    for given in ({"valid_from": "2200-01-01"}, {"valid_from": "2020-01-01", "valid_until": "2020-01-02"}):
        ack = m.remember("tea", **given)  # type: ignore[arg-type]
        assert ack.memory_id is not None
        m.remember("coffee", memory_id=ack.memory_id, **given)  # type: ignore[arg-type]
        m.forget(ack.memory_id)


def test_expected_version_refuses_what_came_between(m: Memory) -> None:
    one = m.remember("tea", key="drink", expected_version=0)
    with pytest.raises(VersionConflict) as caught:
        m.remember("coffee", key="drink", expected_version=0)
    assert caught.value.current == one.version
    two = m.remember("coffee", key="drink", expected_version=one.version)
    for version in (one.version, 99):
        with pytest.raises(VersionConflict) as caught:
            m.remember("water", key="drink", expected_version=version)
        assert caught.value.current == two.version
    with pytest.raises(VersionConflict):
        m.remember("new", key="other", expected_version=two.version)
    assert one.memory_id is not None
    with pytest.raises(VersionConflict):
        m.forget(one.memory_id, expected_version=one.version)
    assert m.forget(one.memory_id, expected_version=two.version).lsn == 3


def test_of_many_writers_with_the_same_expectation_one_wins(m: Memory) -> None:
    first = m.remember("0", key="counter")

    def write(number: int) -> int:
        try:
            return m.remember(str(number), key="counter", expected_version=first.version).lsn
        except VersionConflict:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(lsn > 0 for lsn in pool.map(write, range(32))) == 1


def test_of_many_forgets_one_wins_and_the_others_find_nothing(m: Memory) -> None:
    memory_id = m.remember("tea").memory_id or ""

    def forget(_: int) -> bool:
        try:
            m.forget(memory_id)
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(forget, range(16))) == 1
    assert kinds(m).count("memory.delete") == 1


def test_L11_the_same_request_writes_once_across_handles(m: Memory) -> None:
    def write(handle: Memory) -> walnut.Ack:
        return handle.remember(
            "tea", ttl="90d", data={"b": 1, "a": 2}, idempotency_key="telegram:m7", durability="process"
        )

    first = write(m)
    again = write(m.bind(actor="agent:other"))
    assert (again.lsn, again.event_id, again.memory_id) == (first.lsn, first.event_id, first.memory_id)
    assert (first.replayed, again.replayed, again.reverted, again.durability) == (False, True, False, "disk")
    assert m.remember("tea", ttl="2160h", data={"a": 2, "b": 1}, idempotency_key="telegram:m7").replayed
    with pytest.raises(IdempotencyConflict) as caught:
        m.remember("coffee", idempotency_key="telegram:m7")
    assert caught.value.lsn == first.lsn
    below = m.bind(scope="user:alice/session:1").remember("coffee", idempotency_key="telegram:m7")
    assert not below.replayed, "idempotency keys are a namespace of each scope"


def test_L11_many_threads_redelivering_write_once(m: Memory) -> None:
    with ThreadPoolExecutor(8) as pool:
        acks = list(pool.map(lambda _: m.remember("tea", idempotency_key="k"), range(32)))
    assert {ack.lsn for ack in acks} == {1}
    assert sum(not ack.replayed for ack in acks) == 1


def test_L11_a_redelivered_change_is_replayed_after_the_memory_is_gone(m: Memory) -> None:
    memory_id = m.remember("tea").memory_id or ""
    changed = m.remember("coffee", memory_id=memory_id, expected_version=1, idempotency_key="u")
    gone = m.forget(memory_id, idempotency_key="f")
    assert m.forget(memory_id, idempotency_key="f") == walnut.Ack(
        lsn=gone.lsn,
        event_id=gone.event_id,
        durability="disk",
        memory_id=memory_id,
        version=gone.version,
        replayed=True,
    )
    again = m.remember("coffee", memory_id=memory_id, expected_version=1, idempotency_key="u")
    assert (again.lsn, again.replayed) == (changed.lsn, True)


def test_a_request_hash_is_of_the_request_alone() -> None:
    def hashed(**given: object) -> bytes:
        return keys.request(b"s" * 32, parse.remember("tea", **given))  # type: ignore[arg-type]

    assert hashed(data={"a": 1, "b": 2}) == hashed(data={"b": 2, "a": 1}, idempotency_key="k")
    assert hashed(ttl="90d") == hashed(ttl="2160h")
    assert len({hashed(), hashed(tags=["x"]), hashed(key="x"), hashed(memory_id="x"), hashed(confidence=0)}) == 5
    assert keys.request(b"t" * 32, parse.remember("tea")) != hashed()


def test_remember_many_is_one_frame_of_own_transactions(m: Memory) -> None:
    acks = m.remember_many({"text": f"note {n}", "key": f"k{n % 2}"} for n in range(4))
    assert [ack.lsn for ack in acks] == [1, 2, 3, 4]
    assert acks[0].memory_id == acks[2].memory_id
    assert [event.txn for event in m.log.read()] == [1, 2, 3, 4]
    assert m.remember_many([]) == []


def test_remember_many_is_all_or_nothing(m: Memory) -> None:
    m.remember("tea", key="drink")
    for bad, error in (
        ({"text": "x", "key": "drink", "expected_version": 0}, VersionConflict),
        ({"text": "x", "memory_id": "mem_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, NotFound),
        ({"text": "x", "caused_by": [99]}, NotFound),
    ):
        with pytest.raises(error):
            m.remember_many([{"text": "fine"}, bad])
    with pytest.raises(VersionConflict):
        m.remember_many([{"text": "one", "key": "new"}, {"text": "two", "key": "new", "expected_version": 0}])
    assert m.log.durable_lsn == 1


def test_remember_many_takes_ten_thousand_and_refuses_what_no_frame_holds(m: Memory) -> None:
    assert len(m.remember_many({"text": f"note {n}"} for n in range(10_000))) == 10_000
    with pytest.raises(InvalidArgument) as caught:
        m.remember_many({"text": "x" * 1_000_000} for _ in range(40))
    assert caught.value.where == "items"
    assert m.log.durable_lsn == 10_000


def test_causes_are_kept_as_lsns(m: Memory) -> None:
    one = m.remember("tea", key="drink")
    two = m.remember("coffee", key="drink")
    ack = m.remember("hot drinks", caused_by=[one, two.lsn, one.event_id, one.memory_id or "", m.get(key="drink")])
    event = list(m.log.read(after=ack.lsn - 1))[-1]
    assert event.content is not None
    assert event.content.caused_by == (one.lsn, two.lsn)
    for unknown in (99, "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "mem_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"):
        with pytest.raises(NotFound):
            m.remember("x", caused_by=[unknown])


def test_a_write_at_process_is_seen_by_what_builds_on_it(m: Memory) -> None:
    one = m.remember("tea", key="drink", durability="process")
    assert one.durability == "process"
    two = m.remember("coffee", memory_id=one.memory_id, expected_version=one.version, durability="process")
    m.remember("x", caused_by=[two], durability="process")
    assert m.get(key="drink").text == "coffee"


def shown(m: Memory) -> list[object]:
    return [e.content.payload["shown"] for e in m.log.read() if e.kind == "memory.recalled" and e.content]


def test_what_was_shown_is_written_in_the_frame_of_the_next_write(m: Memory) -> None:
    tea = m.remember("tea is hot")
    m.recall("tea")
    m.context("tea")
    assert shown(m) == []
    m.remember("noted")
    assert shown(m) == [[tea.lsn]]
    assert [(e.kind, e.txn) for e in m.log.read(after=1)] == [("memory.recalled", 2), ("memory.write", 2)]
    m.remember("nothing was shown since")
    assert len(shown(m)) == 1


def test_T4_what_a_context_shows_is_noted_as_well(m: Memory) -> None:
    tea = m.remember("tea is hot")
    assert tea.event_id in m.context("tea").text
    m.remember("noted")
    assert shown(m) == [[tea.lsn]]


def test_L1_an_ack_names_the_durability_that_was_reached(m: Memory) -> None:
    assert m.remember("on disk", idempotency_key="k").durability == "disk"
    assert m.remember("written", durability="process").durability == "process"
    assert [ack.durability for ack in m.remember_many([{"text": "a"}], durability="process")] == ["process"]
    again = m.remember("on disk", idempotency_key="k", durability="process")
    assert (again.replayed, again.durability) == (True, "disk")


def test_a_note_survives_a_refused_and_a_replayed_write(m: Memory) -> None:
    tea = m.remember("tea is hot", key="drink", idempotency_key="k")
    m.recall("tea")
    with pytest.raises(VersionConflict):
        m.remember("x", key="drink", expected_version=0)
    assert m.remember("tea is hot", key="drink", idempotency_key="k").replayed
    assert shown(m) == []
    m.remember("x")
    assert shown(m) == [[tea.lsn]]


def test_each_handle_has_its_own_note_and_close_writes_it(m: Memory) -> None:
    tea = m.remember("tea is hot")
    other = m.bind(actor="agent:other")
    other.recall("tea")
    m.as_of(lsn=1).recall("tea")
    other.close()
    m.remember("x")
    notes = [e.content for e in m.log.read() if e.kind == "memory.recalled" and e.content]
    assert [(note.actor, note.payload["shown"]) for note in notes] == [
        ("agent:other", [tea.lsn]),
        ("agent:teddy", [tea.lsn]),
    ]


def test_a_closed_handle_says_so_and_closes_again(m: Memory) -> None:
    bound = m.bind(scope="user:alice/session:1")
    bound.close()
    bound.close()
    m.remember("the others go on")
    m.close()
    m.close()
    uses: list[Callable[[], object]] = [
        lambda: m.remember("x"),
        lambda: m.remember_many([{"text": "x"}]),
        lambda: m.recall("x"),
        lambda: m.get(key="x"),
        m.list,
        lambda: m.log.durable_lsn,
        m.log.read,
        m.bind,
        lambda: m.as_of(lsn=0),
        m.wait,
        m.upkeep.stats,
        lambda: bound.remember("x"),
    ]
    for use in uses:
        with pytest.raises(StoreClosed):
            use()


def test_V5_a_handle_sees_what_it_wrote_at_process_before_a_replay_of_the_same_batch(tmp_path: Path) -> None:
    with walnut.open(str(tmp_path / "store")) as m:
        m.remember("known", idempotency_key="k")
        items = [{"text": "new"}, {"text": "known", "idempotency_key": "k"}]
        new, known = m.remember_many(items, durability="process")
        assert known.replayed
        assert new.lsn > known.lsn
        assert {each.text for each in m.list().items} == {"new", "known"}
