"""The simulated machine: one disk, any number of processes, and what is to befall them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from walnut.testing.sim.disk import Fate, File
from walnut.testing.sim.faults import NONE, SUITED, Faults
from walnut.testing.sim.names import Names
from walnut.testing.sim.schedule import Deadlock, Killed, Schedule, SimThread
from walnut.testing.sim.system import SimSystem

T = TypeVar("T")
_TRACE = 60
_BEGINNING = 1_800_000_000 * 10**9


class SimProcess(Generic[T]):
    """A process: its main thread runs `work`; when that ends the process does, whatever its other threads do."""

    def __init__(self, machine: SimMachine, work: Callable[[SimSystem], T], *, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.result: T | None = None
        self.error: BaseException | None = None
        self.ended = False
        self.killed = True  # until its work is done
        self.system = SimSystem(machine, self)  # type: ignore[arg-type]
        self.threads: list[SimThread] = []
        self._machine = machine
        self._work = work
        self.thread(self._main, name="main")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return not self.ended

    def thread(self, target: Callable[[], object], *, name: str) -> SimThread:
        """One more thread."""
        thread = self._machine.schedule.start(target, name=f"{self.name}.{name}")
        self.threads.append(thread)
        return thread

    def _main(self) -> None:
        try:
            self.result = self._work(self.system)
            self.killed = False
        except Killed:
            raise
        except BaseException as error:  # noqa: BLE001 - kept for who asked for the work
            self.error, self.killed = error, False
        finally:
            self.end()

    def end(self) -> None:
        """The process is no more: locks and files are let go of, no thread goes on."""
        if not self.ended:
            self.ended = True
            self.system.let_go()
            self._machine.schedule.end(self.threads)


class SimMachine:
    """A machine, decided by its seed. It survives power cuts and any number of processes."""

    def __init__(self, seed: int, *, faults: Faults = NONE, switch: float = 0.1) -> None:
        self.calls = 0
        self.boots = 1
        self.names = Names()
        self.faults = faults
        self.ordered = faults.names == "journalled"
        self._trace: deque[tuple[int, str, str, int, tuple[int, int], str]] = deque(maxlen=_TRACE)
        self._seed, self._switch = seed, switch
        self._rng = random.Random(seed)
        self.schedule = Schedule(self._rng, switch=switch)
        self._clock = _BEGINNING
        self._count = 0
        self._processes: list[SimProcess[object]] = []
        self._die_at = self._cut_at = 0
        self._stop_at = (0, 0.0)
        #: Nothing that needs room goes well.
        self.full = False
        self._fail_at: list[tuple[int, str]] = []
        self._befell: dict[str, int] = {}

    # -- processes ----------------------------------------------------------------------------------------------

    def start(self, work: Callable[[SimSystem], T], *, name: str = "p") -> SimProcess[T]:
        """Run `work` as a process, in turn with the others, once `run` is called."""
        self._count += 1
        process = SimProcess(self, work, name=name, number=self._count)
        self._processes.append(process)  # type: ignore[arg-type]
        return process

    def run(self) -> None:
        """Let all processes run to their ends. Deadlock when some wait for ever."""
        while any(not process.ended for process in self._processes):
            if not self.schedule.step():
                stuck = "; ".join(f"{each.name} waits for {each.waits_for}" for each in self.schedule.waiting)
                self._end_all()
                raise Deadlock(stuck)
        self._processes.clear()

    def call(self, work: Callable[[SimSystem], T]) -> T:
        """Run `work` as a process and everything else too; its result, or its error. Killed when it died."""
        process = self.start(work, name="call")
        self.run()
        if process.error is not None:
            raise process.error
        if process.killed:
            raise Killed
        return process.result  # type: ignore[return-value]

    def kill(self, process: SimProcess[T]) -> None:
        """SIGKILL."""
        process.end()

    def stop(self, process: SimProcess[T]) -> None:
        """SIGSTOP: it keeps its locks and does nothing."""
        current = self.schedule.current
        for thread in process.threads:
            thread.stopped = True
            if thread in self.schedule.ready and thread is not current:
                self.schedule.ready.remove(thread)
                thread.waits_for, thread.wake_at = "SIGCONT", None
                self.schedule.waiting.append(thread)
        if current is not None and current in process.threads:
            self.schedule.wait(lambda: not current.stopped, None, what="SIGCONT")

    def cont(self, process: SimProcess[T]) -> None:
        """SIGCONT."""
        for thread in process.threads:
            thread.stopped = False
        self.schedule.rouse(lambda thread: thread in process.threads)  # what they wait for may have come meanwhile

    def _end_all(self) -> None:
        for process in self._processes:
            process.end()
        self._processes.clear()

    # -- what befalls them ----------------------------------------------------------------------------------------

    def die_at(self, n: int) -> None:
        """The n-th call from now is the last of the process that makes it."""
        self._die_at = self.calls + n

    def cut_at(self, n: int) -> None:
        """The power goes at the n-th call from now."""
        self._cut_at = self.calls + n

    def stop_at(self, n: int, seconds: float) -> None:
        """The process that makes the n-th call from now is stopped before it, and goes on after so many seconds."""
        self._stop_at = (self.calls + n, seconds)

    def fail_at(self, n: int, kind: str) -> None:
        """The n-th call from now, or the first after it that this can befall, is refused."""
        self._fail_at.append((self.calls + n, kind))

    def disarm(self) -> dict[str, int]:
        """Take back what has not befallen anybody; how often what did."""
        self._die_at = self._cut_at = 0
        self._stop_at = (0, 0.0)
        self._fail_at = []
        befell, self._befell = self._befell, {}
        return befell

    def step_clock(self, seconds: float) -> None:
        """The wall clock is set."""
        self._clock += int(seconds * 10**9)

    def power_cut(self, fate: Fate | None = None) -> None:
        """All processes end, the disk keeps what it would, the machine starts again."""
        self._end_all()
        self._lose_power(fate)

    def _lose_power(self, fate: Fate | None = None) -> None:
        self.boots += 1
        self._note("power", "cut", None, (0, 0), "")
        self.names.cut(self._rng, ordered=self.ordered)
        for _, file in sorted(self.names.files.items()):
            file.cut(self._rng, fate)

    def called(
        self,
        process: SimProcess[object],
        name: str,
        file: File | None,
        half: Callable[[], None] | None,
        *,
        span: tuple[int, int],
        path: str,
    ) -> str | None:
        """A process makes a call: what it is refused with, if it is."""
        self.calls += 1
        self._note(process.name, name, file, span, path)
        if self.calls == self._stop_at[0]:
            self._pause(process, self._stop_at[1])
        if self.calls in (self._die_at, self._cut_at):
            if half is not None and self._rng.random() < 0.5:
                half()
            if self.calls == self._cut_at:
                for each in self._processes:
                    each.end()
                self._lose_power()
            else:
                process.end()
            raise Killed
        return self.befalls(process, name, file, span=span, path=path) if self._fail_at else None

    def _pause(self, process: SimProcess[object], seconds: float) -> None:
        def rouse() -> None:
            self.schedule.wait(lambda: False, seconds, what="time")
            self.cont(process)

        self._befell["stop"] = self._befell.get("stop", 0) + 1
        self._note(process.name, "SIGSTOP", None, (0, 0), "")
        self.schedule.start(rouse, name="SIGCONT")
        self.stop(process)
        process.system.check_alive()

    def befalls(
        self,
        process: SimProcess[object],
        name: str,
        file: File | None,
        *,
        span: tuple[int, int],
        path: str = "",
    ) -> str | None:
        """What a call is refused with, if it is."""
        for at, kind in self._fail_at:
            if at <= self.calls and name in SUITED[kind]:
                self._fail_at.remove((at, kind))
                self._befell[kind] = self._befell.get(kind, 0) + 1
                self._note(process.name, kind, file, span, path)
                return kind
        return None

    def evict(self, file: File) -> None:
        """A sync has failed: what it has given up may leave the page cache."""
        if self.faults.evicting:
            file.evict(self._rng)

    # -- for the processes ----------------------------------------------------------------------------------------

    def wall(self) -> int:
        """The wall clock, ns."""
        return self._clock + int(self.schedule.now * 10**9)

    def random_bytes(self, length: int) -> bytes:
        """Seeded ones."""
        return self._rng.randbytes(length)

    def below(self, number: int) -> int:
        """A seeded number from 0 on, smaller than this."""
        return self._rng.randrange(number)

    def number(self) -> int:
        """A fresh number."""
        self._count += 1
        return self._count

    # -- looking back ---------------------------------------------------------------------------------------------

    @property
    def trace(self) -> list[str]:
        """The last calls."""
        return [
            f"{at} {who} {name} {path or self._path(number)}{f' {span[0]}+{span[1]}' if span != (0, 0) else ''}"
            for at, who, name, number, span, path in self._trace
        ]

    def _path(self, number: int) -> str:
        return next((path for path, each in self.names.paths.items() if each == number), f"#{number}" if number else "")

    def _note(self, who: str, name: str, file: File | None, span: tuple[int, int], path: str) -> None:
        self._trace.append((self.calls, who, name, file.number if file is not None else 0, span, path))

    def fork(self, outcome: int = 0) -> SimMachine:
        """A copy with nobody on it; `outcome` other than 0 lets chance go another way from here on."""
        other = SimMachine(self._seed, faults=self.faults, switch=self._switch)
        other.names = self.names.copy()
        if outcome:
            other._rng.seed(f"{self._seed} {outcome} {self.calls}")
        else:
            other._rng.setstate(self._rng.getstate())
        other.full = self.full
        other.calls, other.boots, other._clock = self.calls, self.boots, self._clock
        other._count, other.schedule.now = self._count, self.schedule.now
        other._trace.extend(self._trace)
        return other
