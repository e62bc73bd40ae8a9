"""The log in files: any number of threads and processes append to it and read it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Self

import msgspec

from walnut.errors import InvalidArgument, NotAStore, StoreClosed, UnsupportedFileSystem, WalnutError
from walnut.log import failures, frame, keys
from walnut.log.admission import Overlay, Precheck, admit, precheck
from walnut.log.catalog import Catalog
from walnut.log.committer import Committer, Pending
from walnut.log.durable import Durable
from walnut.log.entry import alone, appended, new_alone
from walnut.log.frame import Sealed
from walnut.log.keeper import Keeper
from walnut.log.opening import Opened, open_folder
from walnut.log.reader import Reader
from walnut.log.shared import State
from walnut.log.verify import verify_segments
from walnut.log.writer import Writer
from walnut.model.event import Draft, Event
from walnut.model.results import Position, VerifyReport
from walnut.ports import Appended, Batch, Ticket
from walnut.system import Lock, System


class _Written:
    """What admission asks, answered up to the written end."""

    def __init__(self, log: FileLog, state: State) -> None:
        self._catalog, self._reader, self._state = log.catalog, log.reader, state

    def find_idem(self, idem: bytes) -> int | None:
        return self._catalog.find_idem(idem, self._state)

    def last_touch(self, touch: bytes) -> int:
        return self._catalog.last_touch(touch, self._state, upto=self._state.lsn)

    def event(self, lsn: int) -> Event:
        return self._reader.get(lsn, self._state)

    def read(self, after: int) -> Iterator[Event]:
        return self._reader.read(after, self._state.lsn, self._state)


class FileLog:
    """`ports.Log` on segment files. Made by `open`; closed by `close` or a with block."""

    def __init__(self, system: System, opened: Opened) -> None:
        self.log_id, self.secret = opened.identity.log_id, opened.identity.secret
        self.folder = opened.folder
        self.catalog = Catalog(system, opened.segments)
        self.reader = Reader(system, opened.segments, self.catalog)
        self._system = system
        self._opened = opened
        self._durable = Durable(
            system,
            segments=opened.segments,
            shared=opened.shared,
            lock=opened.sync_lock,
            epoch=opened.epoch,
        )
        self._writer = Writer(
            system,
            segments=opened.segments,
            catalog=self.catalog,
            shared=opened.shared,
            lock=opened.write_lock,
            one_sync=self._durable.one_at_a_time,
            epoch=opened.epoch,
        )
        self._committer = Committer(system, self._commit)
        self._keeper = Keeper(
            system,
            folder=f"{opened.folder}/log",
            lock_fd=opened.prepare_fd,
            written=opened.shared.written.load,
            capacity=lambda number: opened.segments.get(number).header.capacity,
            tidy=self._settle,
        )
        self._written_lsn = 0
        self._closed = ""
        self._closing = system.lock()
        self._watch_forks()

    @classmethod
    def open(
        cls,
        system: System,
        folder: str,
        *,
        create: bool = True,
        network_file_system: bool = False,
        busy_timeout: float = 10.0,
    ) -> FileLog:
        """Open the store in `folder`, recovering it when nobody else has it open; `create` makes a new one.

        Locks are waited for `busy_timeout` seconds. Raises NotAStore, FormatTooNew, LogCorruption, LogBusy,
        UnsupportedFileSystem, AccessDenied, StorageFull, StorageFailed.
        """
        folder = system.absolute(folder)
        kind = system.network_file_system(folder)
        if kind is not None and not network_file_system:
            raise UnsupportedFileSystem(
                f"the folder is on {kind}", where=folder, hint="use a local disk, or pass network_file_system=True"
            )
        if not create and not system.is_folder(folder):
            raise NotAStore("there is no store", where=folder, hint="name the folder of a store")
        try:
            return cls(system, open_folder(system, folder, create=create, limit=busy_timeout))
        except OSError as error:
            raise failures.storage_error(error, "opening the store", where=folder) from None

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, batch: Batch) -> tuple[Appended, ...]:
        """Append and wait for the durability asked for."""
        return self._committer.run(self._prepare(batch))

    def submit(self, batch: Batch) -> Ticket:
        """Hand over to the committer and return at once."""
        pending = self._prepare(batch)
        self._committer.submit(pending)
        return pending

    def _prepare(self, batch: Batch) -> Pending:
        """Everything that needs no lock: contents encoded, conditions evaluated as far as the log goes now."""
        self._refuse_closed()
        drafts = [*chain.from_iterable(batch.transactions)]
        salts, size = self._system.random(16 * len(drafts)), 0
        contents: list[Sealed] = []
        for draft in drafts:
            sealed = frame.seal(draft.content, salts[16 * len(contents) : 16 * len(contents) + 16])
            contents.append(sealed)
            size += len(sealed.record) + 228 + 17 * len(draft.touches)
        if size > frame.MAX_BODY:
            raise InvalidArgument(
                f"a batch of {size} bytes", where="items", hint=f"at most {frame.MAX_BODY} bytes in one atomic batch"
            )
        checked: Precheck | None = None
        if batch.conditions:
            upto = self.durable_lsn()
            checked = precheck(batch, read=lambda after: self.read(after=after, upto=upto), upto=upto)
        return Pending(self._system, batch, contents, size, checked)

    def _commit(self, group: Sequence[Pending]) -> None:
        """Write what the group asks for in one frame, sync once, answer everybody."""
        try:
            need = self._write(group)
            if need:
                self._durable.confirm(need)
            for pending in group:
                pending.finish(pending.answer, pending.refusal)
        except BaseException as error:
            for pending in group:
                pending.finish(error=error)
            if not isinstance(error, Exception):
                self._writer.lock.release()  # interrupted, perhaps just before giving it back
            raise
        self._keeper.ping()

    def _write_alone(self, pending: Pending, draft: Draft) -> int:
        """`_write` for one new draft: the shortest way, on which nothing is looked up."""
        system, writer = self._system, self._writer
        with writer.lock:
            state = writer.begin()
            entry = alone(draft, state.lsn + 1, last=state.recorded_at, now=system.now(), randomness=system.random(10))
            self._written_lsn = lsn = writer.write(state, (entry,), pending.contents)
        pending.answer = (appended(entry),)
        return lsn if pending.batch.durability == "disk" else 0  # who waits for no sync is answered by `_commit`

    def _write(self, group: Sequence[Pending]) -> int:
        """Admit and write; finishes what is refused or needs no sync. Returns the LSN to wait for."""
        if len(group) == 1:
            draft = new_alone(group[0].batch)
            if draft is not None:
                return self._write_alone(group[0], draft)
        with self._writer.lock:
            state = self._writer.begin()
            overlay = Overlay(
                _Written(self, state),
                first_lsn=state.lsn + 1,
                recorded_at=state.recorded_at,
                now=self._system.now(),
                random=self._system.random,
            )
            contents: list[Sealed] = []
            for pending in group:
                try:
                    admission = admit(pending.batch, overlay=overlay, checked=pending.checked)
                except Exception as error:  # noqa: BLE001 - it is that caller's, the others go on
                    self._durable.refuse_lost(error)
                    pending.refusal, pending.wait_for, overlay.named = error, overlay.named, 0
                    continue
                pending.answer, pending.wait_for = admission.results, admission.wait_for
                pending.writes = bool(admission.entries)
                contents += pending.contents_of(admission.entries)
            if overlay.entries:
                try:
                    self._written_lsn = self._writer.write(state, overlay.entries, contents)
                except Exception as error:  # noqa: BLE001 - theirs who write, or were answered with what they write
                    for pending in group:
                        if pending.writes or pending.wait_for > state.lsn:
                            pending.finish(error=error)
        need = 0
        for pending in group:
            if not pending.done:
                need = max(need, pending.wait_for)
                if not pending.wait_for:
                    pending.finish(pending.answer, pending.refusal)
        return need

    def sync(self, lsn: int | None = None) -> int:
        """Make everything up to `lsn` durable; returns the durable LSN."""
        self._refuse_closed()
        return self._durable.sync(lsn).lsn

    def adopt_secret(self, secret: bytes) -> bool:
        """Take another log's secret, so that its hashes hold here: only while this one is empty and ours alone."""
        with self._committer.at_work:
            self._refuse_closed()
            with self._writer.lock:
                if self._writer.begin().lsn or not self._opened.alone():
                    return False
                identity = msgspec.structs.replace(self._opened.identity, secret=secret)
                try:
                    keys.create_keys(self._system, self.folder, identity)
                    self._system.sync_directory(self.folder)
                except OSError as error:
                    raise failures.storage_error(error, "adopting a secret") from None
                self._opened.identity = identity
                self.secret = secret
        return True

    # -- reading ---------------------------------------------------------------------------------------------------

    def durable_lsn(self) -> int:
        """The newest LSN on disk."""
        return self._end().lsn

    def written_lsn(self) -> int:
        """The newest LSN that this handle has written, 0 if none."""
        return self._written_lsn

    def _end(self) -> State:
        self._refuse_closed()
        return self._durable.state()

    def read(self, *, after: int = 0, upto: int | None = None) -> Iterator[Event]:
        """Durable events with `after` < LSN <= `upto`, in order."""
        end = self._end()
        return self.reader.read(after, end.lsn if upto is None else upto, end)

    def get(self, lsn: int) -> Event:
        """One event; NotFound when there is none."""
        return self.reader.get(lsn, self._end())

    def stream(self, touch: bytes, *, before: int | None = None, last: int | None = None) -> list[int]:
        """LSNs of the durable events that touch this key, ascending."""
        end = self._end()
        limit = end.lsn + 1 if before is None else min(before, end.lsn + 1)
        return self.catalog.touching(touch, end, before=limit, last=last)

    def last_touch(self, touch: bytes) -> int:
        """The newest durable LSN that touches this key, else 0."""
        end = self._end()
        return self.catalog.last_touch(touch, end, upto=end.lsn)

    def find_idem(self, idem: bytes) -> int | None:
        """LSN of the first durable event with this idempotency hash."""
        end = self._end()
        found = self.catalog.find_idem(idem, end)
        return found if found is not None and found <= end.lsn else None

    def locate(self, lsn: int) -> Position:
        """Where the event lies."""
        return self.reader.locate(lsn, self._end())

    def wait(self, lsn: int, *, timeout: float | None = None) -> bool:
        """Wait until `lsn` is durable, whoever writes it; False on timeout."""
        self._refuse_closed()
        return self._durable.wait(lsn, timeout)

    def chain(self, lsn: int) -> bytes:
        """The chain hash after the frame that ends with `lsn`, or the newest one before it."""
        return self.reader.chain(lsn, self._end())

    def verify(self) -> VerifyReport:
        """Read and check every bit up to the durable end."""
        return verify_segments(self._system, self._opened.segments, self._end())

    def size(self) -> tuple[int, int]:
        """Number of segments, and bytes written to them (prepared space does not count)."""
        end = self._end()
        total = end.end
        for number in range(1, end.segment):
            sealed = self._opened.segments.sealed_end(number)
            total += sealed[0] if sealed else 0
        return end.segment, total

    # -- the end ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Idle: sync what was written at `process`, and put the mark on disk."""
        self._durable.sync(None)
        self._opened.shared.flush_mark()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreClosed(self._closed, hint="open the store again")

    def close(self) -> None:
        """Finish what is in flight, sync what is not yet, and let go. Raises DurabilityUnknown if that fails."""
        if self._closed:  # asked before the lock, which may be held for ever in a forked child
            return
        with self._closing:
            if not self._closed:
                self._finish()

    def _finish(self) -> None:
        self._committer.close()
        self._keeper.close()
        try:
            self._durable.sync(None)
            self.catalog.save()
            self._leave_clean()
        finally:
            with self._committer.at_work, self._durable.one_at_a_time:  # closed under a sync, it would look failed
                self._closed = "the log is closed"
                self._opened.close()

    def _leave_clean(self) -> None:
        """The last to leave says so in the mark: the next opening need not look behind it."""
        opened = self._opened
        try:
            with self._committer.at_work, self._writer.lock:
                state = self._writer.begin()
                mark = self._durable.state()
                if opened.alone() and mark.same_end(state):
                    opened.mark_clean(mark)
            opened.shared.flush_mark()
        except (WalnutError, OSError):
            return  # someone else is stuck, the log is poisoned or the disk fails: the next opening recovers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- forks -----------------------------------------------------------------------------------------------------

    def _watch_forks(self) -> None:
        """Locks survive in forked children: let nothing be held while a fork happens, let go of all in the child."""
        this = weakref.ref(self)
        held: list[FileLog] = []

        def before() -> None:
            log = this()
            if log is not None and log.quiesce():
                held.append(log)

        def in_parent() -> None:
            if held:
                held.pop().resume()

        def in_child() -> None:
            if held:
                held.pop().abandon()

        self._system.at_fork(before=before, in_parent=in_parent, in_child=in_child)

    def _inner_locks(self) -> Sequence[Lock]:
        opening = self._opened.segments.lock  # the child closes the segments, which takes it
        return (self._committer.at_work, self._committer.mutex, self._durable.one_at_a_time, opening)

    def quiesce(self) -> bool:
        """Wait until no thread is within a commit, and hold them off; False when closed."""
        if self._closed and not self._committer.at_work.locked():  # which is held while the files are closed
            return False
        for lock in self._inner_locks():
            lock.acquire()
        return True

    def resume(self) -> None:
        """Let the threads go on."""
        for lock in reversed(self._inner_locks()):
            lock.release()

    def abandon(self) -> None:
        """In a forked child: close the inherited files without touching the parent's locks."""
        self._closed = "the log belongs to the parent of this process"
        self.resume()
        self._opened.close()
