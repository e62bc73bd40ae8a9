"""Files of another store, of a wrong name, or folders where views and checkpoints belong: right, or a clear error."""

import shutil
from pathlib import Path

import pytest

import walnut
from walnut import Memory, WalnutError


def answers(m: Memory) -> object:
    return m.list(limit=1000).items, m.recall("fact", k=5), m.get(key="k")


def fill(folder: Path, number: int) -> object:
    with walnut.open(folder, scope="global", checkpoint_every=0) as m:
        m.remember_many([{"text": f"fact {n} of {folder.name}", "key": "k" if n % 2 else None} for n in range(number)])
        m.upkeep.checkpoint()
        return answers(m)


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, Path, object]:
    """A store, another longer one, and what the first one answers."""
    expected = fill(tmp_path / "mine", 30)
    fill(tmp_path / "other", 60)
    return tmp_path / "mine", tmp_path / "other", expected


def test_V4_files_of_another_store_are_not_believed(store: tuple[Path, Path, object]) -> None:
    mine, other, expected = store
    for part in ("views", "checkpoints"):
        shutil.rmtree(mine / part)
        shutil.copytree(other / part, mine / part)
        if part == "checkpoints":
            shutil.rmtree(mine / "views")  # else nobody asks for one
        with walnut.open(mine, scope="global") as m:
            assert answers(m) == expected
            assert m.upkeep.verify_views()[0].ok


def test_V4_a_checkpoint_with_the_name_of_a_later_lsn_is_what_it_is(store: tuple[Path, Path, object]) -> None:
    mine, _, expected = store
    (checkpoint,) = (mine / "checkpoints").glob("*.db")
    checkpoint.rename(checkpoint.with_name("ckpt-000000009999.db"))
    shutil.rmtree(mine / "views")
    with walnut.open(mine, scope="global") as m:
        assert answers(m) == expected


def test_checkpoints_of_another_store_keep_out_none_of_ones_own(store: tuple[Path, Path, object]) -> None:
    mine, other, _ = store
    (checkpoint,) = (other / "checkpoints").glob("*.db")
    for lsn in (500, 600, 700):
        shutil.copy(checkpoint, mine / "checkpoints" / f"ckpt-{lsn:012}.db")
    with walnut.open(mine, scope="global", checkpoint_every=5) as m:
        for number in range(5):
            m.remember(f"more {number}", durability="process")
        m.list()  # applies them, and begins a checkpoint that the close waits for
    with walnut.open(mine, scope="global") as m:
        assert m.upkeep.stats().checkpoints == (30, m.log.durable_lsn, 500, 600, 700)


def test_V4_no_checkpoint_is_made_of_a_damaged_file(store: tuple[Path, Path, object]) -> None:
    mine, _, expected = store
    with walnut.open(mine, scope="global") as m:
        assert answers(m) == expected
        m.remember("one more")
        m.wait()
        live = mine / "views" / "memories-v1.db"
        raw = live.read_bytes()
        live.write_bytes(raw[:4096] + b"\xff" * (len(raw) - 4096))
        assert m.upkeep.checkpoint() >= 31
        assert m.upkeep.verify_views()[0].ok
        assert len(m.list(limit=1000).items) == 17


@pytest.mark.parametrize(
    "name",
    [
        *("views", "views/memories-v1.db", "views/memories-v1.db-wal", "views/memories-v1.db.new"),
        *("views/applier.lock", "views/open.lock"),
        *("checkpoints", "checkpoints/checkpoints.lock", "checkpoints/ckpt-000000000030.db"),
    ],
)
def test_V4_something_odd_in_the_place_of_a_file_is_right_or_a_clear_error(
    name: str, store: tuple[Path, Path, object]
) -> None:
    mine, _, expected = store
    path = mine / name
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("not a folder")
    else:
        path.unlink(missing_ok=True)
        (path / "not a file").mkdir(parents=True)
    with walnut.open(mine, scope="global") as m:
        for ask in (answers, lambda m: m.upkeep.verify_views(), lambda m: m.upkeep.checkpoint(), lambda m: m.wait()):
            try:
                found = ask(m)
            except WalnutError as error:
                refused: WalnutError | None = error
            else:
                refused = None
                assert ask is not answers or found == expected
            assert refused is None or (refused.where and refused.hint)
        m.remember("the log works on")
    shutil.rmtree(mine / "views", ignore_errors=True)
    (mine / "views").unlink(missing_ok=True)
    with walnut.open(mine, scope="global") as m:
        assert len(m.list(limit=1000).items) == 17


def test_V1_an_empty_session_is_nobody_elses() -> None:
    with walnut.open("memory://", scope="global") as m:
        m.remember_many([{"text": "one", "source": {"session": ""}}, {"text": "two"}])
        m.wait()
        m.remember("three")
        assert m.list(limit=1).items[0].text == "three"
        assert m.upkeep.verify_views()[0].ok
