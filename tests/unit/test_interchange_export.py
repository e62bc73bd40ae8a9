"""Export: lossless; an empty store becomes the same store, any other one answers the same under other LSNs."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import walnut
from walnut.errors import FormatTooNew, ImportRejected, InvalidArgument, ScopeError, WalnutError
from walnut.interchange import ImportReport, export_file, import_file

SCOPES = ("user:a", "user:a/session:1", "user:b")

actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("remember"),
            st.sampled_from(SCOPES),
            st.fixed_dictionaries(
                {},
                optional={
                    "key": st.sampled_from(["k1", "k2"]),
                    "tags": st.sampled_from([["x"], ["x", "y"]]),
                    "confidence": st.sampled_from([0.25, 1.0]),
                    "ttl": st.just("90d"),
                    "data": st.sampled_from([{"a": [1, 2.0, None]}, 2**63]),
                    "source": st.sampled_from([{"session": "s"}, {"conversation_id": "c", "turn": 1}]),
                    "occurred_at": st.sampled_from(["2026-01-01", "2020-01-01T00:00:00.123456Z"]),
                    "valid_until": st.just("2200-01-01"),
                    "idempotency_key": st.sampled_from(["i1", "i2"]),
                },
            ),
        ),
        st.tuples(st.just("derive"), st.sampled_from(SCOPES), st.integers(0, 9)),
        st.tuples(st.just("update"), st.sampled_from(SCOPES), st.integers(0, 9)),
        st.tuples(st.just("forget"), st.sampled_from(SCOPES), st.integers(0, 9)),
        st.tuples(st.just("revert"), st.sampled_from(("global", *SCOPES)), st.integers(0, 9)),
        st.tuples(st.just("recall"), st.sampled_from(SCOPES), st.none()),
    ),
    max_size=12,
)


def play(root: walnut.Memory, script: list[Any]) -> None:
    for number, (verb, scope, given_) in enumerate(script):
        handle = root.bind(scope=scope)
        records = handle.list().items
        chosen = records[given_ % len(records)] if records and isinstance(given_, int) else None
        try:
            if verb == "remember":
                handle.remember(f"fact {number} tea", **given_)
            elif verb == "recall":
                handle.recall("tea")
            elif verb == "revert" and root.log.durable_lsn:
                handle.apply(handle.plan_revert(events=[1 + given_ % root.log.durable_lsn]))
            elif chosen is not None and verb == "derive":
                handle.remember(f"derived {number}", caused_by=[chosen])
            elif chosen is not None and verb == "update":
                handle.remember(f"version {number}", memory_id=chosen.memory_id)
            elif chosen is not None and verb == "forget":
                handle.forget(chosen.memory_id)
        except WalnutError:
            pass  # a conflict, an id of another scope, nothing to undo: also a history


def answers(root: walnut.Memory, scope: str) -> list[dict[str, Any]]:
    """Everything a handle at a scope reads, but for ids and LSNs, which a store may give anew."""
    reader = root.bind(scope=scope)
    found = []
    for record in reader.list(limit=1000).items:
        told = msgspec.to_builtins(record)
        states = [
            (version.state, version.memory and version.memory.text) for version in reader.history(record.memory_id)
        ]
        why = [step.text for step in reader.why(record).root.steps]
        for name in ("lsn", "version", "memory_id", "caused_by", "recorded_at", "expires_at", "valid_until"):
            told.pop(name)
        found.append({**told, "states": states, "why": why})
    return found


def envelopes(memory: walnut.Memory) -> list[tuple[object, ...]]:
    return [
        (e.lsn, e.id, e.recorded_at, e.kind, e.op, e.txn, e.touches, e.before_lsn, e.idem, e.content)
        for e in memory.log.read()
    ]


def copy(source: walnut.Memory, target: walnut.Memory, folder: Path) -> ImportReport:
    path = folder / "export.jsonl"
    export_file(source, path, force=True)
    report = import_file(target, path)
    again = import_file(target, path)
    assert again.written == 0
    assert again.already <= sum(report.found.values())
    return report


@given(script=actions)
@settings(max_examples=40)
def test_an_empty_store_becomes_the_same_store(script: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    with walnut.open("memory://", scope="global") as one, walnut.open("memory://", scope="global") as two:
        play(one, script)
        report = copy(one, two, tmp_path_factory.getbasetemp())
        assert report.adopted
        assert envelopes(one) == envelopes(two)
        for scope in SCOPES:
            assert one.bind(scope=scope).list() == two.bind(scope=scope).list()
            for lsn in range(1, one.log.durable_lsn + 1):
                assert one.as_of(lsn=lsn).list(below=True) == two.as_of(lsn=lsn).list(below=True)
        assert all(check.ok for check in two.upkeep.verify_views())


@given(script=actions)
@settings(max_examples=40)
def test_another_store_gives_the_same_answers_under_new_lsns(
    script: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with walnut.open("memory://", scope="global") as one, walnut.open("memory://", scope="global") as two:
        play(one, script)
        two.bind(scope="user:other").remember("was here before")
        report = copy(one, two, tmp_path_factory.getbasetemp())
        assert not report.adopted
        for scope in SCOPES:
            assert answers(one, scope) == answers(two, scope)
        assert all(check.ok for check in two.upkeep.verify_views())
        assert two.bind(scope="user:other").list().items[0].text == "was here before"


@given(script=actions)
@settings(max_examples=40)
def test_an_export_of_a_scope_holds_it_and_what_is_below(
    script: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with walnut.open("memory://", scope="global") as one, walnut.open("memory://", scope="user:a") as two:
        play(one, script)
        copy(one.bind(scope="user:a"), two, tmp_path_factory.getbasetemp())
        assert {event.content.scope for event in two.log.read() if event.content} <= set(SCOPES[:2])
        for scope in SCOPES[:2]:
            ours = [each for each in answers(one, scope) if each["scope"] != "global"]
            theirs = answers(two, scope)
            for each in (*ours, *theirs):  # who undid it stays outside, and so does evidence from there
                each.pop("states"), each.pop("why")
            assert ours == theirs
        assert all(check.ok for check in two.upkeep.verify_views())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[walnut.Memory]:
    with walnut.open(tmp_path / "store", scope="global") as memory:
        yield memory


def test_a_store_in_files_adopts_and_goes_on(store: walnut.Memory, tmp_path: Path) -> None:
    acme = store.bind(scope="user:acme")
    ack = acme.remember("one", key="k", idempotency_key="i")
    acme.remember("two", caused_by=[ack])
    export_file(store, tmp_path / "all.jsonl")
    with walnut.open(tmp_path / "copy", scope="global") as target:
        assert import_file(target, tmp_path / "all.jsonl").adopted
        assert envelopes(target) == envelopes(store)
    with walnut.open(tmp_path / "copy", scope="user:acme") as again:
        assert again.get(key="k").text == "one"
        assert again.remember("one", key="k", idempotency_key="i").replayed
        assert again.remember("three", key="k").memory_id == ack.memory_id
    assert walnut.verify(tmp_path / "copy").ok


def test_a_later_export_brings_the_rest(store: walnut.Memory, tmp_path: Path) -> None:
    with walnut.open(tmp_path / "copy", scope="global") as target:
        store.remember("one")
        assert copy(store, target, tmp_path).written == 1
        store.remember("two")
        report = copy(store, target, tmp_path)
        assert (report.adopted, report.written, report.already) == (True, 1, 1)
        assert envelopes(target) == envelopes(store)


def test_a_store_that_others_have_open_keeps_its_secret(store: walnut.Memory, tmp_path: Path) -> None:
    store.bind(scope="user:a").remember("one", key="k")
    with (
        walnut.open(tmp_path / "copy", scope="user:a") as other,
        walnut.open(tmp_path / "copy", scope="global") as target,
    ):
        assert not copy(store, target, tmp_path).adopted
        assert other.get(key="k").text == "one"
        assert other.remember("two", key="k").memory_id == other.get(key="k").memory_id


def test_redelivery_after_an_import_writes_nothing_twice(store: walnut.Memory, tmp_path: Path) -> None:
    acme = store.bind(scope="user:acme")
    acme.remember("one", tags=["x"], confidence=0.5, ttl="90d", occurred_at="2026-01-01", idempotency_key="i")
    with walnut.open(tmp_path / "other", scope="global") as target:
        target.remember("here before")
        copy(store, target, tmp_path)
        ack = target.bind(scope="user:acme").remember(
            "one", tags=["x"], confidence=0.5, ttl="90d", occurred_at="2026-01-01", idempotency_key="i"
        )
        assert ack.replayed


def test_what_expired_stays_expired_in_another_store(store: walnut.Memory, tmp_path: Path) -> None:
    from walnut.model.times import from_ns

    store.remember("short", key="s", ttl="1h")
    path = tmp_path / "all.jsonl"
    export_file(store, path)
    hour_later = from_ns(next(iter(store.log.read())).recorded_at + 3_601_000_000_000)
    with walnut.open(tmp_path / "other", scope="global") as target:
        target.remember("here before")
        import_file(target, path)
        assert target.get(key="s").text == "short"
        with pytest.raises(walnut.NotFound):
            target.as_of(valid_time=hour_later).get(key="s")


def test_an_export_appears_whole_private_and_replaces_nothing(store: walnut.Memory, tmp_path: Path) -> None:
    store.remember("one")
    path = tmp_path / "all.jsonl"
    report = export_file(store, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (report.events, report.whole, report.bytes_written) == (1, True, path.stat().st_size)
    before = path.read_bytes()
    with pytest.raises(InvalidArgument, match="exists"):
        export_file(store, path)
    assert path.read_bytes() == before
    store.remember("two")
    assert export_file(store, path, force=True).events == 2
    with pytest.raises(FileNotFoundError):
        export_file(store, tmp_path / "none/all.jsonl")
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []


def test_the_secret_goes_with_the_whole_store_only(store: walnut.Memory, tmp_path: Path) -> None:
    store.bind(scope="user:a").remember("one")
    export_file(store, tmp_path / "all.jsonl")
    export_file(store.bind(scope="user:a"), tmp_path / "a.jsonl")
    heads = [json.loads((tmp_path / name).read_text().splitlines()[0]) for name in ("all.jsonl", "a.jsonl")]
    assert len(heads[0]["secret"]) == 64
    assert heads[1].get("secret") is None


@pytest.mark.parametrize("damage", ["cut", "gone", "changed", "swapped", "more", "not an event", "other scope"])
def test_a_damaged_export_is_refused_before_anything_is_written(
    damage: str, store: walnut.Memory, tmp_path: Path
) -> None:
    for number in range(3):
        store.bind(scope="user:a").remember(f"fact {number}")
    path = tmp_path / "a.jsonl"
    export_file(store.bind(scope="user:a"), path)
    rows = path.read_text().splitlines()
    rows = {
        "cut": rows[:-1],
        "gone": [*rows[:2], *rows[3:]],
        "changed": [row.replace("fact 1", "fact 9") for row in rows],
        "swapped": [rows[0], rows[2], rows[1], *rows[3:]],
        "more": [*rows, rows[1]],
        "not an event": [*rows[:2], '{"text":"x"}', *rows[2:]],
        "other scope": [row.replace('"scope":"user:a","actor"', '"scope":"user:b","actor"') for row in rows],
    }[damage]
    path.write_text("\n".join(rows) + "\n")
    with walnut.open("memory://", scope="global") as target:
        with pytest.raises(ImportRejected) as caught:
            import_file(target, path)
        assert "line" in str(caught.value.where)
        assert "fact" not in str(caught.value)
        assert target.log.durable_lsn == 0


def test_an_export_of_a_newer_walnut_or_another_scope_is_refused(store: walnut.Memory, tmp_path: Path) -> None:
    store.bind(scope="user:a").remember("one")
    path = tmp_path / "a.jsonl"
    export_file(store.bind(scope="user:a"), path)
    with walnut.open("memory://", scope="user:b") as target, pytest.raises(ScopeError):
        import_file(target, path)
    path.write_text(path.read_text().replace('"walnut_export":1', '"walnut_export":2'))
    with walnut.open("memory://", scope="global") as target, pytest.raises(FormatTooNew):
        import_file(target, path)
