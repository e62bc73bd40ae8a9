"""The reactor that embeds: it follows the log from a durable position and puts vectors of memories into the cache.

It runs in a thread of its own, one process at a time. A call that fails is noted and made again, after a pause that
grows; writes and reads know nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b

import msgspec

from walnut.embed.ask import ask
from walnut.errors import EmbedderFailed, NotFound, StoreClosed, WalnutError
from walnut.model import ids
from walnut.model.event import Event
from walnut.model.results import Embedding
from walnut.ports import Embedder, Log
from walnut.reactors.cache import Cache, Row, Standing
from walnut.system import System, Thread
from walnut.views.damage import Damaged
from walnut.views.folds import brought
from walnut.views.folds.vectors import said
from walnut.views.store import file_lock
from walnut.views.visibility import WRITES, living

_MEMORY = ids.TOUCH_BYTES["mem"]
_FLOAT_BYTES = 4
#: Kinds that may take memories away or bring them back.
_CHANGES = frozenset({"memory.delete", "memory.reverted", "memory.erased", "memory.purged"})
_NOWHERE = Standing(0, b"", 0, None)
_TROUBLE = (WalnutError, sqlite3.Error, UnicodeDecodeError, Damaged, OSError)


class EmbedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`batch`: texts a call, halved each time they fail together; `attempts`: calls before a text is given up.

    `pause`: seconds after a failure, doubled for each further one up to `longest_pause`. `look`: seconds between
    two looks for what other processes wrote. `gather`: seconds to wait for company after a write. `chunk`: events
    read at once. `patience`: seconds a close waits for a call that is under way.
    """

    batch: int = 64
    attempts: int = 8
    pause: float = 0.5
    longest_pause: float = 60.0
    look: float = 1.0
    gather: float = 0.02
    chunk: int = 256
    patience: float = 1.0


SETTINGS = EmbedSettings()


class Reactor:
    """Embeds what a log holds, into a cache; `start` it, `nudge` it after writes, `close` it."""

    def __init__(
        self,
        log: Log,
        system: System,
        embedder: Embedder,
        cache: Cache,
        *,
        lock_path: str | None,
        settings: EmbedSettings = SETTINGS,
    ) -> None:
        self._log, self._system, self._embedder, self._cache = log, system, embedder, cache
        self._lock_path, self._settings = lock_path, settings
        self._changed = system.condition()
        self._thread: Thread | None = None
        self._closed = False
        self._nudged = False
        self._checked = False
        self._due_at = 0.0
        self._failures = 0
        self._trouble: str | None = None  # of the cache or the log; the model's own is in the cache

    # -- for any thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread = self._system.start_thread(self._run, name="walnut-embed")

    def nudge(self) -> None:
        """There may be something new in the log."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def try_again(self) -> None:
        """Have what failed or was given up tried now."""
        self._cache.try_again(self.model)
        with self._changed:
            self._due_at = 0.0
        self.nudge()

    def wait(self, lsn: int, *, timeout: float) -> None:
        """Wait until everything up to an LSN has its vector or was given up; after `timeout` seconds, no longer."""
        until = self._system.monotonic() + timeout
        while not self._done(lsn):
            with self._changed:
                left = until - self._system.monotonic()
                if left <= 0 or self._closed:
                    return
                self._changed.wait(min(left, 0.05))

    def _done(self, lsn: int) -> bool:
        with suppress(sqlite3.Error, Damaged):
            standing = self._cache.standing(self.model)
            if standing.lsn >= lsn and self._fits(standing):
                return not self._cache.due(self.model, size=1, most=self._settings.attempts)
        return False

    def _fits(self, standing: Standing) -> bool:
        """Whether it tells of this log, not of one that was repaired with losses, or put back from a copy since."""
        lsn = standing.lsn
        return not lsn or (lsn <= self._log.durable_lsn() and self._log.chain(lsn) == standing.chain)

    @property
    def model(self) -> int:
        """The model's number in the cache."""
        return self._cache.model(self._embedder.model, self._embedder.dimensions)

    def status(self) -> Embedding:
        """How far it has come, in whichever process."""
        standing, (vectors, waiting, given_up), trouble = _NOWHERE, (0, 0, 0), self._trouble
        try:
            model = self.model
            standing = self._cache.standing(model)
            vectors, waiting, given_up = self._cache.counts(model, most=self._settings.attempts)
        except (sqlite3.Error, UnicodeDecodeError, Damaged, OSError) as error:
            trouble = f"the cache can't be read ({type(error).__name__})"
        return Embedding(
            model=self._embedder.model,
            dimensions=self._embedder.dimensions,
            lsn=standing.lsn,
            vectors=vectors,
            waiting=waiting,
            given_up=given_up,
            failures=standing.failures,
            failure=standing.failure or trouble,
        )

    def close(self) -> None:
        """End; a call that is under way is waited for a little, and what it brings is kept even after that."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(self._settings.patience)
        else:
            self._cache.close()

    # -- its thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._follow()
        finally:
            self._cache.close()

    def _follow(self) -> None:
        with suppress(*_TROUBLE):  # a new opening is a new chance
            self._cache.try_again(self.model)
        while not self._closed:
            try:
                with self._alone() as alone:
                    more = alone and self._step()
                self._trouble = None
            except StoreClosed:
                return
            except _TROUBLE as error:  # read only, full, damaged: the cache is begun anew or comes back
                self._trouble = f"the cache or the log can't be read or written ({type(error).__name__})"
                more = False
            with self._changed:
                self._changed.notify_all()
                if not more and not self._nudged and not self._closed:
                    self._changed.wait(self._rest())
                if self._nudged and not more:
                    self._changed.wait_for(lambda: self._closed, self._settings.gather)
                self._nudged = False

    def _rest(self) -> float:
        """Seconds until there is something to do by itself."""
        due = self._due_at - self._system.monotonic() if self._failures else self._settings.look
        return min(max(due, 0.0), self._settings.look)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process embeds."""
        if self._lock_path is None:
            yield True
            return
        folder = self._lock_path.rpartition("/")[0]
        if not self._system.is_folder(folder):
            self._system.make_folder(folder)
        with file_lock(self._system, self._lock_path) as held:
            yield held

    def _step(self) -> bool:
        """Read a little of the log, embed a batch; whether there is more to do at once."""
        model = self.model
        if not self._checked:
            self._check_log(model)
        read = self._read(model)
        if self._system.monotonic() < self._due_at:
            return read
        rows = self._cache.due(model, size=self._settings.batch, most=self._settings.attempts)
        if not rows:
            self._failures = 0
            return read
        return self._embed(model, rows) or read

    def _check_log(self, model: int) -> None:
        if not self._fits(self._cache.standing(model)):
            self._cache.start_over()
        self._checked = True

    def _read(self, model: int) -> bool:
        """Note which versions are to have vectors."""
        after, newest = self._cache.standing(model).lsn, self._log.durable_lsn()
        upto = min(newest, after + self._settings.chunk)
        if upto <= after:
            return False
        rows, gone = list[Row](), list[int]()
        for event in self._log.read(after=after, upto=upto):
            if event.kind in WRITES:
                rows += self._wanted(event)
            elif event.kind in _CHANGES:
                alive, dead = self._changes(event)
                rows += alive
                gone += dead
        self._cache.read(model, rows, gone=gone, upto=upto, chain=self._log.chain(upto))
        return upto < newest

    def _wanted(self, event: Event) -> list[Row]:
        """The version to embed, unless it brings a vector of this dimension."""
        content = event.content
        if content is None or not isinstance(content.payload.get("text"), str):
            return []
        own = brought.packed(content)
        if own is not None and len(own) == self._embedder.dimensions * _FLOAT_BYTES:
            return []
        return [Row(event.lsn, content.scope, hash_of(self._log.secret, said(content)))]

    def _changes(self, event: Event) -> tuple[list[Row], list[int]]:
        """Of the memories that an event touches: versions that live, and those that do not."""
        rows, gone = list[Row](), list[int]()
        for touch in filter(_is_memory, event.touch_keys()):
            stream = [self._log.get(lsn) for lsn in self._log.stream(touch)]
            alive = _lsns(stream)
            for each in stream:
                if each.kind in WRITES:
                    if each.lsn in alive:
                        rows += self._wanted(each)
                    else:
                        gone.append(each.lsn)
        return rows, gone

    def _embed(self, model: int, due: Sequence[Row]) -> bool:
        """Embed these versions; whether the model did. What was forgotten meanwhile is not sent anywhere."""
        texts: dict[bytes, tuple[Row, str]] = {}
        gone: list[int] = []
        known: dict[bytes, set[int]] = {}
        for row in due:
            event = self._living(row.lsn, known)
            if event is None or event.content is None:
                gone.append(row.lsn)
            else:
                texts[row.hash] = (row, said(event.content))
        if gone:
            self._cache.drop(gone)
        if not texts:
            return True
        rows = [row for row, _ in texts.values()]
        try:
            vectors = ask(self._embedder, [text for _, text in texts.values()])
        except EmbedderFailed as failed:
            self._cache.fail(model, due, failed.message, blame=not failed.passing)
            pause = self._settings.pause * 2 ** min(self._failures, 20)
            self._failures += 1
            self._due_at = self._system.monotonic() + min(pause, self._settings.longest_pause)
            return False
        self._failures = 0
        self._cache.learn(model, rows, vectors)
        return True

    def _living(self, lsn: int, known: dict[bytes, set[int]]) -> Event | None:
        """The event, unless it was forgotten, undone or erased."""
        try:
            event = self._log.get(lsn)
        except NotFound:
            return None
        for touch in filter(_is_memory, event.touch_keys()):
            if touch not in known:
                later = self._log.last_touch(touch) != lsn
                known[touch] = _lsns([self._log.get(n) for n in self._log.stream(touch)]) if later else {lsn}
            if lsn not in known[touch]:
                return None
        return event


def _lsns(stream: Sequence[Event]) -> set[int]:
    return {event.lsn for event in living(stream)}


def _is_memory(touch: bytes) -> bool:
    return touch.startswith(_MEMORY)


def hash_of(secret: bytes, text: str) -> bytes:
    """16 bytes that stand for what is embedded; nobody guesses from them who does not have the log's secret."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=16, key=secret, person=b"embed").digest()
