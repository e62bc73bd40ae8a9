"""Scopes: reading looks up, governing looks down, and what lies outside answers exactly as if it did not exist."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import walnut
from walnut import Memory, NotFound, ScopeError, WalnutError

ABSENT_MEMORY = "mem_01ARZ3NDEKTSV4RRFFQ69G5FAV"
ABSENT_EVENT = "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"

#: Pairs of scopes that must not be taken for one another, or for one above the other.
STRANGERS = [
    ("user:alice", "user:bob"),
    ("user:alice", "user:alice2"),
    ("user:alice2", "user:alice"),
    ("user:alice", "User:Alice"),
    ("user:é", "user:e\u0301"),
    ("user:ﬁ", "user:fi"),
    ("a/b", "a/bc"),
    ("a/b", "a:b"),
    ("a/b", "a/c"),
    ("a%", "ab"),
    ("a_", "ab"),
    ("*", "a"),
    ("user:alice", "user:alice/session:1"),  # a descendant is governed, but not read
    ("' OR 1=1 --", "user:bob"),
    ('" OR "" = "', "user:bob"),
    ("..", "user:bob"),
    ("user:ali ce", "user:ali"),
    ("日本", "日"),
    ("global:x", "user:bob"),
]


@pytest.fixture(params=["memory", "files"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    url = "memory://" if request.param == "memory" else tmp_path / "store"
    with walnut.open(url, scope="global") as memory:
        yield memory


def answer(call: Callable[[], object]) -> object:
    """What came back, or the whole error."""
    try:
        return call()
    except WalnutError as error:
        return type(error), error.code, error.message, error.where, error.hint, vars(error)


def attempts(m: Memory, memory_id: str, event_id: str, lsn: int, key: str) -> dict[str, object]:
    """Everything a handle can do with an id, an LSN or a key, and what comes of it."""
    return {
        "get": answer(lambda: m.get(memory_id)),
        "get key": answer(lambda: m.get(key=key)),
        "history": answer(lambda: m.history(memory_id)),
        "why": answer(lambda: m.why(memory_id)),
        "why event": answer(lambda: m.why(event_id)),
        "forget": answer(lambda: m.forget(memory_id)),
        "forget version": answer(lambda: m.forget(memory_id, expected_version=lsn)),
        "update": answer(lambda: m.remember("x", memory_id=memory_id)),
        "update version": answer(lambda: m.remember("x", memory_id=memory_id, expected_version=1)),
        "caused by event": answer(lambda: m.remember("x", caused_by=[event_id])),
        "caused by memory": answer(lambda: m.remember("x", caused_by=[memory_id])),
        "caused by lsn": answer(lambda: m.remember("x", caused_by=[lsn])),
        "as of": answer(lambda: m.as_of(lsn=lsn if lsn < 100 else 1).get(memory_id)),
        "recall": answer(lambda: m.recall("secret plan")),
        "list": answer(lambda: m.list().items),
        "context": answer(lambda: m.context("secret plan").text),
    }


@pytest.mark.parametrize(("mine", "theirs"), STRANGERS)
def test_what_lies_outside_answers_as_if_it_did_not_exist(root: Memory, mine: str, theirs: str) -> None:
    root.remember("the first event is nobody's")
    other = root.bind(scope=theirs)
    secret = other.remember("a secret plan", key="plan", idempotency_key="once")
    me = root.bind(scope=mine)
    root.bind(scope="somewhere/else").remember("elsewhere")
    before = root.log.durable_lsn
    foreign = attempts(me, secret.memory_id or "", secret.event_id, secret.lsn, "plan")
    unknown = attempts(me, ABSENT_MEMORY, ABSENT_EVENT, 10**6, "no such key")
    assert {**foreign, "get key": None} == {**unknown, "get key": None}
    assert answer(lambda: me.get(key="plan")) == answer(lambda: me.get(key="no such key"))
    assert "secret plan" not in str(foreign)
    assert root.log.durable_lsn == before, "nothing was written by what was refused"
    own = me.remember("my own", key="plan", idempotency_key="once", expected_version=0)
    assert not own.replayed
    assert own.memory_id != secret.memory_id
    assert other.get(key="plan").text == "a secret plan"


def test_the_log_is_asked_the_same_number_of_times(root: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    root.remember("the first event is nobody's")
    secret = root.bind(scope="user:bob").remember("a secret plan", key="plan")
    me = root.bind(scope="user:alice")
    log = me._handle.store.log
    calls: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def counting(*args: object, **kwargs: object) -> object:
            calls.append(name)
            return original(*args, **kwargs)

        return counting

    for name in ("get", "stream", "last_touch", "find_idem"):
        monkeypatch.setattr(log, name, counted(name, getattr(log, name)))

    def reads(call: Callable[[], object]) -> list[str]:
        calls.clear()
        with pytest.raises(NotFound):
            call()
        return list(calls)

    theirs = secret.memory_id or ""
    pairs: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: me.get(theirs), lambda: me.get(ABSENT_MEMORY)),
        (lambda: me.history(theirs), lambda: me.history(ABSENT_MEMORY)),
        (lambda: me.forget(theirs), lambda: me.forget(ABSENT_MEMORY)),
        (lambda: me.remember("x", memory_id=theirs), lambda: me.remember("x", memory_id=ABSENT_MEMORY)),
        (lambda: me.remember("x", caused_by=[theirs]), lambda: me.remember("x", caused_by=[ABSENT_MEMORY])),
        (
            lambda: me.remember("x", caused_by=[secret.event_id]),
            lambda: me.remember("x", caused_by=[ABSENT_EVENT]),
        ),
        (lambda: me.remember("x", caused_by=[secret.lsn]), lambda: me.remember("x", caused_by=[10**6])),
        (lambda: me.log.locate(secret.lsn), lambda: me.log.locate(10**6)),
        (lambda: me.log.locate(secret.event_id), lambda: me.log.locate(ABSENT_EVENT)),
    ]
    for foreign, unknown in pairs:
        assert reads(foreign) == reads(unknown)


def test_reading_looks_up_nearest_first(root: Memory) -> None:
    org, user = root.bind(scope="org:acme"), root.bind(scope="org:acme/user:alice")
    for m, text in ((root, "global default"), (org, "company rule"), (user, "own wish")):
        m.remember(f"{text} about invoices", key="invoices")
    assert user.get(key="invoices").text.startswith("own")
    assert org.get(key="invoices").text.startswith("company")
    assert root.get(key="invoices").text.startswith("global")
    assert [r.text[:3] for r in user.list().items] == ["own"], "of equal keys the nearest scope's only"
    assert [h.text[:3] for h in user.recall("default rule wish about invoices")] == ["own"]
    user.forget(user.get(key="invoices").memory_id)
    assert user.get(key="invoices").text.startswith("company")
    assert [h.text[:7] for h in user.recall("invoices")] == ["company"]


def test_a_shadowed_memory_is_hidden_even_where_the_nearer_one_does_not_match(root: Memory) -> None:
    root.remember("format: parquet", key="format")
    user = root.bind(scope="user:alice")
    user.remember("exports as csv", key="format")
    assert user.recall("parquet", mode="keyword") == []
    assert [h.text for h in user.recall("parquet")] == ["exports as csv"]  # near in meaning, and all there is to see
    assert [h.text for h in root.recall("parquet")] == ["format: parquet"]


def test_below_also_reads_descendants(root: Memory) -> None:
    for scope in ("user:alice", "user:alice/session:1", "user:alice2"):
        root.bind(scope=scope).remember(f"tea for {scope}", key="drink")
    alice = root.bind(scope="user:alice")
    assert {r.scope for r in alice.list(below=True).items} == {"user:alice", "user:alice/session:1"}
    assert {h.scope for h in alice.recall("tea", below=True)} == {"user:alice", "user:alice/session:1"}
    assert len(root.list(below=True).items) == 3


def test_ancestors_are_read_not_written(root: Memory) -> None:
    shared = root.remember("shared", key="x")
    user = root.bind(scope="user:alice")
    assert user.get(shared.memory_id).text == "shared"
    with pytest.raises(NotFound):
        user.forget(shared.memory_id or "")
    with pytest.raises(NotFound):
        user.remember("mine", memory_id=shared.memory_id)
    assert user.remember("mine", caused_by=[shared]).lsn == 2


def test_governing_looks_down(root: Memory) -> None:
    alice, bob = root.bind(scope="user:alice"), root.bind(scope="user:bob")
    session = alice.bind(scope="user:alice/session:1")
    acks = [m.remember("note") for m in (root, alice, bob, session)]
    assert [e.lsn for e in root.log.read()] == [1, 2, 3, 4]
    assert [e.lsn for e in alice.log.read()] == [2, 4]
    assert [e.lsn for e in session.log.tail(after=0, timeout=0)] == [4]
    assert [item.lsn for item in alice.plan_revert(kinds=["memory.write"]).items] == [2, 4]
    assert (root.upkeep.stats().memories, alice.upkeep.stats().memories, session.upkeep.stats().memories) == (4, 2, 1)
    assert alice.log.locate(4).lsn == 4
    assert alice.log.locate(f"walnut://user:alice/session:1/{acks[3].memory_id}@4").lsn == 4
    for address in (1, 3, acks[2].event_id, f"walnut://user:bob/{acks[2].memory_id}@3"):
        with pytest.raises(NotFound):
            alice.log.locate(address)
    for wrong in (f"walnut://user:alice/{acks[3].memory_id}@4", f"walnut://user:alice/{acks[1].memory_id}@4"):
        with pytest.raises(NotFound):
            alice.log.locate(wrong)


@pytest.mark.parametrize(("bound", "stranger"), [("user:alice", "user:alice2"), ("a/b", "a/bc")])
def test_what_one_governs_is_told_by_whole_segments(root: Memory, bound: str, stranger: str) -> None:
    m, other, below = root.bind(scope=bound), root.bind(scope=stranger), root.bind(scope=f"{bound}/x")
    for handle in (m, other, below):
        handle.remember("note", source={"channel": "chat"})
    assert [event.lsn for event in m.log.read()] == [1, 3]
    assert [item.lsn for item in m.plan_revert(source={"channel": "chat"}).items] == [1, 3]
    assert sorted(record.lsn for record in m.list(below=True).items) == [1, 3]
    assert sorted(hit.lsn for hit in m.recall("note", below=True)) == [1, 3]
    with pytest.raises(NotFound):
        m.log.locate(2)
    with pytest.raises(ScopeError):
        m.bind(scope=stranger)
    m.apply(m.plan_revert(kinds=["memory.write"]))
    assert [record.lsn for record in other.list().items] == [2]


def test_a_plan_of_another_scope_or_one_tampered_with_is_refused(root: Memory) -> None:
    import msgspec

    alice = root.bind(scope="user:alice")
    alice.remember("one")
    root.bind(scope="user:bob").remember("theirs")
    wide = root.plan_revert(kinds=["memory.write"])
    with pytest.raises(ScopeError):
        alice.apply(wide)
    forged = msgspec.structs.replace(wide, scope="user:alice")
    own = alice.plan_revert(kinds=["memory.write"])
    for plan in (forged, msgspec.structs.replace(own, ranges=((1, 2),)), msgspec.structs.replace(own, lsn=10**6)):
        with pytest.raises(walnut.StalePlan):
            alice.apply(plan)
    with pytest.raises(walnut.InvalidArgument):
        alice.apply("plan")  # type: ignore[arg-type]
    assert alice.apply(own).lsn == 3
    assert len(root.list(below=True).items) == 1
