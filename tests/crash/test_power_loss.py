"""The power goes: whatever sectors and names the disk then holds, what was acknowledged is there, whole and once."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.crash.power import Fate, Killed, Recorder, Tape
from tests.crash.stores import Ack, acks, draft, judge, say, single, small_segments
from walnut.errors import DurabilityUnknown
from walnut.log import keys, segment
from walnut.log.file_log import FileLog
from walnut.log.verify import read_mark, verify_folder
from walnut.model.requests import Durability
from walnut.ports import Batch
from walnut.system import System


class Rebooted(System):
    """The machine after the cut: another boot, and no need to wait for its disk."""

    def __init__(self, boot: int) -> None:
        self._boot = boot

    def boot_id(self) -> bytes:
        return self._boot.to_bytes(16, "big")

    def datasync(self, fd: int) -> None:
        pass

    def sync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: str) -> None:
        pass


class Work:
    """Handles on one log that write at random; `known` has each ack and how far the tape was when it came."""

    def __init__(self, recorder: Recorder, folder: str, seed: int, known: list[tuple[int, Ack]]) -> None:
        self.recorder, self.folder, self.known = recorder, folder, list(known)
        self._rng = random.Random(seed)
        self._seed = seed
        self._logs: list[FileLog] = []
        self._number = 0

    def run(self, steps: int) -> None:
        """Do so many things, then leave: in order or not."""
        try:
            for _ in range(steps):
                self._do_one()
            for log in self._logs:
                (kill if self._rng.random() < 0.5 else close)(log)
        finally:
            for log in self._logs:
                kill(log)

    def _do_one(self) -> None:
        if not self._logs or (len(self._logs) < 3 and self._rng.random() < 0.1):
            self._open()
        else:
            self._step(self._rng.choice(self._logs))

    def _open(self) -> None:
        life = self._rng.choice([-1, -1, self._rng.randint(1, 40), self._rng.randint(1, 200)])
        with suppress(Killed):
            self._logs.append(FileLog.open(self.recorder.process(life=life), self.folder))

    def _step(self, log: FileLog) -> None:
        dice = self._rng.random()
        process = log._system
        assert isinstance(process, Recorder)
        try:
            if dice < 0.8:
                self._append(log)
            elif dice < 0.84:
                log.sync()
            elif dice < 0.88:
                written = log._opened.shared.written.load()
                assert written is not None
                log._keeper._prepare(written)
            elif dice < 0.90:
                with suppress(OSError):
                    log._opened.shared.flush_mark()
            elif dice < 0.92:
                process.refuse_syncs = 1
            elif dice < 0.95:
                self._join_the_leaving(log)
            else:
                self._logs.remove(log)
                (kill if dice < 0.97 else close)(log)
        except (DurabilityUnknown, Killed):
            if log in self._logs:
                self._logs.remove(log)
            kill(log)

    def _join_the_leaving(self, log: FileLog) -> None:
        """Another process comes after the last has said that all is clean, and before it has let go."""
        log.sync()
        log._leave_clean()
        self._open()
        self._logs.remove(log)
        kill(log)

    def _append(self, log: FileLog) -> None:
        count = self._rng.choice([1, 1, 1, 2, 5])
        size = self._rng.choice([10, 40, 300, 700, 2000, 9000 // count])
        durability: Durability = self._rng.choice(["disk", "process"])
        name = f"work-{self._seed}-{self._number}"
        self._number += 1
        drafts = tuple(draft(f"{name}.{n}.{count}", size) for n in range(count))
        batch = Batch(transactions=(drafts,), durability=durability)
        got = acks(batch, log.append(batch))
        if durability == "disk":
            self.known += [(len(self.recorder.ops), ack) for ack in got]


def kill(log: FileLog) -> None:
    """Let go of the files as a killed process does: nothing is finished, synced or noted."""
    if log._closed:
        return
    log._keeper.close()
    for lock in log._inner_locks():
        lock.acquire(blocking=False)  # the one thread that works may have died with it
    log.abandon()


def close(log: FileLog) -> None:
    try:
        log.close()
    except (DurabilityUnknown, Killed):
        kill(log)


@contextmanager
def quick_folder() -> Iterator[str]:
    """A folder in memory where there is one: these disks are only played."""
    shm = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="walnut-power-", dir=shm if shm.is_dir() else None)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def survive(folder: str, known: list[tuple[int, Ack]], cut: int) -> None:
    """Open what the cut left: all that was acknowledged by then is there; write on; verify."""
    acknowledged = [ack for at, ack in known if at <= cut]
    if not (Path(folder) / "FORMAT").exists():
        assert not acknowledged
    log = FileLog.open(Rebooted(2), folder)
    try:
        events = judge(log, acknowledged)
        for number in range(2):
            batch = single(f"after-{len(events)}-{number}.0.1", 400)
            acknowledged += acks(batch, log.append(batch))
        nothing_follows(log)
    finally:
        kill(log)
    with FileLog.open(Rebooted(3), folder) as log:
        judge(log, acknowledged)
    report = verify_folder(System(), folder)
    assert report.ok, report


def nothing_follows(log: FileLog) -> None:
    """Behind the last frame lies only prepared space: nothing that was torn is ever written over."""
    end = log._opened.shared.written.load()
    assert end is not None
    path = Path(log.folder) / "log" / segment.name(end.segment)
    assert not path.read_bytes()[end.end :].strip(b"\0"), f"something lies behind the end in {path.name}"


def cuts(tape: Tape, start: int, rng: random.Random, count: int) -> list[tuple[int, Fate]]:
    return [(rng.randint(start, len(tape)), rng.choice(list(Fate))) for _ in range(count)]


@pytest.mark.parametrize("round_", range(4))
def test_L1_L4_L5_L6_after_a_power_cut_all_that_was_acknowledged_is_there_and_nothing_is_torn(
    round_: int, rounds: Callable[[int], int]
) -> None:
    """Also when the power goes again while the store recovers, and again while that is recovered."""
    with quick_folder() as folder, small_segments(8 * 1024, 32 * 1024):
        for turn in range(rounds(120)):
            seed = round_ * 1000 + turn
            try:
                _one_life(folder, seed, depth=3)
            except BaseException:
                say(f"seed {seed}")
                raise


def _one_life(folder: str, seed: int, *, depth: int) -> None:
    rng = random.Random(seed)
    shutil.rmtree(folder)
    Path(folder).mkdir()
    store, known, start = f"{folder}/store-0", list[tuple[int, Ack]](), 0
    for level in range(depth):
        recorder = Recorder(store, boot=1000 * seed + level + 10)
        start = len(recorder.ops)
        work = Work(recorder, store, seed * 10 + level, [(0, ack) for _, ack in known])
        work.run(rng.choice([3, 10, 40]))
        tape = Tape(recorder)
        for cut, fate in cuts(tape, start, rng, 12):
            tape.image(f"{folder}/image", cut, fate, rng)
            survive(f"{folder}/image", work.known, cut)
        cut, fate = cuts(tape, start, rng, 1)[0]
        store, known = f"{folder}/store-{level + 1}", [(0, ack) for at, ack in work.known if at <= cut]
        tape.image(store, cut, fate, rng)


def test_L5_a_log_left_clean_is_called_so_no_more_once_somebody_may_write_also_when_that_one_dies_at_once() -> None:
    """The disk's own mark is what counts: between its change in memory and on disk a process may be killed."""
    with quick_folder() as folder, small_segments(8 * 1024, 32 * 1024):
        store = f"{folder}/store"
        with FileLog.open(System(), store) as log:
            log.append(single("first.0.1"))
        life, opened = 1, False
        while not opened:
            shutil.copytree(store, f"{folder}/store-{life}")
            machine = Recorder(f"{folder}/store-{life}")
            try:
                kill(FileLog.open(machine.process(life=life), machine.root))
                opened = True
            except Killed:
                pass
            log = FileLog.open(machine.process(), machine.root)
            tape = Tape(machine)
            kill(log)
            tape.image(f"{folder}/image", len(tape), Fate.OLD, random.Random(1))
            identity = keys.load(System(), f"{folder}/image")
            mark = read_mark(System(), f"{folder}/image", identity.log_id)
            assert mark is not None
            assert not mark.clean
            life += 1


def test_L4_who_makes_a_store_may_die_before_its_name_is_on_disk() -> None:
    """Whoever comes next puts it there before anything is acknowledged."""
    with quick_folder() as folder, small_segments(8 * 1024, 32 * 1024):
        life, opened = 1, False
        while not opened:
            os.mkdir(f"{folder}/store-{life}")
            machine = Recorder(f"{folder}/store-{life}")
            try:
                kill(FileLog.open(machine.process(life=life), machine.root))
                opened = True
            except Killed:
                pass
            log = FileLog.open(machine.process(), machine.root)
            known = acks(batch := single("first.0.1"), log.append(batch))
            tape = Tape(machine)
            kill(log)
            for seed in range(5):
                tape.image(f"{folder}/image", len(tape), Fate.OLD, random.Random(seed))
                survive(f"{folder}/image", [(0, ack) for ack in known], len(tape))
            life += 1
