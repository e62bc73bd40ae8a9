"""Views in trouble that is not theirs: locks that others hold, a disk that refuses, stamps and footers that lie."""

from __future__ import annotations

import errno
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.contract.test_views_files import LATER, Store, answers, fill
from tests.crash.faults import Failing
from tests.unit.histories import append, touch, write
from walnut.errors import LogCorruption, StorageFailed, StorageFull, StoreClosed, ViewFailed, ViewLag
from walnut.log.file_log import FileLog
from walnut.log.memory_log import MemoryLog
from walnut.system import System
from walnut.views import checkpoint
from walnut.views import store as view_store
from walnut.views.checkpoint import PIECE, checksum
from walnut.views.reader import Moment
from walnut.views.runner import Views


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process's lock on a file."""
    system = System()
    path.parent.mkdir(exist_ok=True)
    fd = system.open_file(str(path), create=True)
    assert system.try_lock_file(fd)
    try:
        yield
    finally:
        system.close_file(fd)


# -- locks that others hold --------------------------------------------------------------------------------------


def test_V6_while_another_applies_what_needs_it_is_a_lag_and_what_does_not_is_answered(store: Store) -> None:
    fill(store.log)
    views = store.views(timeout=0.05)
    lsn = views.catch_up()
    append(store.log, write(1))
    with held(store.folder / "views" / "applier.lock"):
        for ask in (views.catch_up, views.rebuild, views.checkpoint, lambda: views.snapshot(lsn + 1)):
            with pytest.raises(ViewLag):
                ask()
        with views.snapshot() as snapshot:
            assert snapshot.lsn == lsn
    assert views.catch_up() == lsn + 1


def test_a_checkpoint_that_another_is_writing_is_a_lag(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_PATIENCE", 0.01)
    fill(store.log)
    views = store.views()
    with held(store.folder / "checkpoints" / "checkpoints.lock"), pytest.raises(ViewLag):
        views.checkpoint()
    assert views.checkpoints() == ()
    assert views.checkpoint() == store.log.durable_lsn()


def test_a_file_that_another_is_replacing_is_a_lag(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_store, "_SWAP_PATIENCE", 0.01)
    fill(store.log)
    views = store.views()
    before = answers(views)
    fresh = store.views(timeout=0.05)
    with held(store.folder / "views" / "open.lock"), pytest.raises(ViewLag):
        fresh.snapshot()
    assert answers(fresh) == before


def test_V6_a_file_that_a_stranger_has_locked_is_a_lag_and_not_damage(store: Store) -> None:
    fill(store.log)
    views = store.views()
    lsn = views.catch_up()
    identity = store.file.stat().st_ino
    append(store.log, write(7))
    stranger = sqlite3.connect(store.file, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(ViewLag):
        views.catch_up()
    stranger.execute("ROLLBACK")
    stranger.close()
    assert views.catch_up() == lsn + 1
    assert store.file.stat().st_ino == identity, "nothing was built anew"


# -- a disk that refuses -----------------------------------------------------------------------------------------


def test_a_disk_that_refuses_a_write_is_no_damage_and_work_goes_on_after(store: Store) -> None:
    """The system refuses files beyond a size, as a quota does."""
    fill(store.log)
    views = store.views()
    lsn = views.catch_up()
    identity = store.file.stat().st_ino
    append(store.log, *(write(n, "x" * 60_000) for n in range(3)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (store.folder / "views" / "memories-v1.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, hard))
    try:
        with pytest.raises(StorageFailed):
            views.catch_up()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with views.snapshot(upto=lsn) as snapshot:
        assert snapshot.lsn == lsn
    assert views.catch_up() == lsn + 3
    assert store.file.stat().st_ino == identity
    assert views.verify()[0].ok


@pytest.mark.parametrize("touched", ["open ckpt", "write", "sync", "rename ckpt", "sync_directory"])
def test_a_checkpoint_that_the_disk_refuses_leaves_nothing_and_stops_nobody(store: Store, touched: str) -> None:
    fill(store.log)
    system = Failing()
    views = store.views(system=system)
    before = answers(views)
    system.refuse = {touched: errno.ENOSPC}
    with pytest.raises(StorageFull):
        views.checkpoint()
    assert answers(views) == before
    system.refuse = {}
    assert not list(store.folder.glob("checkpoints/*.tmp"))
    assert views.checkpoint() == before[0]
    (store.folder / "views" / "memories-v1.db").unlink()
    assert answers(store.views()) == before


def test_a_build_that_the_disk_refuses_leaves_the_old_file(store: Store) -> None:
    fill(store.log)
    system = Failing()
    views = store.views(system=system)
    before = answers(views)
    system.refuse = {"rename memories": errno.EIO}
    with pytest.raises(StorageFailed):
        views.rebuild()
    system.refuse = {}
    assert answers(views) == before
    assert views.rebuild() == before[0]


# -- stamps and footers that lie ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM walnut_view", "UPDATE walnut_view SET chain = 'text'", "UPDATE walnut_view SET lsn = NULL"],
)
def test_V4_a_file_whose_stamp_is_none_is_built_anew(store: Store, statement: str) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    views.close()
    db = sqlite3.connect(store.file, isolation_level=None)
    db.execute(statement)
    db.close()
    again = store.views()
    assert not again.verify()[0].ok
    assert answers(again) == before
    assert again.verify()[0].ok


def sealed(body: bytes) -> bytes:
    return body + checksum(body[at : at + PIECE] for at in range(0, len(body), PIECE))


def no_json(data: bytes) -> bytes:
    return sealed(data[:-32].replace(b'{"folds"', b'["folds"'))


def too_long(data: bytes) -> bytes:
    magic = data[-51:-32]
    return sealed(data[: -51 - 4] + (2**31).to_bytes(4, "big") + magic)


def no_database(data: bytes) -> bytes:
    return sealed(b"this is no database"[:16] + data[16:-32])


LIES: list[Callable[[bytes], bytes]] = [no_json, too_long, no_database]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_V4_a_checkpoint_that_lies_under_a_good_hash_is_not_used(store: Store, lie: Callable[[bytes], bytes]) -> None:
    fill(store.log, 12)
    views = store.views()
    older = views.checkpoint()
    fill(store.log, 12)
    newer = views.checkpoint()
    before = answers(views)
    views.close()
    store.file.unlink()
    path = store.folder / "checkpoints" / f"ckpt-{newer:012}.db"
    path.write_bytes(lie(path.read_bytes()))
    store.seen.seen.clear()
    assert answers(store.views()) == before
    assert store.seen.seen[0] == older + 1


@pytest.mark.parametrize("another", [True, False])
def test_V4_a_checkpoint_whose_rows_are_of_another_position_is_passed_over(store: Store, *, another: bool) -> None:
    views, lsns = store.views(), []
    for _ in range(3):
        fill(store.log, 12)
        lsns.append(views.checkpoint())
    before = answers(views)
    views.close()
    store.file.unlink()
    _, old, new = (store.folder / "checkpoints" / f"ckpt-{lsn:012}.db" for lsn in lsns)
    start = old.read_bytes().rindex(b'{"folds"')
    footer = new.read_bytes()[new.read_bytes().rindex(b'{"folds"') : -32]
    new.write_bytes(sealed(old.read_bytes()[:start] + footer))
    old.unlink()
    if not another:
        (store.folder / "checkpoints" / f"ckpt-{lsns[0]:012}.db").unlink()
    store.seen.seen.clear()
    assert answers(store.views()) == before
    assert store.seen.seen[0] == (lsns[0] + 1 if another else 1)


def test_a_damaged_checkpoint_stays_until_a_newer_good_one_is_there(store: Store) -> None:
    views = store.views()
    append(store.log, write(1))
    ahead = store.folder / "checkpoints" / "ckpt-000000000003.db"
    views.checkpoint()
    ahead.write_bytes(b"damaged")
    append(store.log, write(2))
    assert views.checkpoint() == 2
    assert views.checkpoints() == (1, 2, 3)
    append(store.log, write(3), write(4))
    assert views.checkpoint() == 4
    assert views.checkpoints() == (1, 2, 4)


# -- many readers, and the end -----------------------------------------------------------------------------------


def test_V6_many_snapshots_at_once_see_their_states_and_outlive_the_close(store: Store) -> None:
    views = store.views()
    with ExitStack() as opened:
        for number in range(12):
            append(store.log, write(number))
            snapshot = opened.enter_context(views.snapshot())
            assert snapshot.lsn == number + 1
        last = views.snapshot()
    views.close()
    with last:
        assert last.lsn == 12
        assert last.choose(touch(11), Moment(12, LATER)) is not None
    with pytest.raises(StoreClosed):
        views.snapshot()


def test_a_question_that_is_no_good_is_an_error_and_spoils_nothing(store: Store) -> None:
    fill(store.log)
    views = store.views()
    before = answers(views)
    with pytest.raises(sqlite3.OperationalError), views.snapshot() as snapshot:
        snapshot.db.execute("SELECT * FROM walnut_view WHERE")
    assert answers(views) == before


def test_verify_of_views_that_were_never_read_builds_them_first(store: Store) -> None:
    fill(store.log)
    (check,) = store.views().verify()
    assert check.ok
    assert check.lsn == store.log.durable_lsn()


def test_views_in_memory_are_rebuilt_verified_and_of_no_size() -> None:
    log = MemoryLog(System())
    fill(log)
    views = Views.open(log, System(), folder=None, checkpoint_every=5)
    before = answers(views)
    assert views.rebuild() == before[0]
    assert answers(views) == before
    assert views.verify()[0].ok
    assert views.sizes() == (0, 0)
    assert views.checkpoint() == before[0]
    assert views.checkpoints() == ()
    views.close()
    log.close()


def test_sizes_are_those_of_the_files_there_are(store: Store) -> None:
    views = store.views()
    assert views.sizes() == (0, 0)
    fill(store.log)
    views.checkpoint()
    live, saved = views.sizes()
    assert live >= store.file.stat().st_size
    assert saved == sum(path.stat().st_size for path in store.folder.glob("checkpoints/ckpt-*"))


def test_V7_a_rebuild_of_views_that_cannot_go_on_says_so_and_keeps_what_is_before(store: Store) -> None:
    fill(store.log)
    store.seen.refuses = {20}
    views = store.views()
    with pytest.raises(ViewFailed):
        views.rebuild()
    with views.snapshot(upto=19) as snapshot:
        assert snapshot.lsn == 19


def test_L5_a_damaged_log_stops_a_build_and_the_view_is_built_once_it_is_whole(tmp_path: Path) -> None:
    with FileLog.open(System(), str(tmp_path)) as log:
        for number in range(20):
            append(log, write(number))
        views = Views(log, System(), folder=str(tmp_path), chunk=3)
        place = log.locate(8)
        path = tmp_path / place.file
        whole = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(place.offset + 200)
            file.write(b"damage")
        for _ in range(2):
            with pytest.raises(LogCorruption):
                views.catch_up()
        assert [found.name for found in tmp_path.glob("views/*.new*")] == []
        with path.open("r+b") as file:
            file.write(whole)
        assert views.catch_up() == 20
        assert views.verify()[0].ok
        views.close()
