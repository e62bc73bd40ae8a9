"""Disks that fail, fill up and lie, and clocks that step back."""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.faults import Failing, SettableClock
from tests.crash.stores import Ack, acks, fill, judge, reopened, single, small_segments, wait_until
from walnut.errors import DurabilityUnknown, LogCorruption, StorageFailed, StorageFull, StoreClosed, WalnutError
from walnut.log import segment
from walnut.log.file_log import FileLog
from walnut.log.verify import verify_folder
from walnut.ports import Ticket
from walnut.system import System, Thread


def close(log: FileLog) -> None:
    """Close a log that may be poisoned."""
    with contextlib.suppress(DurabilityUnknown):
        log.close()


def test_L7_a_failed_sync_is_final_for_every_caller_in_every_process(tmp_path: Path) -> None:
    folder, system = str(tmp_path), Failing()
    log, other = FileLog.open(system, folder), FileLog.open(System(), folder)  # two handles are like two processes
    known = fill(log, 5) + fill(other, 5, prefix="other")
    system.refuse = {"datasync": errno.EIO}
    with pytest.raises(DurabilityUnknown):
        log.append(single("lost.0.1"))
    system.refuse = {}
    for handle in (log, other):
        with pytest.raises(DurabilityUnknown):
            handle.append(single("late.0.1"))
        with pytest.raises(DurabilityUnknown):
            handle.append(single("late-process.0.1", durability="process"))
        with pytest.raises(DurabilityUnknown):
            handle.sync()
        assert [event.lsn for event in handle.read()] == list(range(1, 11))  # what was durable can still be read
    fresh = FileLog.open(System(), folder)  # while the poisoned ones are still open
    judge(fresh, known)
    known += fill(fresh, 3, prefix="fresh")
    with pytest.raises(DurabilityUnknown):
        other.append(single("later.0.1"))
    close(log)
    close(other)
    fresh.close()
    reopened(folder, known)


def test_L7_all_waiting_callers_hear_of_the_failed_sync(tmp_path: Path) -> None:
    class Stuck(Failing):
        """Lets a sync fail only when everybody waits for it."""

        def __init__(self) -> None:
            super().__init__()
            self.go = threading.Event()

        def datasync(self, fd: int) -> None:
            if "datasync" in self.refuse:
                self.go.wait(60)
            super().datasync(fd)

    system = Stuck()
    log = FileLog.open(system, str(tmp_path))
    known = fill(log, 3)
    system.refuse = {"datasync": errno.EIO}
    errors: list[BaseException] = []

    def append(number: int) -> None:
        try:
            log.append(single(f"waiting-{number}.0.1"))
        except DurabilityUnknown as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(log._committer._queue) == 7)
    system.go.set()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 8
    close(log)
    reopened(str(tmp_path), known)


def test_L1_nobody_is_answered_while_the_disk_is_still_at_work(tmp_path: Path) -> None:
    class Slow(System):
        """Lets a sync wait."""

        def __init__(self) -> None:
            self.begun, self.go = threading.Event(), threading.Event()

        def datasync(self, fd: int) -> None:
            self.begun.set()
            assert self.go.wait(60)
            super().datasync(fd)

    system = Slow()
    system.go.set()
    with FileLog.open(system, str(tmp_path)) as log:
        keyed = single("keyed.0.1", key="key", durability="process")
        log.append(keyed)
        assert log.durable_lsn() == 0
        system.begun.clear()
        system.go.clear()
        tickets = [log.submit(single("a.0.1")), log.submit(single("b.0.1")), log.submit(keyed)]
        assert system.begun.wait(60)
        answered: list[Ticket] = []
        for ticket in tickets:
            ticket.add_done_callback(answered.append)
        early, durable = len(answered), log.durable_lsn()
        system.go.set()  # before anything is judged: closing waits for the disk
        assert (early, durable) == (0, 0)
        assert [ticket.result(60)[0].lsn for ticket in tickets] == [2, 3, 1]
        assert log.durable_lsn() == 3


def test_L6_recovery_writes_the_unsynced_range_again_before_it_syncs_it(tmp_path: Path) -> None:
    folder, system = str(tmp_path), Failing()
    log = FileLog.open(system, folder)
    known = fill(log, 3)
    system.refuse = {"datasync": errno.EIO}
    with pytest.raises(DurabilityUnknown):
        log.append(single("unsynced.0.1"))
    recovering = Failing()
    with FileLog.open(recovering, folder) as fresh:
        first_write = recovering.touched.index("write")
        assert recovering.touched.index("datasync") > first_write
        judge(fresh, known)
    close(log)


def test_L6_a_process_that_joins_writes_what_others_left_unsynced_again_before_its_first_sync(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with FileLog.open(System(), folder) as log:
        fill(log, 2)
        log.append(single("unsynced.0.1", durability="process"))
        system = Failing()
        with FileLog.open(system, folder) as joined:
            joined.get(1)  # opening the file to read must not count
            system.touched.clear()
            assert joined.sync() == 3
            assert "write" in system.touched
            assert system.touched.index("write") < system.touched.index("datasync")


def test_L1_the_disk_is_asked_before_the_ack_and_the_predecessor_before_a_new_segment(tmp_path: Path) -> None:
    system = Failing()
    with small_segments(), FileLog.open(system, str(tmp_path)) as log:
        for number, size in enumerate([100, 100, 200_000, 100]):
            system.touched.clear()
            (got,) = log.append(single(f"event-{number}.0.1", size))
            assert log.durable_lsn() == got.lsn
            assert "write" in system.touched
            assert "datasync" in system.touched[system.touched.index("write") :]
        system.touched.clear()
        log.append(single("process.0.1", 100, durability="process"))
        assert "datasync" not in system.touched
        assert log.durable_lsn() == 4
        log.append(single("roll.0.1", 600_000, durability="process"))
        rename = next(n for n, touch in enumerate(system.touched) if touch.startswith("rename seg-"))
        assert "datasync" in system.touched[:rename]
        assert "sync" in system.touched[:rename]
        assert "sync_directory" in system.touched[rename:]


def test_L1_a_sync_answers_only_for_what_was_written_before_it_began(tmp_path: Path) -> None:
    class Beside(System):
        """Lets something else happen while the disk is at work."""

        def __init__(self) -> None:
            self.meanwhile: list[Callable[[], object]] = []

        def datasync(self, fd: int) -> None:
            super().datasync(fd)
            while self.meanwhile:
                self.meanwhile.pop()()

    system = Beside()
    with FileLog.open(system, str(tmp_path)) as log, FileLog.open(System(), str(tmp_path)) as other:
        known = fill(other, 2)
        system.meanwhile.append(lambda: other.append(single("unsynced.0.1", durability="process")))
        known += acks(batch := single("synced.0.1"), log.append(batch))
        assert (log.durable_lsn(), other.durable_lsn()) == (3, 3)
        assert log.sync() == 4
        judge(log, known)


def test_L7_a_sync_that_failed_once_is_not_asked_for_again(tmp_path: Path) -> None:
    """The kernel has told of the failure and given the pages up: a second sync would succeed and mean nothing."""

    class Once(System):
        refusing = 0

        def datasync(self, fd: int) -> None:
            if self.refusing:
                self.refusing -= 1
                raise OSError(errno.EIO, "refused")
            super().datasync(fd)

    system = Once()
    log = FileLog.open(system, str(tmp_path))
    known = fill(log, 3)
    system.refusing = 1
    with pytest.raises(DurabilityUnknown):
        log.append(single("lost.0.1"))
    with pytest.raises(DurabilityUnknown):
        log.sync()
    close(log)
    reopened(str(tmp_path), known)


def test_L6_a_process_that_joins_writes_what_others_left_unsynced_again_before_it_begins_a_segment(
    tmp_path: Path,
) -> None:
    system = Failing()
    with small_segments(), FileLog.open(System(), str(tmp_path)) as log, FileLog.open(system, str(tmp_path)) as joined:
        known = fill(log, 2)
        log.append(single("unsynced.0.1", durability="process"))
        system.touched.clear()
        known += acks(batch := single("large.0.1", 70_000), joined.append(batch))
        begun = next(at for at, touch in enumerate(system.touched) if touch.startswith("rename seg-"))
        before = system.touched[:begun]
        assert before.index("write") < before.index("datasync")
        judge(joined, known)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("touch", ["write", "open seg-", "sync", "rename", "half write"])
def test_L8_a_disk_that_refuses_a_write_or_a_new_segment_is_a_clear_refusal(
    tmp_path: Path, touch: str, number: int
) -> None:
    folder, system = str(tmp_path), Failing()
    expected = StorageFailed if number == errno.EIO else StorageFull
    with small_segments():
        log = FileLog.open(system, folder)
        known = fill(log, 3)
        system.half_written = touch.startswith("half")
        for attempt in range(3):
            roll = touch not in {"write", "half write"} or attempt == 1
            system.refuse = {touch.removeprefix("half "): number}
            with pytest.raises((expected, DurabilityUnknown) if touch == "sync" else expected):
                log.append(single(f"refused-{attempt}.0.1", 300_000 if roll else 100))
            system.refuse = {}
            if touch == "sync" and _poisoned(log):
                close(log)
                log = FileLog.open(system, folder)
            judge(log, known)
            known += fill(log, 2, prefix=f"after-{attempt}")
        log.close()
        reopened(folder, known)


def test_L4_what_was_half_written_is_never_written_over(tmp_path: Path) -> None:
    """Also by another process: what is left of it would make the next frame that is torn look whole."""
    system = Failing()
    with small_segments(), FileLog.open(system, str(tmp_path)) as log, FileLog.open(System(), str(tmp_path)) as other:
        known = fill(log, 3)
        system.half_written, system.refuse = True, {"write": errno.EIO}
        with pytest.raises(StorageFailed):
            log.append(single("torn.0.1", 5000))
        system.refuse = {}
        torn = (tmp_path / "log" / segment.name(1)).read_bytes()
        known += fill(other, 2, prefix="after")
        assert (tmp_path / "log" / segment.name(1)).read_bytes() == torn
        assert other.size()[0] == 2
        judge(other, known)


@pytest.mark.parametrize("name", ["mark", "shared"])
def test_L8_a_file_that_is_mapped_has_its_room_before(tmp_path: Path, name: str) -> None:
    """Who stores to a map of a hole is killed when the disk is full."""
    with FileLog.open(System(), str(tmp_path)) as log:
        known = fill(log, 3)
    (tmp_path / "log" / name).unlink()
    system = Failing()
    system.refuse = {"write": errno.ENOSPC}
    with pytest.raises(StorageFull):
        FileLog.open(system, str(tmp_path))
    reopened(str(tmp_path), known)


def _poisoned(log: FileLog) -> bool:
    try:
        log.sync()
    except DurabilityUnknown:
        return True
    return False


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_L8_a_disk_that_refuses_while_opening_is_a_clear_refusal_and_leaks_nothing(tmp_path: Path, number: int) -> None:
    folder = str(tmp_path / "store")
    with FileLog.open(System(), folder) as log:
        known = fill(log, 3)
    open_files = _open_files()

    class Once(Failing):
        """Refuses the n-th touch."""

        left = 0

        def at(self, name: str, half: Callable[[], None]) -> None:
            self.left -= 1
            if not self.left:
                raise OSError(number, "refused")

    for left in range(1, 80):
        system = Once()
        system.left = left
        try:
            log = FileLog.open(system, folder)
        except WalnutError:
            continue
        close(log)
        if system.left > 0:
            break
    else:
        raise AssertionError("it never opened")
    assert _open_files() <= open_files
    reopened(folder, known)


def _open_files() -> int:
    """How many files this process has open (0 where that can't be told)."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.exists() else 0


def test_a_disk_that_refuses_a_read_is_no_corruption(tmp_path: Path) -> None:
    class Unreadable(System):
        broken = False

        def read_at(self, fd: int, length: int, offset: int) -> bytes:
            if self.broken:
                raise OSError(errno.EIO, "refused")
            return super().read_at(fd, length, offset)

    system = Unreadable()
    with FileLog.open(system, str(tmp_path)) as log:
        fill(log, 3)
        system.broken = True
        with pytest.raises(StorageFailed):
            log.get(1)
        with pytest.raises(StorageFailed):
            list(log.read())
        system.broken = False
        assert len(list(log.read())) == 3


@pytest.mark.parametrize("name", ["list_folder", "read_at"])
def test_L8_a_disk_that_refuses_to_show_a_segment_that_another_process_began_is_a_clear_refusal(
    tmp_path: Path, name: str
) -> None:
    class Unreadable(System):
        broken = False

        def list_folder(self, path: str) -> list[str]:
            self._refuse("list_folder")
            return super().list_folder(path)

        def read_at(self, fd: int, length: int, offset: int) -> bytes:
            self._refuse("read_at")
            return super().read_at(fd, length, offset)

        def _refuse(self, what: str) -> None:
            if self.broken and what == name:
                raise OSError(errno.EIO, "refused")

    system = Unreadable()
    with (
        small_segments(),
        FileLog.open(system, str(tmp_path)) as log,
        FileLog.open(System(), str(tmp_path)) as other,
    ):
        known = fill(log, 3) + fill(other, 3, prefix="other", size=50_000)
        assert other.size()[0] > 1
        system.broken = True
        for _ in range(2):
            with pytest.raises(StorageFailed):
                log.append(single("refused.0.1"))
            with pytest.raises(StorageFailed):
                list(log.read())
        system.broken = False
        known += fill(log, 2, prefix="after")
        judge(log, known)


def test_times_never_step_back_and_the_raw_clock_is_kept(tmp_path: Path) -> None:
    start = 1_800_000_000_000_000_000
    clock = SettableClock(start)
    folder = str(tmp_path)
    with small_segments():
        log = FileLog.open(clock, folder)
        fill(log, 2)
        clock.time = start - 10**9
        fill(log, 2, prefix="back")
        log.append(single("process.0.1", durability="process"))
        log.append(single("roll.0.1", 200_000))
        log.close()
        for name in ("log/mark", ""):  # also when only the segments can tell
            if name:
                (tmp_path / name).unlink()
            with FileLog.open(clock, folder) as log:
                fill(log, 1, prefix=f"again {name}")
                events = list(log.read())
                assert [event.recorded_at for event in events] == [start] * len(events)
                assert [event.clock_raw for event in events] == [None] * 2 + [start - 10**9] * (len(events) - 2)


def test_times_never_step_back_over_a_segment_that_is_still_empty(tmp_path: Path) -> None:
    start = 1_800_000_000_000_000_000
    clock, folder = SettableClock(start), str(tmp_path)
    with small_segments():
        with FileLog.open(clock, folder) as log:
            fill(log, 2)
            with log._writer.lock:
                log._writer.roll(log._writer.begin())
        (tmp_path / "log" / "mark").unlink()
        clock.time = start - 10**9
        with FileLog.open(clock, folder) as log:
            fill(log, 1, prefix="back")
            assert [event.recorded_at for event in log.read()] == [start] * 3


def test_L5_a_stale_mark_is_only_a_lower_bound(tmp_path: Path) -> None:
    folder, mark = str(tmp_path / "store"), tmp_path / "store" / "log" / "mark"
    known: list[Ack] = []
    with FileLog.open(System(), folder) as log:
        known += fill(log, 3)
    stale = mark.read_bytes()
    with FileLog.open(System(), folder) as log:
        known += fill(log, 3, prefix="more")
    mark.write_bytes(stale)
    reopened(folder, known)
    shutil.copytree(folder, tmp_path / "short")
    (tmp_path / "short" / "log" / "mark").unlink()
    reopened(str(tmp_path / "short"), known)


def test_a_copy_of_a_live_store_is_whole_or_refused(tmp_path: Path) -> None:
    """`cp` may catch the mark ahead of the log: then it says so. What was acknowledged before is never missing."""
    folder = str(tmp_path / "store")
    done = threading.Event()
    with small_segments(), FileLog.open(System(), folder) as log:
        known = fill(log, 20)

        def write() -> None:
            number = 0
            while not done.is_set():
                log.append(single(f"live-{number}.0.1", 3000))
                number += 1

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for number in range(5):
                copy = tmp_path / f"copy-{number}"
                before = log.durable_lsn()
                wait_until(lambda before=before: log.durable_lsn() > before + 5)  # type: ignore[misc]
                shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.tmp", "spare"))
                try:
                    with FileLog.open(System(), str(copy)) as copied:
                        judge(copied, known)
                        assert copied.durable_lsn() >= before
                except LogCorruption:
                    assert not verify_folder(System(), str(copy)).ok
        finally:
            done.set()
            thread.join()


def test_closing_beside_readers_writers_and_syncs_is_clean(tmp_path: Path) -> None:
    folder = str(tmp_path)
    known: list[Ack] = []
    strange: list[BaseException] = []
    for number in range(10):
        log = FileLog.open(System(), folder)
        ready = threading.Barrier(5)

        def work(what: int, log: FileLog = log, ready: threading.Barrier = ready, number: int = number) -> None:
            ready.wait()
            count = 0
            try:
                while True:
                    count += 1
                    if what == 0:
                        list(log.read())
                    elif what == 1:
                        log.sync()
                    else:
                        batch = single(f"r{number}-{what}-{count}.0.1")
                        known.extend(acks(batch, log.append(batch)))
            except StoreClosed:
                return
            except BaseException as error:
                strange.append(error)
                raise

        threads = [threading.Thread(target=work, args=(what,)) for what in range(4)]
        for thread in threads:
            thread.start()
        ready.wait()
        end = len(known) + 10
        wait_until(lambda end=end: len(known) >= end)  # type: ignore[misc]
        log.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    assert not strange
    reopened(folder, known)


def test_L1_nothing_is_acknowledged_in_a_folder_that_was_deleted(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    log = FileLog.open(System(), folder)
    fill(log, 3)
    shutil.rmtree(folder)
    for _ in range(2):
        with pytest.raises(StorageFailed):
            log.append(single("lost.0.1"))
    with pytest.raises(StorageFailed):
        log.close()
    with FileLog.open(System(), folder) as fresh:
        assert fresh.durable_lsn() == 0


def test_L10_where_no_thread_can_be_started_writers_commit_for_each_other(tmp_path: Path) -> None:
    class Threadless(Failing):
        """No threads, and a disk that waits until somebody has queued behind the first writer."""

        def __init__(self) -> None:
            super().__init__()
            self.go = threading.Event()

        def start_thread(self, target: Callable[[], None], *, name: str) -> Thread:
            raise RuntimeError("can't start new thread")

        def datasync(self, fd: int) -> None:
            self.go.wait(60)
            super().datasync(fd)

    folder, system = str(tmp_path), Threadless()
    system.go.set()
    log, known = FileLog.open(system, folder), list[Ack]()
    system.go.clear()
    names = [f"writer-{number}.0.1" for number in range(4)]

    def append(name: str) -> None:
        batch = single(name)
        known.extend(acks(batch, log.append(batch)))

    threads = [threading.Thread(target=append, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(log._committer._queue) == 3)
    system.go.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    batch = single("submitted.0.1")
    known += acks(batch, log.submit(batch).result(60))
    log.close()
    assert len(known) == 5
    reopened(folder, known)


def test_L9_who_opens_after_one_that_failed_to_finds_nobody(tmp_path: Path) -> None:
    """The disk may refuse a recovery; whoever waited for the lock is alone then, and not told of damage."""
    folder = str(tmp_path)
    FileLog.open(System(), folder).close()
    (tmp_path / "log" / "shared").unlink()  # as after a power cut
    outcomes: list[str] = []

    class Refused(Failing):
        """Lets another process look for the store as soon as this one has let go of a lock."""

        def unlock_file(self, fd: int) -> None:
            super().unlock_file(fd)
            try:
                FileLog.open(System(), folder, busy_timeout=0).close()
                outcomes.append("opened")
            except WalnutError as error:
                outcomes.append(error.code)

    system = Refused()
    system.refuse = {"flush": errno.EIO}
    with pytest.raises(StorageFailed):
        FileLog.open(system, folder)
    assert outcomes[0] == "log_busy"  # it still has the write lock
    assert set(outcomes[1:]) == {"opened"}


def test_L7_no_segment_is_begun_after_a_failed_sync_that_only_another_thread_was_told_of(tmp_path: Path) -> None:
    """A kernel tells a failed sync once for each open file; a successor would vouch for what is lost."""
    rolling, failed = threading.Event(), threading.Event()

    def sync() -> None:
        with pytest.raises(DurabilityUnknown):
            log.sync()

    syncing = threading.Thread(target=sync)

    class Told(System):
        """Its clock is read between a writer's look at the log's health and its write."""

        def now(self) -> int:
            if syncing.is_alive():
                rolling.set()
            return super().now()

        def datasync(self, fd: int) -> None:
            if threading.current_thread() is syncing:
                waiting.set()
                rolling.wait(60)
                failed.set()
                raise OSError(errno.EIO, "told to this thread")
            if syncing.is_alive():
                failed.wait(60)
            super().datasync(fd)

    waiting = threading.Event()
    with small_segments(8 * 1024):
        log = FileLog.open(Told(), str(tmp_path))
        log.append(single("first.0.1", 6000))
        log.append(single("unsynced.0.1", durability="process"))
        syncing.start()
        assert waiting.wait(60)
        with pytest.raises(DurabilityUnknown):
            log.append(single("larger.0.1", 6000))
        syncing.join()
        assert not list((tmp_path / "log").glob("seg-*2.g0")), "a segment was begun"
        close(log)


def test_L1_who_has_written_and_can_not_open_what_to_sync_is_not_told_that_nothing_was_written(tmp_path: Path) -> None:
    """Another process has begun a segment since, and what is in the one before is on disk with it."""
    folder, system = str(tmp_path), Failing()
    with small_segments(8 * 1024), FileLog.open(System(), folder) as other:
        log = FileLog.open(system, folder)
        log.append(single("written.0.1", durability="process"))
        known = acks(batch := single("rolls.0.1", 9000), other.append(batch))
        other.append(single("unsynced.0.1", durability="process"))
        system.refuse = {f"open {segment.name(2)}": errno.EIO}
        with pytest.raises(DurabilityUnknown):
            log.sync()
        system.refuse = {}
        log.sync()
        log.close()
        judge(other, known)
