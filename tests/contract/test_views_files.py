"""The promises of the views about their files: position, replay, loss, damage, checkpoints, one applier at a time."""

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from tests.unit.histories import append, forget, note, revert, touch, write
from walnut.errors import StoreClosed, ViewFailed, ViewLag
from walnut.log.memory_log import MemoryLog
from walnut.model.event import NONE, Content, Draft, Event
from walnut.ports import Log
from walnut.system import System
from walnut.views.applier import Applier
from walnut.views.checkpoint import PIECE, checksum
from walnut.views.fold import Fold
from walnut.views.folds import default
from walnut.views.folds.memories_sql import MemoriesFold
from walnut.views.reader import Moment
from walnut.views.runner import Views
from walnut.views.store import CLOSED, OPENED, WRITTEN, read_stamp

LATER = 2**62


class AnotherBoot(System):
    """The same machine after it went down and up again."""

    def boot_id(self) -> bytes:
        return b"another boot id."


class SeenFold:
    """A fold that notes outside of the database which events it was given."""

    name, version, schema = "seen", 1, ("CREATE TABLE seen (lsn INTEGER PRIMARY KEY)",)

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.refuses: set[int] = set()

    def apply(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        for event in events:
            if event.lsn in self.refuses:
                raise ValueError("secret text of a user")
            db.execute("INSERT INTO seen VALUES (?)", (event.lsn,))
        self.seen += [event.lsn for event in events]

    def digest(self, db: sqlite3.Connection) -> str:
        return str(hash(tuple(db.execute("SELECT lsn FROM seen ORDER BY lsn"))))


class Store:
    """A log in memory whose views lie in a folder; opens any number of views on it and closes them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: Log = MemoryLog(System())
        self.seen = SeenFold()
        self._opened: list[Views] = []

    @property
    def file(self) -> Path:
        return self.folder / "views" / "memories-v1.db"

    def views(
        self,
        *,
        system: System | None = None,
        log: Log | None = None,
        folds: Sequence[Fold] | None = None,
        every: int = 0,
        timeout: float = 10.0,
    ) -> Views:
        opened = Views(
            log or self.log,
            system or System(),
            folder=str(self.folder),
            folds=(MemoriesFold(), self.seen) if folds is None else folds,
            checkpoint_every=every,
            timeout=timeout,
            chunk=7,
        )
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
        self.log.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def fill(log: Log, count: int = 30) -> None:
    """Writes, updates, forgets and reverts of a few memories."""
    for number in range(count):
        append(log, write(number % 5, f"text {number}", payload={"tags": ["x"]}))
        if number % 7 == 3:
            append(log, forget(number % 5))
        if number % 10 == 9:
            append(log, revert(log, (log.durable_lsn() - 3, log.durable_lsn() - 2)))


def answers(views: Views) -> list[object]:
    """All there is to ask of these memories."""
    with views.snapshot() as snapshot:
        moments = [Moment(lsn, LATER) for lsn in range(0, snapshot.lsn + 1, 5)]
        return [snapshot.lsn, *(snapshot.choose(touch(memory), moment) for memory in range(5) for moment in moments)]


def test_V2_position_and_rows_are_of_one_transaction(store: Store) -> None:
    fill(store.log)
    store.seen.refuses = {20}
    views = store.views()
    with pytest.raises(ViewFailed):
        views.catch_up()
    with views.snapshot(upto=19) as snapshot:
        assert snapshot.lsn == 19
        assert snapshot.db.execute("SELECT max(lsn), count(*) FROM events").fetchone() == (19, 19)
        assert snapshot.db.execute("SELECT max(lsn), count(*) FROM seen").fetchone() == (19, 19)


def test_V3_live_equals_a_replay(store: Store) -> None:
    views = store.views()
    for _ in range(3):
        fill(store.log, 12)
        views.catch_up()
    (check,) = views.verify()
    assert check.ok
    assert check.live_digest == check.replayed_digest
    assert check.lsn == store.log.durable_lsn()


def test_V3_a_changed_row_is_found_and_its_table_named(store: Store) -> None:
    fill(store.log)
    views = store.views()
    views.catch_up()
    with sqlite3.connect(store.file) as db:
        db.execute("UPDATE versions SET valid_from = valid_from + 1 WHERE lsn = 6")
    db.close()
    (check,) = views.verify()
    assert not check.ok
    assert check.differences == ("memories.versions",)
    answers(views)
    assert views.verify()[0].ok, "the next read had it built anew"


def test_V3_a_missing_index_entry_is_found(store: Store) -> None:
    fill(store.log)
    views = store.views()
    views.catch_up()
    with sqlite3.connect(store.file) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, '(raw_id)', '(kind)') WHERE name = 'events_id'")
    db.close()
    (check,) = store.views().verify()
    assert not check.ok


def test_V4_views_and_checkpoints_may_be_deleted(store: Store) -> None:
    fill(store.log)
    views = store.views(every=10)
    before = answers(views)
    views.close()
    for file in (*store.folder.glob("views/*"), *store.folder.glob("checkpoints/*")):
        file.unlink()
    (store.folder / "checkpoints").rmdir()
    (store.folder / "views").rmdir()
    again = store.views()
    assert answers(again) == before
    assert again.verify()[0].ok


def test_V4_views_may_be_deleted_under_a_running_reader(store: Store) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    for file in store.folder.glob("views/memories*"):
        file.unlink()
    assert answers(views) == before


def zeroed(data: bytearray) -> bytes:
    return bytes(len(data))


def halved(data: bytearray) -> bytes:
    return bytes(data[: len(data) // 2])


def text(_: bytearray) -> bytes:
    return b"this is no database" * 500


def emptied(_: bytearray) -> bytes:
    return b""


def header_gone(data: bytearray) -> bytes:
    return bytes(100) + bytes(data[100:])


def pages_gone(data: bytearray) -> bytes:
    return bytes(data[:4096]) + bytes(len(data) - 4096)


DAMAGES = [zeroed, halved, text, emptied, header_gone, pages_gone]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_V4_a_damaged_file_is_reported_and_rebuilt(store: Store, damage: Callable[[bytearray], bytes]) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    views.close()
    store.file.write_bytes(damage(bytearray(store.file.read_bytes())))
    damaged = store.views()
    (check,) = damaged.verify()
    assert not check.ok
    assert check.differences
    assert mended(lambda: answers(damaged)) == before
    assert damaged.verify()[0].ok


def mended(ask: Callable[[], list[object]]) -> list[object]:
    """As the engine does it: damage that shows in a query is mended at the next look."""
    try:
        return ask()
    except sqlite3.DatabaseError:
        return ask()


def test_V4_a_file_of_another_log_is_not_believed(store: Store) -> None:
    fill(store.log)
    store.views().catch_up()
    other = MemoryLog(System())
    append(other, write(1))
    assert answers(store.views(log=other))[0] == 1
    other.close()


def test_V4_a_file_ahead_of_its_log_is_not_believed(store: Store) -> None:
    fill(store.log)
    store.views().catch_up()
    younger = MemoryLog(System(), log_id=store.log.log_id)
    append(younger, write(1))
    assert answers(store.views(log=younger))[0] == 1
    younger.close()


def test_V4_a_file_of_another_history_is_not_believed(store: Store) -> None:
    append(store.log, write(1), write(2))
    store.views().catch_up()
    other = MemoryLog(System(), log_id=store.log.log_id)
    append(other, write(3), write(4))
    views = store.views(log=other)
    with views.snapshot() as snapshot:
        assert snapshot.choose(touch(1), Moment(2, LATER)) is None
        assert snapshot.choose(touch(4), Moment(2, LATER)) is not None
    other.close()


def test_V4_after_an_unclean_end_under_another_boot_the_file_is_discarded(store: Store) -> None:
    fill(store.log)
    store.views().catch_up()
    store.seen.seen.clear()
    store.views(system=AnotherBoot()).catch_up()
    assert store.seen.seen[0] == 1


def test_V4_after_a_clean_end_the_file_is_kept_under_another_boot(store: Store) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    views.close()
    store.seen.seen.clear()
    rebooted = store.views(system=AnotherBoot())
    assert answers(rebooted) == before
    assert store.seen.seen == []
    append(store.log, write(1))
    rebooted.catch_up()
    store.seen.seen.clear()
    assert answers(store.views())[0] == store.log.durable_lsn()
    assert store.seen.seen[0] == 1, "written under the other boot and not closed"


@pytest.mark.parametrize("busy", [False, True])
def test_V4_before_a_closed_file_is_written_to_the_file_itself_says_so_on_disk(store: Store, busy: bool) -> None:
    """Not only its write-ahead log: that is written over unsynced, while old pages of the file may stay."""
    fill(store.log)
    views = store.views()
    views.catch_up()
    views.close()
    others = store.views()
    with others.snapshot() if busy else nullcontext():
        append(store.log, write(1))
        store.views().catch_up()
        shutil.copy(store.file, store.folder / "alone.db")
    with closing(sqlite3.connect(f"file:{store.folder}/alone.db?mode=ro&immutable=1", uri=True)) as db:
        stamp = read_stamp(db)
    assert stamp.clean != CLOSED


def test_V4_a_process_killed_while_it_opens_a_closed_file_does_not_make_it_seem_open(store: Store) -> None:
    fill(store.log)
    views = store.views()
    views.catch_up()
    views.close()
    with closing(sqlite3.connect(store.file, isolation_level=None)) as db:
        db.execute("UPDATE walnut_view SET clean = ?", (OPENED,))  # in the write-ahead log alone
        append(store.log, write(1))
        store.views().catch_up()
        assert read_stamp(db).clean == WRITTEN
        shutil.copy(store.file, store.folder / "alone.db")
    with closing(sqlite3.connect(f"file:{store.folder}/alone.db?mode=ro&immutable=1", uri=True)) as db:
        assert read_stamp(db).clean != CLOSED


def test_V4_a_schema_whose_damage_is_no_text_is_damage(store: Store) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    views.close()
    data = store.file.read_bytes()
    assert data.count(b"CREATE TABLE walnut_view")
    store.file.write_bytes(data.replace(b"CREATE TABLE walnut_view", b"CREATE TABL\xa1 walnut_view"))
    spoiled = store.views()
    assert not all(check.ok for check in spoiled.verify())
    assert answers(spoiled) == before


def test_V4_whenever_a_file_is_noted_as_open_it_changes_so_that_it_is_synced(store: Store) -> None:
    """SQLite writes nothing where nothing changes, and syncs nothing when it has written nothing."""
    fill(store.log)
    store.views().catch_up()
    applier = Applier(System(), store.log, default())
    for _ in range(3):
        before = store.file.read_bytes()
        with closing(sqlite3.connect(store.file, isolation_level=None)) as db:
            assert not applier.note_opened(db)
            assert read_stamp(db).clean not in {WRITTEN, CLOSED}
        assert store.file.read_bytes() != before


def test_V4_a_view_that_was_caught_lying_is_built_anew_once(store: Store) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    with sqlite3.connect(store.file) as db:
        db.execute("DELETE FROM versions")
    db.close()
    views.distrust()
    assert answers(views) == before
    store.seen.seen.clear()
    views.distrust()
    answers(views)
    assert store.seen.seen == [], "the log has not grown, so building anew would change nothing"


def test_V5_a_snapshot_holds_what_was_written_before(store: Store) -> None:
    views, others = store.views(), store.views()
    for number in range(20):
        lsn = append(store.log, write(number))
        for each in (views, others):
            with each.snapshot(lsn) as snapshot:
                assert snapshot.choose(touch(number), Moment(lsn, LATER)) is not None


def test_V5_an_lsn_that_does_not_come_is_a_lag(store: Store) -> None:
    append(store.log, write(1))
    views = store.views(timeout=0.05)
    with pytest.raises(ViewLag):
        views.snapshot(2)
    with pytest.raises(ViewLag):
        views.catch_up(2)
    assert views.catch_up(1) == 1


def test_V6_threads_write_and_read_their_own(store: Store) -> None:
    check_threads(store.log, store.views(), store.views())


def test_V6_threads_write_and_read_their_own_in_memory() -> None:
    log = MemoryLog(System())
    views = Views(log, System(), folds=(MemoriesFold(),))
    check_threads(log, views)
    views.close()


def check_threads(log: Log, *views: Views) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        view = views[number % len(views)]
        for turn in range(15):
            memory = number * 100 + turn
            lsn = append(log, write(memory))
            with view.snapshot(lsn) as snapshot:
                chosen = snapshot.choose(touch(memory), Moment(snapshot.lsn, LATER))
                counted = snapshot.db.execute("SELECT count(*) FROM events").fetchone()[0]
                if chosen is None or counted != snapshot.lsn:
                    wrong.append((chosen, counted, snapshot.lsn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(view.verify()[0].ok for view in views)


def test_V6_a_snapshot_stays_as_it_is_while_others_apply(store: Store) -> None:
    append(store.log, write(1))
    views, others = store.views(), store.views()
    with views.snapshot() as snapshot:
        append(store.log, write(1), write(2))
        others.catch_up()
        assert snapshot.db.execute("SELECT lsn FROM walnut_view").fetchone() == (1,)
        assert snapshot.choose(touch(2), Moment(99, LATER)) is None
    with views.snapshot() as snapshot:
        assert snapshot.lsn == 3


def test_V6_a_snapshot_in_memory_outlives_writes_beside_it() -> None:
    log = MemoryLog(System())
    views = Views(log, System(), folds=(MemoriesFold(),))
    first = append(log, write(1))
    with views.snapshot() as outer:
        append(log, write(2))
        with views.snapshot(first) as inner:
            assert inner.lsn == outer.lsn == first
    assert answers(views)[0] == 2
    views.close()


def unknown() -> Draft:
    return Draft(kind="memory.dreamt", op=NONE, content=Content(scope="user:a", actor="agent:x"))


def test_V7_a_kind_of_a_newer_walnut_stops_the_view_and_nothing_else(store: Store) -> None:
    good = append(store.log, write(1))
    bad = append(store.log, unknown())
    append(store.log, write(2))
    views = store.views()
    with pytest.raises(ViewFailed, match="upgrade"):
        views.snapshot()
    (status,) = views.status()
    assert (status.applied_lsn, status.failed_at) == (good, bad)
    assert status.failure is not None
    assert "memory.dreamt" in status.failure
    with views.snapshot(upto=good) as snapshot:
        assert snapshot.choose(touch(1), Moment(good, LATER)) is not None
    assert append(store.log, write(3)) == 4
    with pytest.raises(ViewFailed):
        views.rebuild()


def test_V7_foreign_kinds_are_skipped(store: Store) -> None:
    append(store.log, note("app.anything"), write(1))
    assert answers(store.views())[0] == 2


def test_V7_a_view_goes_on_once_it_can(store: Store) -> None:
    fill(store.log, 10)
    store.seen.refuses = {5}
    views = store.views()
    with pytest.raises(ViewFailed) as caught:
        views.catch_up()
    assert "secret" not in str(caught.value)
    assert caught.value.where == "LSN 5"
    store.seen.refuses.clear()
    assert views.catch_up() == store.log.durable_lsn()
    assert views.status()[0].failure is None
    assert views.verify()[0].ok


# -- rebuilding and checkpoints ------------------------------------------------------------------------------


def test_rebuilding_reads_all_events_again_and_other_readers_go_over(store: Store) -> None:
    fill(store.log)
    views, others = store.views(), store.views()
    with others.snapshot() as old:
        store.seen.seen.clear()
        assert views.rebuild() == store.log.durable_lsn()
        assert store.seen.seen == list(range(1, store.log.durable_lsn() + 1))
        assert old.db.execute("SELECT count(*) FROM events").fetchone()[0] == old.lsn
    append(store.log, write(1))
    assert answers(views)[0] == answers(others)[0] == store.log.durable_lsn()
    assert views.verify()[0].ok


def test_V4_a_checkpoint_and_the_tail_give_the_same_answers(store: Store) -> None:
    fill(store.log)
    views = store.views()
    saved = views.checkpoint()
    fill(store.log, 8)
    before = answers(views)
    views.close()
    store.file.unlink()
    store.seen.seen.clear()
    again = store.views()
    assert answers(again) == before
    assert store.seen.seen[0] == saved + 1
    assert again.verify()[0].ok


def test_V4_a_view_made_from_a_checkpoint_is_not_believed_when_the_machine_goes_down(store: Store) -> None:
    """The disk may keep what of the new file was written first, and only some of it: the copied pages."""
    fill(store.log)
    views = store.views()
    views.catch_up()
    views.close()
    closed = store.views()
    before = answers(closed)
    closed.checkpoint()
    closed.close()
    (copy,) = (store.folder / "checkpoints").glob("*.db")
    store.file.write_bytes(copy.read_bytes())
    store.seen.seen.clear()
    rebooted = store.views(system=AnotherBoot())
    with closing(sqlite3.connect(store.file)) as db:
        assert read_stamp(db).clean != CLOSED
    shutil.rmtree(store.folder / "checkpoints")
    assert answers(rebooted) == before
    assert store.seen.seen[:1] == [1], "what was never synced was believed"


def test_three_checkpoints_are_kept(store: Store) -> None:
    views = store.views()
    lsns = []
    for number in range(5):
        append(store.log, write(number))
        lsns.append(views.checkpoint())
    assert views.checkpoints() == tuple(lsns[-3:])
    assert len(list(store.folder.glob("checkpoints/ckpt-*"))) == 3
    assert views.checkpoint() == lsns[-1], "there is one of this LSN already"
    assert views.checkpoints() == tuple(lsns[-3:])


def test_what_a_killed_checkpoint_left_is_swept_away(store: Store) -> None:
    views = store.views()
    append(store.log, write(1))
    views.checkpoint()
    left = store.folder / "checkpoints" / "ckpt-000000000009.db.tmp"
    left.write_bytes(b"half")
    append(store.log, write(2))
    views.checkpoint()
    assert not left.exists()
    assert views.checkpoints() == (1, 2)


def test_a_checkpoint_whose_numbers_were_changed_with_its_checksum_is_not_used(store: Store) -> None:
    """It says it is older than it is; only its own stamp knows better."""
    fill(store.log)
    views = store.views()
    lsn = views.checkpoint()
    before = answers(views)
    views.close()
    store.file.unlink()
    (path,) = store.folder.glob("checkpoints/ckpt-*")
    body = path.read_bytes()[:-32].replace(f'"lsn":{lsn}'.encode(), f'"lsn":{lsn - 1}'.encode())
    path.write_bytes(body + checksum(body[at : at + PIECE] for at in range(0, len(body), PIECE)))
    assert answers(store.views()) == before


def test_V4_a_file_closed_while_others_read_is_not_marked_clean(store: Store) -> None:
    fill(store.log)
    views, others = store.views(), store.views()
    views.catch_up()
    with others.snapshot():
        append(store.log, write(1))
        views.catch_up()
        views.close()
    store.seen.seen.clear()
    store.views(system=AnotherBoot()).catch_up()
    assert store.seen.seen[0] == 1


def test_checkpoints_are_written_every_so_many_events(store: Store) -> None:
    views = store.views(every=10)
    for _ in range(3):
        fill(store.log, 12)
        views.catch_up()
    views.close()
    assert views.checkpoints()


@pytest.mark.parametrize("place", range(24))
def test_V4_a_flipped_bit_in_a_checkpoint_is_found_before_it_is_used(store: Store, place: int) -> None:
    fill(store.log, 12)
    views = store.views()
    older = views.checkpoint()
    fill(store.log, 12)
    newer = views.checkpoint()
    before = answers(views)
    views.close()
    store.file.unlink()
    path = store.folder / "checkpoints" / f"ckpt-{newer:012}.db"
    data = bytearray(path.read_bytes())
    position = len(data) * place // 23 if place < 23 else len(data) - 1
    data[min(position, len(data) - 1)] ^= 1 << place % 8
    path.write_bytes(data)
    store.seen.seen.clear()
    again = store.views()
    assert answers(again) == before
    assert store.seen.seen[0] == older + 1
    append(store.log, write(1))
    again.checkpoint()
    assert newer not in again.checkpoints()


@pytest.mark.parametrize("damage", [emptied, halved, text])
def test_V4_without_a_good_checkpoint_all_is_replayed(store: Store, damage: Callable[[bytearray], bytes]) -> None:
    fill(store.log)
    views = store.views()
    views.checkpoint()
    before = answers(views)
    views.close()
    store.file.unlink()
    for path in store.folder.glob("checkpoints/ckpt-*"):
        path.write_bytes(damage(bytearray(path.read_bytes())))
    store.seen.seen.clear()
    assert answers(store.views()) == before
    assert store.seen.seen[0] == 1


def test_V1_a_checkpoint_of_other_folds_is_not_used(store: Store) -> None:
    fill(store.log)
    views = store.views(folds=(MemoriesFold(),))
    views.checkpoint()
    views.close()
    again = store.views()
    again.catch_up()
    assert store.seen.seen[0] == 1
    assert again.verify()[0].ok


def test_what_the_views_write_is_for_the_owner_only(store: Store) -> None:
    fill(store.log)
    views = store.views()
    views.checkpoint()
    for place in (store.folder / "views", store.folder / "checkpoints"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert {stat.S_IMODE(each.stat().st_mode) for each in place.iterdir()} == {0o600}
    assert views.sizes()[0] > 0
    assert views.sizes()[1] > 0


def test_closed_views_say_so(store: Store) -> None:
    views = store.views()
    append(store.log, write(1))
    snapshot = views.snapshot()
    views.close()
    views.close()
    assert snapshot.lsn == 1
    snapshot.__exit__(None, None, None)
    with pytest.raises(StoreClosed):
        views.snapshot()
    assert not list(store.folder.glob("views/*-wal"))


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    log = MemoryLog(System())
    fill(log)
    views = Views(log, System(), checkpoint_every=5)
    answers(views)
    assert views.checkpoint() == log.durable_lsn()
    assert views.rebuild() == log.durable_lsn()
    assert views.checkpoints() == ()
    assert views.sizes() == (0, 0)
    assert views.verify()[0].ok
    views.close()


def test_a_path_may_hold_what_means_something_in_an_address(tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c%20d é"
    odd.mkdir()
    store = Store(odd)
    fill(store.log)
    views = store.views()
    views.checkpoint()
    before = answers(views)
    views.close()
    store.file.unlink()
    assert answers(store.views()) == before
    assert sorted(os.listdir(tmp_path)) == [odd.name]
    store.close()
