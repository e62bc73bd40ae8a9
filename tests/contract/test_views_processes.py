"""The views of one folder in several real processes: reading one's own, one applier at a time, and killed appliers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.histories import append, touch, write
from walnut.errors import ViewLag
from walnut.log.file_log import FileLog
from walnut.ports import Log
from walnut.system import System
from walnut.views.folds.memories_sql import MemoriesFold
from walnut.views.reader import Moment
from walnut.views.runner import Views

LATER = 2**62
ROOT = Path(__file__).parents[2]

PRELUDE = """
import os, signal, sys
from tests.unit.histories import append, touch, write
from walnut.log.file_log import FileLog
from walnut.system import System
from walnut.views.folds.memories_sql import MemoriesFold
from walnut.views.reader import Moment
from walnut.views.runner import Views

folder = sys.argv[1]
log = FileLog.open(System(), folder)

class Stumbles:
    '''A fold that does something to its own process in the middle of a transaction.'''
    name, version, schema = "stumbles", 1, ()
    def __init__(self, at, signal_number, statement=""):
        self.at, self.signal_number, self.statement = at, signal_number, statement
    def apply(self, db, events):
        if any(event.lsn == self.at for event in events):
            if self.statement:
                db.set_trace_callback(self.before)
            else:
                self.stumble()
    def before(self, sql):
        if sql.startswith(self.statement):
            self.stumble()
    def stumble(self):
        print("now", flush=True)
        os.kill(os.getpid(), self.signal_number)
    def digest(self, db):
        return "none"
"""


def views(log: Log, folder: Path, *, timeout: float = 30.0) -> Views:
    return Views(log, System(), folder=str(folder), folds=(MemoriesFold(), Nothing()), timeout=timeout, chunk=10)


class Nothing:
    """Stands where the other process has its stumbling fold."""

    name, version, schema = "stumbles", 1, ()

    def apply(self, db: object, events: object) -> None:
        """Fold nothing."""

    def digest(self, db: object) -> str:
        return "none"


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    code = PRELUDE + dedent(program)
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened: Log = FileLog.open(System(), str(tmp_path))
    yield opened
    opened.close()


def finish(process: subprocess.Popen[str]) -> None:
    with process:
        if process.poll() is None:
            process.kill()


def stumbling(at: int, signal_name: str, statement: str = "") -> str:
    return f"""
    fold = Stumbles({at}, signal.{signal_name}, {statement!r})
    views = Views(log, System(), folder=folder, folds=(MemoriesFold(), fold), chunk=10)
    views.catch_up()
    """


@pytest.mark.parametrize("statement", ["", "UPDATE walnut_view SET lsn", "COMMIT"])
def test_V2_a_process_killed_between_rows_and_position_leaves_neither(tmp_path: Path, log: Log, statement: str) -> None:
    first = views(log, tmp_path)
    append(log, *(write(number) for number in range(10)))
    first.catch_up()
    append(log, *(write(number) for number in range(25)))
    process = start(stumbling(23, "SIGKILL", statement), tmp_path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        assert process.wait(60) == -signal.SIGKILL
        with first.snapshot(upto=10) as snapshot:
            assert snapshot.lsn == 20
            assert snapshot.db.execute("SELECT max(lsn), count(*) FROM events").fetchone() == (20, 20)
        assert first.catch_up() == 35
        assert first.verify()[0].ok
    finally:
        finish(process)
        first.close()


def test_V6_a_stopped_applier_leaves_readers_what_is_applied(tmp_path: Path, log: Log) -> None:
    reader = views(log, tmp_path, timeout=0.3)
    append(log, *(write(number) for number in range(10)))
    reader.catch_up()
    append(log, *(write(number) for number in range(25)))
    process = start(stumbling(23, "SIGSTOP"), tmp_path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        os.waitpid(process.pid, os.WUNTRACED)
        with reader.snapshot() as snapshot:
            assert snapshot.lsn == 20
        with pytest.raises(ViewLag) as caught:
            reader.snapshot(35)
        assert caught.value.applied == 20
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        with reader.snapshot(35) as snapshot:
            assert snapshot.lsn == 35
    finally:
        finish(process)
        reader.close()


def test_V5_two_processes_write_and_read_in_turn(tmp_path: Path, log: Log) -> None:
    """Each LSN goes over as a token; who gets one reads with it as `min_lsn`."""
    program = """
    views = Views(log, System(), folder=folder, folds=(MemoriesFold(), Stumbles(0, 0)), chunk=10)
    for line in sys.stdin:
        number, lsn = map(int, line.split())
        with views.snapshot(lsn) as snapshot:
            seen = snapshot.choose(touch(number), Moment(snapshot.lsn, 2**62)) is not None
        print(append(log, write(number + 1000)), seen, flush=True)
    views.close()
    log.close()
    """
    mine = views(log, tmp_path)
    process = start(program, tmp_path)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(20):
            process.stdin.write(f"{number} {append(log, write(number))}\n")
            process.stdin.flush()
            lsn, seen = process.stdout.readline().split()
            assert seen == "True"
            with mine.snapshot(int(lsn)) as snapshot:
                assert snapshot.choose(touch(number + 1000), Moment(snapshot.lsn, LATER)) is not None
        process.stdin.close()
        assert process.wait(60) == 0
        assert mine.verify()[0].ok
    finally:
        finish(process)
        mine.close()


def test_a_rebuild_reaches_the_readers_of_other_processes(tmp_path: Path, log: Log) -> None:
    program = """
    views = Views(log, System(), folder=folder, folds=(MemoriesFold(), Stumbles(0, 0)))
    for line in sys.stdin:
        with views.snapshot() as snapshot:
            print(snapshot.lsn, snapshot.db.execute("SELECT count(*) FROM events").fetchone()[0], flush=True)
    views.close()
    log.close()
    """
    mine = views(log, tmp_path)
    process = start(program, tmp_path)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(8):
            append(log, write(number))
            mine.rebuild()
            process.stdin.write("look\n")
            process.stdin.flush()
            assert process.stdout.readline().split() == [str(number + 1)] * 2
        process.stdin.close()
        assert process.wait(60) == 0
        assert mine.verify()[0].ok
    finally:
        finish(process)
        mine.close()


def test_V4_the_views_of_a_folder_survive_any_number_of_kills(tmp_path: Path, log: Log) -> None:
    append(log, *(write(number % 7) for number in range(60)))
    for at in (5, 17, 33, 58):
        process = start(stumbling(at, "SIGKILL"), tmp_path)
        assert process.wait(60) == -signal.SIGKILL
        finish(process)
    mine = views(log, tmp_path)
    assert mine.catch_up() == 60
    assert mine.verify()[0].ok
    mine.close()
