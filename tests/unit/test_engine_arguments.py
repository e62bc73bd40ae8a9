"""Bad input: a clear error with code, place and hint, before anything is written."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import walnut
from walnut import InvalidArgument, Memory, ScopeError
from walnut.model import times

DEEP: Any = []
for _ in range(100):
    DEEP = [DEEP]


@pytest.fixture
def m() -> Iterator[Memory]:
    with walnut.open("memory://") as memory:
        yield memory


BAD: list[tuple[str, dict[str, Any]]] = [
    ("text", {"text": ""}),
    ("text", {"text": " \n\t"}),
    ("text", {"text": "x" * 10_000_000}),
    ("text", {"text": "é" * 600_000}),
    ("text", {"text": "half \ud800 a character"}),
    ("text", {"text": b"bytes"}),
    ("text", {"text": None}),
    ("confidence", {"confidence": float("nan")}),
    ("confidence", {"confidence": float("inf")}),
    ("confidence", {"confidence": 1.01}),
    ("confidence", {"confidence": -0.1}),
    ("confidence", {"confidence": True}),
    ("confidence", {"confidence": "0.5"}),
    ("tags", {"tags": "billing"}),
    ("tags", {"tags": [""]}),
    ("tags", {"tags": ["x" * 129]}),
    ("tags", {"tags": [1]}),
    ("tags", {"tags": [str(n) for n in range(65)]}),
    ("tags", {"tags": 5}),
    ("tags", {"tags": ["\udfff"]}),
    ("data", {"data": {1: "x"}}),
    ("data", {"data": {"x": float("nan")}}),
    ("data", {"data": [float("inf")]}),
    ("data", {"data": 2**64}),
    ("data", {"data": {"x": object()}}),
    ("data", {"data": DEEP}),
    ("data", {"data": "x" * 2_000_000}),
    ("embedding", {"embedding": [0.1, float("nan")]}),
    ("embedding", {"embedding": []}),
    ("embedding", {"embedding": "12"}),
    ("embedding", {"embedding": [None]}),
    ("source", {"source": "telegram"}),
    ("source", {"source": {1: "x"}}),
    ("subject", {"subject": ""}),
    ("ttl", {"ttl": "0s"}),
    ("ttl", {"ttl": "-1d"}),
    ("ttl", {"ttl": "soon"}),
    ("ttl", {"ttl": 90}),
    ("ttl", {"ttl": timedelta(0)}),
    ("ttl", {"ttl": "999999999w"}),
    ("occurred_at", {"occurred_at": datetime(2026, 2, 1)}),  # noqa: DTZ001 - the naive one
    ("occurred_at", {"occurred_at": "2026-02-01T12:00:00"}),
    ("occurred_at", {"occurred_at": "yesterday"}),
    ("occurred_at", {"occurred_at": 1_700_000_000}),
    ("occurred_at", {"occurred_at": datetime(9999, 1, 1, tzinfo=UTC)}),
    ("valid_until", {"valid_from": "2026-02-02", "valid_until": "2026-02-01"}),
    ("idempotency_key", {"idempotency_key": ""}),
    ("idempotency_key", {"idempotency_key": "x" * 513}),
    ("key", {"key": ""}),
    ("key", {"key": 5}),
    ("memory_id", {"memory_id": 5}),
    ("expected_version", {"expected_version": -1}),
    ("expected_version", {"expected_version": True}),
    ("expected_version", {"expected_version": 3}),
    ("caused_by", {"caused_by": "evt_1"}),
    ("caused_by", {"caused_by": [None]}),
    ("caused_by", {"caused_by": [0]}),
    ("durability", {"durability": "replica"}),
]


@pytest.mark.parametrize(("where", "given"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_a_bad_memory_is_refused_and_nothing_written(m: Memory, where: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        m.remember(**{"text": "fine", **given})
    assert (caught.value.code, caught.value.where) == ("invalid_argument", where)
    assert m.log.durable_lsn == 0


SECRET = "xyzzy-secret"


def test_an_error_never_holds_what_was_given(m: Memory) -> None:
    given: list[dict[str, Any]] = [
        {"text": "\ud800" + SECRET},
        {"text": "x", "tags": SECRET},
        {"text": "x", "tags": [SECRET * 20]},
        {"text": "x", "ttl": SECRET},
        {"text": "x", "occurred_at": SECRET},
        {"text": "x", "memory_id": SECRET},
        {"text": "x", "data": {SECRET: object()}},
        {"text": "x", "caused_by": [SECRET]},
    ]
    for bad in given:
        with pytest.raises(walnut.WalnutError) as caught:
            m.remember(**bad)
        assert SECRET not in str(caught.value)
    with pytest.raises(InvalidArgument) as caught:
        m.remember_many([{"text": "x", SECRET: 1}])
    assert SECRET not in str(caught.value)


def test_a_bad_item_is_named_and_nothing_written(m: Memory) -> None:
    items: list[Any] = [{"text": ""}, {"text": "x", "colour": 1}, {"tags": []}, "text", {"text": "x", "confidence": 2}]
    for bad in items:
        with pytest.raises(InvalidArgument) as caught:
            m.remember_many([{"text": "fine"}, bad])
        assert caught.value.where is not None
        assert caught.value.where.startswith("items[1]")
    for no_items in ("text", {"text": "x"}, 5):
        with pytest.raises(InvalidArgument):
            m.remember_many(no_items)  # type: ignore[arg-type]
    assert m.log.durable_lsn == 0


READS: list[tuple[str, Callable[[Memory], object]]] = [
    ("query", lambda m: m.recall(5)),  # type: ignore[arg-type]
    ("k", lambda m: m.recall("x", k=0)),
    ("k", lambda m: m.recall("x", k=1.5)),  # type: ignore[arg-type]
    ("mode", lambda m: m.recall("x", mode="psychic")),  # type: ignore[arg-type]
    ("tags", lambda m: m.recall("x", tags="one")),
    ("since", lambda m: m.recall("x", since="noon")),
    ("min_confidence", lambda m: m.recall("x", min_confidence=float("nan"))),
    ("below", lambda m: m.recall("x", below=1)),  # type: ignore[arg-type]
    ("budget", lambda m: m.context("x", budget=0)),
    ("limit", lambda m: m.list(limit=0)),
    ("cursor", lambda m: m.list(cursor="broken")),
    ("cursor", lambda m: m.list(cursor="ünicode")),
    ("cursor", lambda m: m.list(cursor="")),
    ("memory_id", lambda m: m.get()),
    ("memory_id", lambda m: m.get("mem_x", key="x")),
    ("as_of", lambda m: m.as_of()),
    ("lsn", lambda m: m.as_of(lsn=1)),
    ("lsn", lambda m: m.as_of(lsn=0, system_time="2026-02-01")),
    ("system_time", lambda m: m.as_of(system_time=datetime(2026, 2, 1))),  # noqa: DTZ001 - the naive one
    ("direction", lambda m: m.why("mem_x", direction="sideways")),  # type: ignore[arg-type]
    ("plan_revert", lambda m: m.plan_revert()),
    ("plan_revert", lambda m: m.plan_revert(source={})),
    ("kinds", lambda m: m.plan_revert(kinds=["Memory Write"])),
    ("events", lambda m: m.plan_revert(events="evt_x")),
    ("address", lambda m: m.log.locate("walnut://user:default")),
    ("after", lambda m: m.log.read(after=-1)),
]


@pytest.mark.parametrize(("where", "read"), READS, ids=[f"{n}-{where}" for n, (where, _) in enumerate(READS)])
def test_a_bad_read_is_refused(m: Memory, where: str, read: Callable[[Memory], object]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read(m)
    assert caught.value.where == where


def test_a_wrong_scope_or_actor_is_refused(m: Memory) -> None:
    for scope in ("", "/", "a//b", "a/", "x" * 129, "a\nb", "global/x", 5, "\u202e"):
        with pytest.raises(ScopeError):
            walnut.open("memory://", scope=scope)  # type: ignore[arg-type]
    for scope in ("user:other", "user:default2", "global", "user:default/../user:other/x/", "user"):
        with pytest.raises(ScopeError):
            m.bind(scope=scope)
    for actor in ("", "a\nb", "x" * 257, 5):
        with pytest.raises(InvalidArgument):
            walnut.open("memory://", actor=actor)  # type: ignore[arg-type]


def test_a_wrong_url_or_option_is_refused(tmp_path: Path) -> None:
    for url in ("postgresql://localhost/x", "memory://name", "", "a\0b", b"bytes", "s3://bucket", 5, None):
        with pytest.raises(InvalidArgument) as caught:
            walnut.open(url)  # type: ignore[arg-type]
        assert caught.value.where == "url"
    options: list[dict[str, Any]] = [{"durability": "maybe"}, {"busy_timeout": float("nan")}, {"checkpoint_every": -1}]
    for option in [*options, {"create": 1}]:
        with pytest.raises(InvalidArgument):
            walnut.open(tmp_path / "store", **option)
    assert not (tmp_path / "store").exists()


def test_times_are_read_as_written() -> None:
    noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
    ns = times.to_ns(noon, where="t")
    assert times.from_ns(ns) == noon
    assert times.to_ns("2026-02-01T12:00:00Z", where="t") == ns
    assert times.to_ns("2026-02-01T14:00:00+02:00", where="t") == ns
    assert times.to_ns(noon.astimezone(timezone(timedelta(hours=-3))), where="t") == ns
    assert times.to_ns("2026-02-01", where="t") == times.to_ns(date(2026, 2, 1), where="t") == ns - 12 * 3600 * 10**9
    assert times.to_ns("1969-12-31T23:59:59.999999+00:00", where="t") == -1000
    assert times.lifetime_ns("2w") == times.lifetime_ns(timedelta(weeks=2)) == 14 * 86_400 * 10**9
