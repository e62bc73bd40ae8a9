"""Group commit: whatever waits is written in one frame and made durable by one sync.

A caller that finds nobody at work commits inline, without a hand-off. Whoever comes while a commit is under way
queues; one committer thread takes all that is queued as the next group. So a lone writer never waits for company,
and a thousand writers share a sync.

    who                 holds         does
    inline caller       at_work       commits its own batch
    committer thread    at_work       commits group after group until the queue is empty
    everybody else      nothing       queues, wakes the thread if it is the first there, then waits for its ticket

A caller may be interrupted anywhere, also while it deals with an interrupt. Therefore it owes nobody anything after
its commit but the lock, which a `with` block gives back whatever comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from walnut.errors import StoreClosed
from walnut.log.admission import Precheck
from walnut.log.entry import Entry
from walnut.log.frame import Sealed
from walnut.ports import Appended, Batch, Ticket
from walnut.system import System, Thread

GROUP_BATCHES = 4096
GROUP_BYTES = 8 * 1024 * 1024


class Pending:
    """A batch on its way: the ticket that its caller holds."""

    #: What admission said: the answer once `wait_for` is durable (0: at once), or why it was refused; whether it
    #: writes anything itself.
    answer: tuple[Appended, ...] = ()
    wait_for = 0
    writes = False
    refusal: Exception | None = None
    error: BaseException | None = None
    _done = False

    def __init__(
        self, system: System, batch: Batch, contents: Sequence[Sealed], size: int, checked: Precheck | None
    ) -> None:
        self.batch = batch
        self.contents = contents
        self.size = size
        self.checked = checked
        self._system = system
        self._callbacks: list[Callable[[Ticket], None]] = []

    def contents_of(self, entries: Sequence[Entry]) -> Sequence[Sealed]:
        """The contents of those drafts that are written: the others are replayed."""
        if len(entries) == len(self.contents):
            return self.contents
        drafts = chain.from_iterable(self.batch.transactions)
        known = dict(zip(map(id, drafts), self.contents, strict=True))
        return [known[id(entry.draft)] for entry in entries]

    @property
    def done(self) -> bool:
        """Whether it has an outcome."""
        return self._done

    def finish(self, answer: tuple[Appended, ...] = (), error: BaseException | None = None) -> None:
        """Give it its outcome, once."""
        if self._done:
            return
        self.answer, self.error = answer, error
        self._done = True
        if self._callbacks:
            self._call_back()

    def result(self, timeout: float | None = None) -> tuple[Appended, ...]:
        """Wait for the outcome; TimeoutError after `timeout` seconds."""
        if not self._done:
            gate = self._system.lock()
            gate.acquire()
            self.add_done_callback(lambda _: gate.release())
            if not gate.acquire(timeout=-1 if timeout is None else timeout):
                raise TimeoutError
        if self.error is not None:
            raise self.error
        return self.answer

    def add_done_callback(self, callback: Callable[[Ticket], None]) -> None:
        """Call once it is done, at once if it is."""
        self._callbacks.append(callback)
        if self._done:
            self._call_back()

    def _call_back(self) -> None:
        while True:
            try:
                callback = self._callbacks.pop()
            except IndexError:  # two threads may empty the list: each callback is taken once
                return
            try:
                callback(self)
            except Exception:  # noqa: BLE001, S112 - the outcome stands, and others of the group wait for theirs
                continue


class Committer:
    """Runs `commit` on groups of batches, one group at a time, with `at_work` held."""

    def __init__(self, system: System, commit: Callable[[Sequence[Pending]], None]) -> None:
        self.at_work = system.lock()
        self.mutex = system.lock()
        self._system = system
        self._commit = commit
        self._queue: list[Pending] = []
        self._closed = False
        self._thread: Thread | None = None
        self._wake = system.queue()

    def run(self, pending: Pending) -> tuple[Appended, ...]:
        """Commit inline if nobody is at work and nobody waits, else queue and wait."""
        with self.mutex:
            self._refuse_closed()
            inline = not self._queue and not self.at_work.locked()
            handed_over = inline or self._enqueue(pending)
        if inline:
            with self.at_work:
                self._refuse_closed()
                self._commit([pending])
        elif not handed_over:
            self._drain()
        return pending.result()

    def submit(self, pending: Pending) -> None:
        """Queue and return."""
        with self.mutex:
            self._refuse_closed()
            handed_over = self._enqueue(pending)
        if not handed_over:
            self._drain()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreClosed("the log is closed", hint="open the store again")

    def _enqueue(self, pending: Pending) -> bool:
        """False when there can be no thread (too many, or the interpreter is ending): the caller does its work.

        The thread is woken first: who is interrupted in between has it look in vain, and leaves nobody asleep.
        """
        handed_over = (bool(self._queue) and self._thread is not None) or self._wake_thread()
        self._queue.append(pending)
        return handed_over

    def _wake_thread(self) -> bool:
        if self._thread is None:
            try:
                self._thread = self._system.start_thread(self._loop, name="walnut-committer")
            except RuntimeError:
                return False
        self._wake.put(None)
        return True

    def _loop(self) -> None:
        while self._wake.get() is None:
            self._drain()
        self._wake.put(0)  # for a second thread: an interrupt while one is started may lead to another

    def _drain(self) -> None:
        with self.at_work:
            group = self._take()
            while group:
                self._commit_all(group)
                group = self._take()

    def _commit_all(self, group: list[Pending]) -> None:
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001 - reported to every caller that waits
            for pending in group:
                pending.finish(error=error)

    def _take(self) -> list[Pending]:
        with self.mutex:
            size = 0
            for count, pending in enumerate(self._queue):
                size += pending.size
                if count and (size > GROUP_BYTES or count >= GROUP_BATCHES):
                    group, self._queue = self._queue[:count], self._queue[count:]
                    return group
            group, self._queue = self._queue, []
            return group

    def close(self) -> None:
        """Refuse new batches, finish what is queued, end the thread."""
        with self.mutex:
            self._closed = True
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake.put(0)
            thread.join()
        self._drain()  # what no thread has taken, and after an inline caller
