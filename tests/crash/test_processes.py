"""Processes that are forked, stopped, interrupted, and that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import walnut
from tests.crash.stores import Ack, acks, fill, judge, reopened, single, small_segments, wait_until
from tests.crash.storm import reported, start
from walnut.errors import DurabilityUnknown, LogBusy
from walnut.log.file_log import FileLog
from walnut.system import System


@contextmanager
def program(*args: str) -> Iterator[subprocess.Popen[str]]:
    """A program of `forker`, killed at the end."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.crash.forker", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_L9_forked_children_are_refused_and_harm_nobody(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    with program("forks", folder) as process:
        written = int(said(process))
        assert process.wait(60) == 0
    with small_segments():
        assert len(reopened(folder, [])) == written + 4 + 1


@pytest.mark.parametrize("how", ["leaves_child", "leaves_child_closing"])
def test_L9_a_child_that_outlives_its_parent_does_not_keep_the_store(tmp_path: Path, how: str) -> None:
    folder = str(tmp_path / "store")
    with program(how, folder) as process:
        child = int(said(process))
        try:
            process.kill()
            process.wait(60)
            log = FileLog.open(System(), folder)
            assert log._opened.epoch == 2, "it joined a child that is no writer instead of recovering"
            assert log.durable_lsn() == 5
            log.close()
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("where", ["write", "store"])
def test_L9_a_stopped_writer_makes_others_fail_by_name_and_loses_nothing(tmp_path: Path, where: str) -> None:
    folder = str(tmp_path / "store")
    with program("stops", folder, where) as process:
        assert said(process) == "stopped"
        with pytest.raises(LogBusy) as raised:
            FileLog.open(System(), folder, busy_timeout=0.05)
        assert raised.value.where == f"process {process.pid}"
        os.kill(process.pid, signal.SIGCONT)
        assert said(process) == "ended"
        assert process.wait(60) == 0
    with FileLog.open(System(), folder) as log:
        assert len(judge(log, [])) == 4


def test_L9_a_writer_stopped_beside_others_makes_them_fail_by_name(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    log = FileLog.open(System(), folder, busy_timeout=0.05)
    known = fill(log, 2)
    with program("stops", folder, "write") as process:
        assert said(process) == "stopped"
        with pytest.raises(LogBusy) as raised:
            log.append(single("busy.0.1"))
        assert raised.value.where == f"process {process.pid}"
        assert len(list(log.read())) == 5  # readers need no lock
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == 0
    known += fill(log, 2, prefix="after")
    log.close()
    assert len(reopened(folder, known)) == 2 + 3 + 1 + 2 + 1


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL])
@pytest.mark.parametrize(("where", "lock"), [("write", "write"), ("datasync>store", "sync")])
def test_L9_who_holds_a_lock_and_is_stopped_is_named_and_once_it_goes_on_or_is_ended_work_does(
    tmp_path: Path, where: str, lock: str, end: signal.Signals
) -> None:
    folder = str(tmp_path / "store")
    log = FileLog.open(System(), folder, busy_timeout=0.05)
    known = fill(log, 2)
    with program("stops", folder, where) as process:
        assert said(process) == "stopped"
        for attempt in range(2):  # who has written already can't say whether it will be there
            with pytest.raises((LogBusy, DurabilityUnknown), match=f"the {lock} lock") as raised:
                log.append(single(f"busy-{attempt}.0.1"))
            assert raised.value.where == f"process {process.pid}"
            with pytest.raises(LogBusy):
                FileLog.open(System(), folder, busy_timeout=0.05)
        assert len(list(log.read())) >= 5
        os.kill(process.pid, end)
        assert process.wait(60) == (0 if end is signal.SIGCONT else -signal.SIGKILL)
    known += fill(log, 2, prefix="after")
    events = judge(log, known)
    tags = [str(event.content.payload["tag"]) for event in events if event.content]
    assert tags.count("stopped.0.1") == (where != "write" or end is signal.SIGCONT)
    log.close()
    reopened(folder, known)


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL])
def test_V5_V6_who_is_stopped_while_it_applies_holds_up_no_writer_and_no_reader_of_what_is_applied(
    tmp_path: Path, end: signal.Signals
) -> None:
    folder = str(tmp_path / "store")
    with walnut.open(folder, scope="global") as m:
        m.remember("the first one")
        assert len(m.recall("first")) == 1
    with program("stops_applying", folder) as process:
        assert said(process) == "stopped"
        with walnut.open(folder, scope="global") as m:
            assert [hit.text for hit in m.recall("first stopped")] == ["the first one"]
            mine = m.remember("walrus")
            views = m._handle.store.views
            views._timeout = 0.05
            with pytest.raises(walnut.ViewLag):
                m.recall("walrus", min_lsn=mine.lsn)
            os.kill(process.pid, end)
            assert process.wait(60) == (0 if end is signal.SIGCONT else -signal.SIGKILL)
            views._timeout = 10.0
            assert {hit.text for hit in m.recall("first stopped walrus")} == {
                "the first one",
                "the stopped one",
                "walrus",
            }
            assert all(check.ok for check in m.upkeep.verify_views())


def test_L9_a_writer_stopped_in_its_sync_blocks_nobody(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    log = FileLog.open(System(), folder, busy_timeout=5)
    with program("stops", folder, "datasync") as process:
        assert said(process) == "stopped"
        known = fill(log, 5)
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == 0
    log.close()
    assert len(reopened(folder, known)) == 3 + 1 + 5 + 1


def test_L9_an_interrupt_at_any_moment_leaves_nothing_locked(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    with program("interrupted", folder) as process:
        written = int(said(process))
        assert process.wait(60) == 0
    with small_segments():
        assert len(reopened(folder, [])) >= written


def test_L10_interrupts_wherever_they_come_lose_no_ack_and_leave_nobody_waiting(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    """Twice in a row, too: the second while what the first one left is put in order."""
    folder = str(tmp_path / "store")
    command = [sys.executable, "-m", "tests.crash.interrupter", folder, str(10 // rounds(10))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    interrupts, *lines = done.stdout.splitlines()
    assert int(interrupts) > 50
    acknowledged = [Ack(int(lsn), event_id, tag) for lsn, event_id, tag in map(str.split, lines)]
    with small_segments():
        reopened(folder, acknowledged)


def test_L9_handles_come_and_go_while_others_write(tmp_path: Path, rounds: Callable[[int], int]) -> None:
    folder = tmp_path / "store"
    strange: list[BaseException] = []
    known: list[Ack] = []

    def come_and_go(name: int) -> None:
        try:
            for number in range(rounds(100)):
                with FileLog.open(System(), str(folder), busy_timeout=60) as log:
                    for n in range(3):
                        batch = single(f"h{name}-{number}-{n}.0.1", 9000)
                        known.extend(acks(batch, log.append(batch)))
        except BaseException as error:
            strange.append(error)
            raise

    with small_segments():
        FileLog.open(System(), str(folder)).close()
        process = start(folder, tmp_path / "report", "beside", 7, threads=2)
        threads = [threading.Thread(target=come_and_go, args=(name,)) for name in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        process.kill()
        process.communicate()
        assert not strange
        reopened(str(folder), known + reported(tmp_path / "report"))


def test_L3_readers_follow_a_writer_over_its_rolls_and_never_run_ahead(tmp_path: Path) -> None:
    """Every kind of read, while another process rolls through small segments."""
    folder = tmp_path / "store"
    with small_segments():
        log = FileLog.open(System(), str(folder))
        process = start(folder, tmp_path / "report", "rolls", 5, threads=3)
        try:
            seen = 0
            while log.size()[0] < 12:
                assert log.wait(seen + 1, timeout=60)
                end = log.durable_lsn()
                events = list(log.read(after=seen))
                assert [event.lsn for event in events] == list(range(seen + 1, seen + 1 + len(events)))
                assert seen + len(events) >= end
                seen += len(events)
                for event in (events[0], events[-1]):
                    assert log.get(event.lsn) == event
                    key = event.touch_keys()[0]
                    assert log.stream(key) == [event.lsn]
                    assert log.last_touch(key) == event.lsn
                    if event.idem is not None:
                        assert log.find_idem(event.idem) == event.lsn
                    assert log.locate(event.lsn).lsn == event.lsn
        finally:
            process.kill()
            process.communicate()
        acknowledged = reported(tmp_path / "report")
        log.sync()  # some were acknowledged as written only
        judge(log, acknowledged)
        log.close()
        reopened(str(folder), acknowledged)


def test_L3_a_reader_of_the_writing_process_is_not_confused_by_a_roll_that_is_not_durable_yet(tmp_path: Path) -> None:
    with small_segments(), FileLog.open(System(), str(tmp_path)) as log:
        known = fill(log, 5)
        log.append(single("process.0.1", 200_000, durability="process"))  # rolls
        log.append(single("keyed.0.1", key="a key", durability="process"))  # looked up in the new segment
        assert log.size()[0] == 1
        fresh = log.get(3)
        assert fresh.lsn == 3
        key = fresh.touch_keys()[0]
        assert log.last_touch(key) == 3
        assert log.stream(key) == [3]
        assert len(judge(log, known)) == 5
        wait_until(lambda: log.durable_lsn() == 7)  # the keeper syncs it without being asked
        assert log.size()[0] == 2


def test_L11_a_key_that_another_process_wrote_is_replayed(tmp_path: Path) -> None:
    with small_segments():
        one, other = FileLog.open(System(), str(tmp_path)), FileLog.open(System(), str(tmp_path))
        for number in range(12):
            batch = single(f"keyed-{number}.0.1", 9000, key=f"key {number}")
            (first,) = one.append(batch)
            (again,) = other.append(batch)
            assert again.replayed
            assert (again.lsn, again.raw_id) == (first.lsn, first.raw_id)
            one, other = other, one
        assert one.size()[0] > 1
        judge(one, [])
        one.close()
        other.close()
