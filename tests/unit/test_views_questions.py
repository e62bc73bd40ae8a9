"""What else the views answer: single events, evidence, selections, notes of what was shown, scopes; and bad events."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from tests.unit.histories import CountingClock, append, forget, note, revert, stream, touch, write
from walnut.errors import StorageFull, ViewFailed
from walnut.log.memory_log import MemoryLog
from walnut.model.event import NONE, Content, Draft, Event
from walnut.model.requests import Selector
from walnut.system import System
from walnut.views import visibility
from walnut.views.folds.memories_sql import MemoriesFold
from walnut.views.reader import Moment, Snapshot
from walnut.views.runner import Views


class World:
    """A log, its views, and a snapshot of all that was written so far."""

    def __init__(self) -> None:
        self.log = MemoryLog(CountingClock())
        self.views = Views(self.log, System(), folds=(MemoriesFold(),))

    def put(self, *drafts: Draft) -> int:
        return append(self.log, *drafts)

    def look(self) -> Snapshot:
        return self.views.snapshot()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.views.close()


def said(memory: int, scope: str = "user:a", **source: Any) -> Draft:
    return write(memory, scope=scope, source=source or None)


def select(world: World, bound: str = "global", upto: int = 99, **conditions: Any) -> list[int]:
    with world.look() as snapshot:
        return snapshot.select(Selector(**conditions), bound, upto)


def test_an_event_is_found_by_its_id(world: World) -> None:
    world.put(write(1), note(), write(2))
    with world.look() as snapshot:
        assert [snapshot.event_lsn(world.log.get(lsn).raw_id) for lsn in (1, 2, 3)] == [1, 2, 3]
        assert snapshot.event_lsn(bytes(16)) is None


def test_evidence_leads_to_its_effects(world: World) -> None:
    world.put(write(1), write(2), write(3, caused_by=(1, 2, 1)), note(), write(4, caused_by=(1,)))
    with world.look() as snapshot:
        assert [snapshot.effects(lsn) for lsn in (1, 2, 3)] == [[3, 5], [3], []]


def test_a_selection_meets_all_conditions(world: World) -> None:
    first = [said(1, conversation_id="c1", turn=1), said(2, conversation_id="c1", session="s"), said(3)]
    for draft in (*first, said(4, session="s", channel="x"), said(5, conversation_id="c2", channel="x"), forget(1)):
        world.put(draft)
    assert select(world, session="c1") == [1]
    assert select(world, session="s") == [2, 4]
    assert select(world, source={"conversation_id": "c1"}) == [1, 2]
    assert select(world, source={"conversation_id": "c1", "turn": 1}) == [1]
    assert select(world, source={"channel": "x"}, session="s") == [4]
    assert select(world, source={"channel": None}) == []
    assert select(world, kinds=("memory.delete", "no.such")) == [6]
    assert select(world, kinds=("no.such",)) == []
    assert select(world, events=(2, 5, 77)) == [2, 5]
    assert select(world, actor="agent:x", upto=3) == [1, 2, 3]
    assert select(world, actor="agent:nobody") == []
    times = [world.log.get(lsn).recorded_at for lsn in (2, 5)]
    assert select(world, since=times[0], until=times[1]) == [2, 3, 4]


def test_a_selection_stays_in_its_scope_by_whole_segments(world: World) -> None:
    world.put(
        *(said(number, scope) for number, scope in enumerate(["user:a", "user:a/b", "user:ab", "user:a0", "global"]))
    )
    assert select(world, "user:a", actor="agent:x") == [1, 2]
    assert select(world, "user:a/b", actor="agent:x") == [2]
    assert select(world, "user:none", actor="agent:x") == []
    assert select(world, "global", actor="agent:x") == [1, 2, 3, 4, 5]


def test_scopes_below_are_told_by_whole_segments(world: World) -> None:
    odd = ["user:a", "user:a/b", "user:a/b/c", "user:a/é%_", "user:ab", "user:a0", "user:a.", "USER:A/b", "global"]
    world.put(*(said(number, scope) for number, scope in enumerate(odd)))
    with world.look() as snapshot:
        assert snapshot.scopes_below("user:a") == ["user:a/b", "user:a/b/c", "user:a/é%_"]
        assert snapshot.scopes_below("user:a/b") == ["user:a/b/c"]
        assert snapshot.scopes_below("user:a_") == []
        assert sorted(snapshot.scopes_below("global")) == sorted(odd[:-1])
        below = snapshot.listing(["user:a"], Moment(99, 99), below=True)
        assert [chosen.scope for chosen in below] == ["user:a/é%_", "user:a/b/c", "user:a/b", "user:a"]


def test_what_was_shown_leads_to_what_was_written_after(world: World) -> None:
    world.put(write(1), write(2), note("memory.recalled", shown=[1, [2, "01ab"], 1]), write(3))
    world.put(note("memory.recalled", shown=[2]), revert(world.log, (1, 1)), said(4, "user:a/b"), said(5, "user:c"))
    with world.look() as snapshot:
        assert snapshot.shown([1]) == [(3, 1)]
        assert snapshot.shown([1, 2]) == [(3, 1), (3, 2), (5, 2)]
        assert snapshot.shown([]) == []
        assert snapshot.writes_after(3, "agent:x", "global", 99) == [4, 7, 8]
        assert snapshot.writes_after(3, "agent:x", "user:a", 99) == [7]
        assert snapshot.writes_after(3, "agent:x", "global", 7) == [4, 7]
        assert snapshot.writes_after(0, "agent:y", "global", 99) == []


def test_a_time_becomes_the_newest_lsn_recorded_by_then(world: World) -> None:
    for number in range(9):
        world.put(write(number))
    times = [world.log.get(lsn).recorded_at for lsn in range(1, 10)]
    with world.look() as snapshot:
        assert [snapshot.lsn_at(time) for time in times] == list(range(1, 10))
        assert snapshot.lsn_at(times[0] - 1) == 0
        assert snapshot.lsn_at(times[-1] + 1) == 9


BAD = [
    write(1, payload={"tags": "x"}),
    write(1, payload={"tags": [1]}),
    write(1, payload={"ttl": "90d"}),
    write(1, payload={"confidence": "high"}),
    note("memory.recalled", shown=["x"]),
    note("memory.reverted", ranges="all"),
    note("memory.reverted", ranges=[[1]]),
    note("memory.reverted", ranges=[["1", 2]]),
]


@pytest.mark.parametrize("draft", BAD, ids=range(len(BAD)))
def test_V7_a_payload_of_the_wrong_form_stops_the_view(world: World, draft: Draft) -> None:
    world.put(write(1), draft, write(2))
    with pytest.raises(ViewFailed) as caught:
        world.look()
    assert caught.value.where == "LSN 2"
    assert world.views.status()[0].applied_lsn == 1
    with world.views.snapshot(upto=1) as snapshot:
        assert snapshot.lsn == 1


class Filling:
    """A fold for which the disk is full, until there is space."""

    name, version, schema = "filling", 1, ("CREATE TABLE filling (data BLOB)",)

    def __init__(self) -> None:
        self.pages = 10**6

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        db.execute(f"PRAGMA max_page_count = {self.pages}")
        db.execute("INSERT INTO filling VALUES (zeroblob(100000))")

    def digest(self, db: sqlite3.Connection) -> str:
        return str(db.execute("SELECT count(*) FROM filling").fetchone()[0])


def test_a_full_disk_is_said_and_work_goes_on_once_there_is_space(tmp_path: Any) -> None:
    log, filling = MemoryLog(System()), Filling()
    views = Views(log, System(), folder=str(tmp_path), folds=(MemoriesFold(), filling))
    append(log, write(1))
    views.catch_up()
    filling.pages = 1  # which SQLite takes for: no more than there are
    append(log, write(2))
    with pytest.raises(StorageFull):
        views.snapshot()
    with views.snapshot(upto=1) as snapshot:
        assert snapshot.lsn == 1
    filling.pages = 10**6
    assert views.catch_up() == 2
    views.close()


def test_erased_versions_are_no_versions() -> None:
    log = MemoryLog(CountingClock())
    append(log, write(1), write(1))
    whole = stream(log, 1)
    erased = [whole[0], msgspec.structs.replace(whole[1], content=None)]
    assert visibility.choose(erased, Moment(2, 99)) == 1
    assert [state for _, state in visibility.history(erased, Moment(2, 99))] == ["current", "erased"]
    assert visibility.alive(erased)
    assert not visibility.expired(erased[1], 99)
    db = sqlite3.connect(":memory:", isolation_level=None)
    for statement in MemoriesFold.schema:
        db.execute(statement)
    MemoriesFold().apply(db, erased)
    with Snapshot(db, 2, done=lambda _: db.close()) as snapshot:
        chosen = snapshot.choose(touch(1), Moment(2, 99))
        assert chosen is not None
        assert (chosen.lsn, chosen.touched) == (1, 2)


def test_V7_a_newer_schema_stops_the_fold() -> None:
    content = Content(scope="user:a", actor="agent:x")
    newer = Event(
        lsn=1,
        raw_id=bytes(16),
        recorded_at=1,
        kind="app.note",
        op=NONE,
        txn=1,
        raw_touches=b"",
        commitment=b"",
        content=content,
        schema=99,
    )
    with pytest.raises(ViewFailed, match="schema 99"):
        MemoriesFold().apply(sqlite3.connect(":memory:"), [newer])
