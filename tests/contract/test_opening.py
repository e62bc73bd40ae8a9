"""Opening: what is refused, with what error, and that a refusal leaves everything as it was."""

import os
import subprocess
import sys
from pathlib import Path

import google_crc32c
import pytest

import walnut
from walnut.system import System


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_store_is_made_kept_and_opened_again(tmp_path: Path) -> None:
    for url in (tmp_path / "s", str(tmp_path / "s")):
        with walnut.open(url) as m:
            assert m.url == str(url)
            m.remember("tea", idempotency_key="once")
            assert m.log.durable_lsn == 1


def test_a_folder_that_is_not_a_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(walnut.NotAStore):
        walnut.open(tmp_path)
    for use in (walnut.verify, walnut.repair):
        with pytest.raises(walnut.NotAStore):
            use(tmp_path)
    assert tree(tmp_path) == {"letters.txt": b"dear"}


def test_a_file_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(walnut.WalnutError):
        walnut.open(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "dear"


def test_a_missing_store_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(walnut.NotAStore):
        walnut.open(tmp_path / "s", create=False)
    assert not (tmp_path / "s").exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    walnut.open(tmp_path / "s").close()
    path = tmp_path / "s" / "FORMAT"
    body = path.read_bytes().rpartition(b" ")[0].replace(b'"walnut":1', b'"walnut":99')
    path.write_bytes(body + f" {google_crc32c.value(body):08x}\n".encode())
    before = tree(tmp_path)
    for use in (walnut.open, walnut.verify):
        with pytest.raises(walnut.FormatTooNew):
            use(tmp_path / "s")
    assert tree(tmp_path) == before


class Nfs(System):
    def network_file_system(self, path: str) -> str | None:
        return "nfs4"


def test_a_network_file_system_is_refused_unless_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(walnut.UnsupportedFileSystem):
        walnut.open(tmp_path / "s", system=Nfs())
    with walnut.open(tmp_path / "s", system=Nfs(), network_file_system=True) as m:
        assert m.remember("tea").lsn == 1


class Impatient(System):
    """A clock that runs ten seconds at each look."""

    def __init__(self) -> None:
        self.ticks = 0.0

    def monotonic(self) -> float:
        self.ticks += 10.0
        return self.ticks


def test_the_note_of_an_idle_handle_is_written(tmp_path: Path) -> None:
    with walnut.open("memory://", system=Impatient()) as m:
        m.remember("tea is hot")
        m.recall("tea")
        assert m._handle.store.log.wait(2, timeout=30)
        assert [event.kind for event in m.log.read(after=1)] == ["memory.recalled"]


def test_a_note_that_can_not_be_written_fails_nobody(tmp_path: Path) -> None:
    with walnut.open("memory://") as m:
        m.remember("tea is hot")
        m.recall("tea")
        m._handle.store.log.close()  # the log is gone before the handle


@pytest.mark.parametrize("url", ["memory://", "files"])
def test_a_forked_child_is_told_to_open_again(url: str, tmp_path: Path) -> None:
    script = f"""
import os, walnut
m = walnut.open({url if url == "memory://" else str(tmp_path / "s")!r})
m.remember("tea", key="drink")
m.get(key="drink")
pid = os.fork()
if pid == 0:
    wrong = 0
    for use in (lambda: m.remember("x"), lambda: m.get(key="drink"), lambda: m.list(), lambda: m.bind()):
        try:
            use()
            wrong += 1
        except walnut.StoreClosed as error:
            wrong += not error.hint
    m.close()
    os._exit(wrong)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert m.remember("coffee", key="drink").lsn == 2
m.close()
"""
    # Since 3.12 Python warns of any fork beside a thread.
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_and_opening_loads_nothing_slow() -> None:
    script = (
        "import sys, walnut\nloaded = set(sys.modules)\n"
        "assert not loaded & {'asyncio', 'numpy', 'sqlite3', 'msgspec'}, loaded\n"
        "walnut.open('memory://').close()\n"
        "assert not set(sys.modules) & {'asyncio', 'numpy', 'subprocess', 'concurrent.futures'}\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, env={**os.environ, "COVERAGE_PROCESS_START": ""}
    )


def test_verify_is_offline_and_read_only(tmp_path: Path) -> None:
    with walnut.open(tmp_path / "s") as m:
        m.remember_many({"text": f"note {n}"} for n in range(10))
    before = tree(tmp_path)
    report = walnut.verify(str(tmp_path / "s"))
    assert (report.ok, report.events, report.last_lsn) == (True, 10, 10)
    assert tree(tmp_path) == before
    assert not walnut.repair(tmp_path / "s", progress=lambda *_: None).repaired
    for wrong in ("", "a\0b", b"x"):
        with pytest.raises(walnut.InvalidArgument):
            walnut.verify(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["x/" * 3000, "x" * 300, "y/" + "x" * 300])
def test_a_path_that_is_too_long_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(walnut.StorageFailed, match="ENAMETOOLONG"):
        walnut.open(path)
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "store"
    with walnut.open(folder) as memory:
        memory.remember("mine")
        assert memory.recall("mine")
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))] == [0] * len(
        [folder, *folder.rglob("*")]
    )
