"""The scheduler: threads of all simulated processes as greenlets, of which a seeded choice goes on at each call.

Time is simulated too. It passes a little with each call, and jumps when everybody waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from greenlet import getcurrent, greenlet

#: Seconds that a call takes.
TICK = 1e-6
_MOST_THROWS = 1000


class Killed(BaseException):
    """The process is dead: none of its calls has any effect any more."""


class Deadlock(Exception):
    """Every thread waits, and nothing will wake it."""


class SimThread:
    """A thread of a simulated process."""

    def __init__(self, schedule: Schedule, target: Callable[[], object], *, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.wake_at: float | None = None
        self.waits_for = ""
        self.done = False
        self.stopped = False
        self.green = greenlet(lambda: schedule.live(self, target), schedule.hub)
        self._schedule = schedule

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._schedule.wait(lambda: self.done, timeout, what=f"the end of {self.name}")

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return not self.done


class Schedule:
    """Who goes on: `ready` threads in turn by the seed, waiting ones once they are woken or their time is over."""

    def __init__(self, rng: random.Random, *, switch: float) -> None:
        self.hub = getcurrent()
        self.now = 1_000.0
        self.ready: list[SimThread] = []
        self.waiting: list[SimThread] = []
        self.current: SimThread | None = None
        self._rng = rng
        self._switch = switch
        self._numbers = 0

    # -- threads ----------------------------------------------------------------------------------------------

    def start(self, target: Callable[[], object], *, name: str) -> SimThread:
        """A new thread, ready to run."""
        self._numbers += 1
        thread = SimThread(self, target, name=name, number=self._numbers)
        self.ready.append(thread)
        return thread

    def live(self, thread: SimThread, target: Callable[[], object]) -> None:
        """The whole life of a thread."""
        try:
            target()
        except Killed:
            pass
        finally:
            thread.done = True
            if thread in self.ready:
                self.ready.remove(thread)
            self.wake_all(f"the end of {thread.name}")

    def end(self, threads: list[SimThread]) -> None:
        """These threads are dead: what they hold on their stacks is let go of. Not for the current one."""
        for thread in threads:
            for queue in (self.ready, self.waiting):
                if thread in queue:
                    queue.remove(thread)
        for thread in threads:
            if thread is self.current:
                continue
            for _ in range(_MOST_THROWS):
                if thread.green.dead or not thread.green:
                    break
                previous, self.current = self.current, thread
                thread.green.parent = getcurrent()
                thread.green.throw(Killed())
                self.current = previous
            thread.done = True

    # -- who goes on ------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Let a thread go on until it gives way; False when there is none that ever could."""
        if not self.ready and not self._wake():
            return False
        thread = self.ready[int(self._rng.random() * len(self.ready))]
        self.current = thread
        thread.green.parent = self.hub
        thread.green.switch()
        self.current = None
        return True

    def _wake(self) -> bool:
        """Let time pass until the first who waits for it."""
        due = [thread.wake_at for thread in self.waiting if thread.wake_at is not None and not thread.stopped]
        if not due:
            return False
        self.now = max(self.now, min(due))
        self.rouse(lambda thread: thread.wake_at is not None and thread.wake_at <= self.now)
        return bool(self.ready)

    def rouse(self, which: Callable[[SimThread], bool]) -> None:
        """Make waiting threads ready."""
        woken = [thread for thread in self.waiting if which(thread) and not thread.stopped]
        for thread in woken:
            self.waiting.remove(thread)
            thread.wake_at, thread.waits_for = None, ""
        self.ready += woken

    def pass_turn(self) -> None:
        """Perhaps let another thread go on."""
        self.now += TICK
        if (len(self.ready) > 1 or self.waiting) and self._rng.random() < self._switch:
            if self.waiting:
                self._take_long()
            if len(self.ready) > 1:
                self.give_way()

    def _take_long(self) -> None:
        """A call may take from 10 us to 10 s: the first who waits for the time may be due before it is done."""
        due = [thread.wake_at for thread in self.waiting if thread.wake_at is not None and not thread.stopped]
        if due and min(due) - self.now <= 10 ** (6 * self._rng.random() - 5):
            self._wake()

    def chance(self) -> bool:
        """Whether another thread goes on in the midst of a call."""
        return len(self.ready) > 1 and self._rng.random() < self._switch

    def give_way(self) -> None:
        """Let another thread go on, if there is one."""
        if self.current is not None and getcurrent() is self.current.green:
            self.hub.switch()

    def park(self, timeout: float | None, *, what: str) -> None:
        """Wait until woken, or for so many seconds."""
        thread = self.current
        if thread is None:
            raise Deadlock(f"nobody else is there to end the wait for {what}")
        thread.wake_at = None if timeout is None else self.now + max(timeout, 0.0)
        thread.waits_for = what
        self.ready.remove(thread)
        self.waiting.append(thread)
        self.hub.switch()

    def wait(self, until: Callable[[], bool], timeout: float | None, *, what: str) -> bool:
        """Wait until it holds; whether it does."""
        deadline = None if timeout is None else self.now + timeout
        while not until():
            left = None if deadline is None else deadline - self.now
            if left is not None and left <= 0:
                return False
            self.park(left if left is not None else None, what=what)
        return True

    def wake_all(self, what: str) -> None:
        """Make ready who waits for this."""
        if self.waiting:
            self.rouse(lambda thread: thread.waits_for == what)
