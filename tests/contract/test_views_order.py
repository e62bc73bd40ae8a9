"""What comes before what: a checkpoint and its name on disk, a note and the close, a write and the next answer."""

from __future__ import annotations

from pathlib import Path

import pytest

import walnut
from walnut import ViewLag
from walnut.system import System
from walnut.views.store import file_lock


class Noting(System):
    """Notes what it is asked to write, sync, rename and remove, in order, by the names of the files."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}

    def open_file(self, path: str, *, create: bool = False, exclusive: bool = False, write: bool = True) -> int:
        fd = super().open_file(path, create=create, exclusive=exclusive, write=write)
        self._names[fd] = path.rpartition("/")[2]
        return fd

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        self.calls.append(("write", self._names[fd]))
        super().write_at(fd, data, offset)

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.calls.append(("sync", self._names[fd]))

    def sync_directory(self, path: str) -> None:
        super().sync_directory(path)
        self.calls.append(("sync", path.rpartition("/")[2]))

    def rename(self, source: str, target: str) -> None:
        self.calls.append(("rename", target.rpartition("/")[2]))
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self.calls.append(("remove", path.rpartition("/")[2]))
        super().remove(path)


def test_V4_a_checkpoint_is_on_disk_before_it_has_its_name(tmp_path: Path) -> None:
    system = Noting()
    with walnut.open(tmp_path, system=system) as m:
        m.remember("note")
        m.upkeep.checkpoint()
    named = system.calls.index(("rename", "ckpt-000000000001.db"))
    made = [what for what, name in system.calls[:named] if name == "ckpt-000000000001.db.tmp"]
    assert "write" in made
    assert made[-1] == "sync"


def test_V4_older_checkpoints_go_once_the_newer_one_has_its_name_on_disk(tmp_path: Path) -> None:
    system = Noting()
    with walnut.open(tmp_path, system=system) as m:
        for number in range(5):
            m.remember(f"note {number}")
            m.upkeep.checkpoint()
    calls = [call for call in system.calls if call[1] == "checkpoints" or call[1].endswith(".db")]
    gone = [at for at, (what, name) in enumerate(calls) if what == "remove" and name.startswith("ckpt-")]
    assert len(gone) == 2
    for at in gone:
        assert calls[at - 1] == ("sync", "checkpoints")


def test_T4_closing_the_store_writes_what_each_handle_was_shown(tmp_path: Path) -> None:
    with walnut.open(tmp_path, scope="user:a") as m:
        m.remember("tea is hot")
        m.bind(actor="agent:other").recall("tea")
        m.recall("tea")
    with walnut.open(tmp_path, scope="user:a") as m:
        notes = [event.content for event in m.log.read() if event.kind == "memory.recalled"]
    told = {note.actor: note.payload["shown"] for note in notes if note is not None}
    assert told == {"agent:default": [1], "agent:other": [1]}


def test_V5_a_handle_that_has_written_is_not_answered_without_it(tmp_path: Path) -> None:
    """While another process applies, a lag is an answer; what was true before is none."""
    with walnut.open(tmp_path) as m, m.bind() as other:
        m.remember("one")
        assert [record.text for record in other.list().items] == ["one"]
        m._handle.store.views._timeout = 0.05
        with file_lock(System(), f"{tmp_path}/views/applier.lock") as held:
            assert held
            m.remember("two")
            with pytest.raises(ViewLag):
                m.list()
            assert [record.text for record in other.list().items] == ["one"]
        assert [record.text for record in m.list().items] == ["two", "one"]
