"""A program interrupted at every place where Python looks for signals: `python -m tests.crash.interrupter folder step`.

One thread appends and is interrupted at the n-th place, and once more a few places later, for every `step`-th n. Four
others append from a little before on, and must all be answered afterwards. It reports how often it was interrupted,
then each ack.
"""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from tests.crash.stores import Ack, acks, single, small_segments, wait_until
from walnut.log.committer import Pending
from walnut.log.file_log import FileLog
from walnut.system import System

if TYPE_CHECKING:
    from _typeshed import TraceFunction

#: After these instructions, and at a function's beginning, the interpreter runs signal handlers.
_LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")
_LIMIT = 20.0


def looks(code: CodeType) -> set[int]:
    """The instructions after which a handler may run, as far as it makes no difference that it runs behind them.

    What a handler raises is raised at the instruction itself, which may be within a `with` or `try` that ends there.
    """
    handlers = {}
    for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
        handlers.update(dict.fromkeys(range(entry.start, entry.end, 2), entry.target))
    found, before = set(), None
    for each in dis.get_instructions(code):
        if before is not None and handlers.get(before.offset) == handlers.get(each.offset):
            found.add(before.offset)
        before = each if each.opname.startswith(_LOOKS) else None
    return found


class Interrupts:
    """Raises KeyboardInterrupt in the thread that is traced, at given places counted from `arm` on."""

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._release = 0
        self._places: list[int] = []
        self._last: dict[FrameType, int] = {}
        self._looks: dict[CodeType, set[int]] = {}
        self.count = 0

    def arm(self, *places: int, release: int) -> None:
        """The others are let go at `release`, and waited for a moment there and at each interrupt."""
        self._places, self._release, self.count = sorted(places), release, 0
        sys.settrace(self._enter)

    def disarm(self) -> None:
        sys.settrace(None)
        self._last.clear()

    def _enter(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        del event, argument
        if "/walnut/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        del argument
        if event == "opcode":
            code, last = frame.f_code, self._last.get(frame, -1)
            self._last[frame] = frame.f_lasti
            if code not in self._looks:
                self._looks[code] = looks(code)
            if last < 0 or last in self._looks[code]:
                self._look()
        return self._step

    def _look(self) -> None:
        self.count += 1
        if self.count == self._release:
            self._pause()
        if self._places and self.count >= self._places[0]:
            del self._places[0]
            self._pause()
            raise KeyboardInterrupt


class Others:
    """Threads that append beside the one that is interrupted."""

    def __init__(self, log: FileLog) -> None:
        self._log = log
        self._done, self._going = False, threading.Event()
        self.counts, self._at_rest = [0] * 4, [False] * 4
        self.known: list[Ack] = []
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(4)]
        for thread in self._threads:
            thread.start()

    def _work(self, name: int) -> None:
        while not self._done:
            self._at_rest[name] = True
            self._going.wait()
            self._at_rest[name] = False
            batch = single(f"w{name}-{self.counts[name]}.0.1", durability="process" if name % 2 else "disk")
            self.known += acks(batch, self._log.append(batch))
            self.counts[name] += 1

    def breathe(self) -> None:
        """Let them go, and run for a moment if they can."""
        self._going.set()
        threading.Event().wait(0.002)

    def go_on(self) -> None:
        """Return once each of them has got an answer from now on, and rests again."""
        self._going.set()
        goals = [count + 2 for count in self.counts]
        wait_until(lambda: all(now >= goal for now, goal in zip(self.counts, goals, strict=True)), limit=_LIMIT)
        self._going.clear()
        wait_until(lambda: all(self._at_rest), limit=_LIMIT)

    def end(self) -> None:
        self._done = True
        self._going.set()
        for thread in self._threads:
            thread.join(_LIMIT)
            assert not thread.is_alive()


def one_at_a_time(log: FileLog) -> list[str]:
    """Note where two threads commit at once."""
    commit, lock, noted = log._committer._commit, threading.Lock(), list[str]()

    def watched(group: Sequence[Pending]) -> None:
        if not lock.acquire(blocking=False):
            noted.append("two commits at once")
            return commit(group)
        try:
            return commit(group)
        finally:
            lock.release()

    log._committer._commit = watched
    return noted


def main(folder: str, step: int) -> None:
    log = FileLog.open(System(), folder)
    noted = one_at_a_time(log)
    others = Others(log)
    interrupts = Interrupts(others.breathe)
    known: list[Ack] = []
    place, reached, interrupted = 1, True, 0
    while reached:
        for more, early in ((0, 0), (0, 30), (1, 0), (4, 9), (9, 20), (16, 60)):
            batch = single(f"main-{place}-{more}-{early}.0.1", key=f"key-{place}" if more == 4 else None)
            try:
                places = (place, place + more) if more else (place,)
                interrupts.arm(*places, release=max(1, place - early))
                got = log.append(batch)
                interrupts.disarm()
                known += acks(batch, got)
                reached = reached and (more > 0 or early > 0 or interrupts.count >= place)
            except KeyboardInterrupt:
                interrupts.disarm()
                interrupted += 1
            others.go_on()
            assert not noted, (noted[0], place, more, early)
        place += step
    others.end()
    batch = single("last.0.1")
    known += acks(batch, log.append(batch))
    log.close()
    sys.stdout.write(f"{interrupted}\n")
    sys.stdout.writelines(f"{ack.lsn} {ack.event_id} {ack.tag}\n" for ack in [*known, *others.known])


if __name__ == "__main__":
    with small_segments():
        main(sys.argv[1], int(sys.argv[2]))
