"""One bit flipped anywhere in a store, or one file emptied, cut or deleted: all is read back, or a clear error."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.crash.rot import REBUILT, files, harm
from tests.crash.stores import Ack, fill, judge, say, small_segments
from walnut.errors import FormatTooNew, LogCorruption, NotAStore
from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.log.verify import verify_folder
from walnut.system import System

EVENTS = 1000


def write_store(folder: str) -> list[Ack]:
    """A thousand events, most of them small, in several segments; keyed by nothing, so that ids tell."""
    with small_segments():
        log = FileLog.open(System(), folder)
        known = []
        for part in range(10):
            known += fill(log, EVENTS // 10, prefix=f"fill{part}", size=100 + 20 * part)
        log.close()
    return known


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ack]]:
    """A store that was closed, and what it acknowledged."""
    folder = tmp_path_factory.mktemp("closed") / "store"
    return folder, write_store(str(folder))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ack]]:
    """The same, but its last writer was killed in the middle of a frame."""
    folder = tmp_path_factory.mktemp("killed") / "store"
    known = write_store(str(folder))
    command = [sys.executable, "-m", "tests.crash.dier", str(folder), "append", "write-1", "half"]
    read, write = os.pipe()
    with subprocess.Popen([*command, str(write)], pass_fds=[write]) as process:
        os.close(write)
        with open(read, encoding="ascii") as report:
            lines = [line.split() for line in report.read().splitlines()]
    assert process.returncode == -9
    return folder, known + [Ack(int(line[0]), line[1], line[2]) for line in lines]


def outcome(folder: Path, known: list[Ack]) -> str:
    """`intact`, or the name of the file that the error names; any other exception fails the test."""
    offline = verify_folder(System(), str(folder))
    try:
        with FileLog.open(System(), str(folder)) as log:
            try:
                judge(log, known)
            except LogCorruption as error:
                assert not log.verify().ok, "reading finds what verify does not"
                assert not offline.ok, "reading finds what verify does not"
                return named(error)
    except LogCorruption as error:
        if offline.ok:
            raise AssertionError("opening finds what verify does not") from error
        return named(error)
    return "intact"


def named(error: LogCorruption) -> str:
    assert error.file
    assert error.offset >= 0
    if "frame" in error.message:
        assert error.first_lsn or error.last_lsn, str(error)
    return error.file.removeprefix("log/")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("store", ["closed", "killed"])
def test_L5_L13_damage_anywhere_is_harmless_or_a_clear_error(
    store: str, request: pytest.FixtureRequest, tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    origin, known = request.getfixturevalue(store)
    outcomes: dict[str, int] = {}
    with small_segments():
        for _ in range(rounds(500)):
            seed = random.SystemRandom().getrandbits(32)
            chance = random.Random(seed)
            folder = tmp_path / "harmed"
            shutil.copytree(origin, folder)
            path = chance.choice(files(folder))
            name, done = path.name, harm(path, chance)
            say(f"seed {seed}: {done}")
            found = outcome(folder, known)
            say(f"    {found}")
            assert found == "intact" or name not in REBUILT, f"{done}: {found}"
            assert found == "intact" or not name.endswith(".idx"), f"{done}: {found}"
            outcomes[found] = outcomes.get(found, 0) + 1
            shutil.rmtree(folder)
    say(f"{outcomes}")


@pytest.mark.parametrize("name", ["log", "log/mark", "FORMAT", "keys"])
@pytest.mark.parametrize("store", ["closed", "killed"])
def test_L5_what_is_missing_is_named_or_not_needed(
    store: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    origin, known = request.getfixturevalue(store)
    folder = tmp_path / "harmed"
    shutil.copytree(origin, folder)
    if name == "log":
        shutil.rmtree(folder / name)
    else:
        (folder / name).unlink()
    with small_segments():
        try:
            with FileLog.open(System(), str(folder)) as log:
                judge(log, known)
            assert name == "log/mark"
        except LogCorruption:
            assert name != "log/mark"


@pytest.mark.parametrize("store", ["closed", "killed"])
def test_L5_each_segment_that_is_missing_emptied_or_cut_is_named(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    origin, _ = request.getfixturevalue(store)
    names = [path.name for path in files(origin) if segment.parse_name(path.name)]
    assert len(names) > 2
    with small_segments():
        for name in names:
            for length in (None, 0, 100, 5000):
                folder = tmp_path / "harmed"
                shutil.copytree(origin, folder)
                if length is None:
                    (folder / "log" / name).unlink()
                else:
                    os.truncate(folder / "log" / name, length)
                with pytest.raises(LogCorruption) as raised:
                    FileLog.open(System(), str(folder))
                assert raised.value.file == f"log/{name}"
                assert not verify_folder(System(), str(folder)).ok
                shutil.rmtree(folder)


def test_what_is_no_store_or_a_newer_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("not ours")
    with pytest.raises(NotAStore):
        FileLog.open(System(), str(tmp_path))
    with pytest.raises(NotAStore):
        FileLog.open(System(), str(tmp_path / "note.txt"))
    with pytest.raises(NotAStore):
        FileLog.open(System(), str(tmp_path / "nothing"), create=False)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    with FileLog.open(System(), str(tmp_path / "store")):
        pass
    path = next((tmp_path / "store" / "log").glob("seg-*"))
    header = segment.decode_header(path.read_bytes(), file=path.name)
    newer = segment.encode_header(msgspec.structs.replace(header, incompatible=2))
    path.write_bytes(newer + path.read_bytes()[len(newer) :])
    with pytest.raises(FormatTooNew):
        FileLog.open(System(), str(tmp_path / "store"))
