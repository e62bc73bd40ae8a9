"""Group commit: groups, closing beside work in flight, callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from tests.crash.stores import single, wait_until
from walnut.errors import StoreClosed
from walnut.log import committer
from walnut.log.committer import Committer, Pending
from walnut.ports import Ticket
from walnut.system import Queue, System, Thread


class Slow:
    """A commit that waits until it is let go, and notes its groups."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.go = threading.Event()

    def commit(self, group: Sequence[Pending]) -> None:
        assert self.go.wait(60)
        self.groups.append(len(group))
        for pending in group:
            pending.finish()


def pending(size: int = 1) -> Pending:
    return Pending(System(), single("x.0.1"), (), size, None)


def in_threads(committer: Committer, many: list[Pending]) -> list[threading.Thread]:
    threads = [threading.Thread(target=committer.run, args=(each,), daemon=True) for each in many]
    for thread in threads:
        thread.start()
    return threads


def test_L10_what_waits_is_one_group_and_a_lone_writer_needs_no_thread() -> None:
    slow = Slow()
    slow.go.set()
    group = Committer(System(), slow.commit)
    group.run(pending())
    assert group._thread is None
    slow.go.clear()
    threads = in_threads(group, [pending() for _ in range(6)])
    wait_until(lambda: len(group._queue) == 5)
    slow.go.set()
    for thread in threads:
        thread.join(60)
    assert slow.groups == [1, 1, 5]
    group.run(pending())
    assert slow.groups == [1, 1, 5, 1]
    group.close()
    with pytest.raises(StoreClosed):
        group.run(pending())
    with pytest.raises(StoreClosed):
        group.submit(pending())


def test_L10_groups_are_limited_in_bytes_and_number() -> None:
    slow = Slow()
    group = Committer(System(), slow.commit)
    many = [pending(committer.GROUP_BYTES // 2) for _ in range(5)] + [pending() for _ in range(5000)]
    for each in many:
        group.submit(each)
    slow.go.set()
    for each in many:
        assert each.result(60) == ()
    assert max(slow.groups) <= committer.GROUP_BATCHES
    assert sum(slow.groups) == len(many)
    assert len(slow.groups) >= 4
    group.close()


def test_closing_waits_for_an_inline_caller_that_hands_over() -> None:
    slow = Slow()
    group = Committer(System(), slow.commit)
    slow.go.set()
    group.submit(pending())  # the thread is there and idle
    wait_until(lambda: slow.groups == [1] and not group.at_work.locked())
    slow.go.clear()
    threads = in_threads(group, [pending(), pending()])
    wait_until(lambda: len(group._queue) == 1)
    closing = threading.Thread(target=group.close)
    closing.start()
    wait_until(lambda: group._closed)
    slow.go.set()
    for thread in [*threads, closing]:
        thread.join(60)
        assert not thread.is_alive()
    assert slow.groups == [1, 1, 1]


def test_an_error_reaches_every_caller_and_callbacks_come_once() -> None:
    def refuse(group: Sequence[Pending]) -> None:
        raise OSError(len(group))

    group = Committer(System(), refuse)
    many = [pending() for _ in range(3)]
    called: list[Ticket] = []
    for each in many:
        each.add_done_callback(called.append)
        group.submit(each)
    for each in many:
        with pytest.raises(OSError, match=r"\d"):
            each.result(60)
        assert each.done
    group.close()
    many[0].add_done_callback(called.append)
    assert len(called) == 4
    waiting = pending()
    with pytest.raises(TimeoutError):
        waiting.result(0)


def test_L10_a_callback_that_fails_keeps_nobody_from_an_outcome() -> None:
    def refuse(group: Sequence[Pending]) -> None:
        for each in group:
            each.finish(error=MemoryError())
        raise MemoryError

    def fails(ticket: Ticket) -> None:
        ticket.result(0)

    group = Committer(System(), refuse)
    many = [pending() for _ in range(6)]
    for each in many:
        each.add_done_callback(fails)
        group.submit(each)
    for each in many:
        with pytest.raises(MemoryError):
            each.result(60)
    closing = threading.Thread(target=group.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive(), "it is busy for ever"


class Interrupted(Slow):
    """Interrupted once, after its first commit."""

    def commit(self, group: Sequence[Pending]) -> None:
        super().commit(group)
        if len(self.groups) == 1:
            raise KeyboardInterrupt


def test_L10_an_interrupt_of_who_commits_reaches_it_alone_and_blocks_nobody() -> None:
    slow = Interrupted()
    group = Committer(System(), slow.commit)
    written, heard = pending(), list[type[BaseException]]()

    def run() -> None:
        with pytest.raises(KeyboardInterrupt) as raised:
            group.run(written)
        heard.append(raised.type)

    threads = [threading.Thread(target=run)]
    threads[0].start()
    wait_until(group.at_work.locked)
    threads += in_threads(group, [pending(), pending()])
    wait_until(lambda: len(group._queue) == 2)
    slow.go.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert (heard, slow.groups, written.result()) == ([KeyboardInterrupt], [1, 2], ())
    assert group.run(pending()) == ()
    group.close()


class Late(System):
    """Threads that begin when they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def start_thread(self, target: Callable[[], None], *, name: str) -> Thread:
        def run() -> None:
            assert self.go.wait(60)
            target()

        return super().start_thread(run, name=name)


def test_L10_who_waits_goes_before_who_comes_later_and_finds_nobody_at_work() -> None:
    slow, system = Slow(), Late()
    group = Committer(system, slow.commit)
    threads = in_threads(group, [pending()])
    wait_until(group.at_work.locked)
    threads += in_threads(group, [pending()])
    wait_until(lambda: len(group._queue) == 1)
    slow.go.set()
    threads[0].join(60)
    assert not group.at_work.locked()
    threads += in_threads(group, [pending()])
    wait_until(lambda: len(group._queue) == 2 or len(slow.groups) == 2)
    system.go.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert slow.groups == [1, 2]
    group.close()


class Interrupting(System):
    """The first who wakes the thread is interrupted, before it does or just after."""

    def __init__(self, *, after: bool) -> None:
        self._after = after

    def queue(self) -> Queue:
        real, after, interrupts = super().queue(), self._after, [KeyboardInterrupt]

        class Watched:
            def put(self, item: object) -> None:
                if after:
                    real.put(item)
                if interrupts:
                    raise interrupts.pop()
                if not after:
                    real.put(item)

            def get(self) -> object:
                return real.get()

        return Watched()


@pytest.mark.parametrize("after", [True, False])
def test_L10_who_is_interrupted_while_it_wakes_the_thread_leaves_nobody_asleep(*, after: bool) -> None:
    slow = Slow()
    group = Committer(Interrupting(after=after), slow.commit)
    threads = in_threads(group, [pending()])
    wait_until(group.at_work.locked)
    with pytest.raises(KeyboardInterrupt):
        group.run(pending())
    threads += in_threads(group, [pending()])
    wait_until(lambda: len(group._queue) == 1)
    slow.go.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    group.close()
    assert slow.groups == [1, 1]
