"""Locks, conditions and queues between the threads of a simulated process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import Empty
from types import TracebackType

from walnut.testing.sim.schedule import Killed, Schedule


class SimLock:
    """A mutual exclusion lock."""

    _count = 0

    def __init__(self, schedule: Schedule, alive: Callable[[], bool]) -> None:
        SimLock._count += 1
        self._name = f"lock {SimLock._count}"
        self._schedule = schedule
        self._alive = alive
        self._held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading's signature
        """Take it."""
        if not self._alive():
            raise Killed
        self._schedule.pass_turn()
        if self._held:
            if not blocking:
                return False
            limit = None if timeout < 0 else timeout
            if not self._schedule.wait(lambda: not self._held, limit, what=self._name):
                return False
        self._held = True
        return True

    def release(self) -> None:
        """Give it back."""
        if not self._held and self._alive():
            raise RuntimeError("release unlocked lock")
        self._held = False
        self._schedule.wake_all(self._name)

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.release()


class SimCondition:
    """A condition with a lock of its own."""

    def __init__(self, schedule: Schedule, alive: Callable[[], bool]) -> None:
        self._lock = SimLock(schedule, alive)
        self._schedule = schedule
        self._alive = alive
        self._waiters: deque[list[bool]] = deque()
        self._name = f"condition of {self._lock._name}"  # noqa: SLF001 - one thing in two classes

    def acquire(self) -> bool:
        """Take the lock."""
        return self._lock.acquire()

    def release(self) -> None:
        """Give it back."""
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock back until told; whether it was told within `timeout` seconds."""
        told = [False]
        self._waiters.append(told)
        self._lock.release()
        try:
            return self._schedule.wait(lambda: told[0], timeout, what=self._name)
        finally:
            self._waiters = deque(each for each in self._waiters if each is not told)
            if self._alive():
                self._lock.acquire()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until it holds; whether it does."""
        deadline = None if timeout is None else self._schedule.now + timeout
        while not predicate():
            if deadline is not None and self._schedule.now >= deadline:
                return False
            self.wait(None if deadline is None else deadline - self._schedule.now)
        return True

    def notify(self, n: int = 1) -> None:
        """Tell the first who wait."""
        for _ in range(min(n, len(self._waiters))):
            self._waiters.popleft()[0] = True
        self._schedule.wake_all(self._name)

    def notify_all(self) -> None:
        """Tell all who wait."""
        self.notify(len(self._waiters))


class SimQueue:
    """An unbounded queue."""

    def __init__(self, schedule: Schedule, alive: Callable[[], bool], *, name: str) -> None:
        self._items: deque[object] = deque()
        self._schedule = schedule
        self._alive = alive
        self._name = name

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - queue's signature
        """Add at the end."""
        self._items.append(item)
        self._schedule.wake_all(self._name)

    def get(self, block: bool = True, timeout: float | None = None) -> object:  # noqa: FBT001, FBT002 - queue's signature
        """Take the first; Empty when there is none in time."""
        if not self._alive():
            raise Killed
        self._schedule.pass_turn()
        if not self._items and (
            not block or not self._schedule.wait(lambda: bool(self._items), timeout, what=self._name)
        ):
            raise Empty
        return self._items.popleft()

    def get_nowait(self) -> object:
        """Take the first, or Empty."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Whether nothing is there."""
        return not self._items

    def qsize(self) -> int:
        """How many are there."""
        return len(self._items)
