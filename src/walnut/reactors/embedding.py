"""Embedding, as a store has it: the reactor for memories, the questions, and the source of vectors for recall."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from walnut.model.results import Embedding as Status
from walnut.ports import Embedder, Log
from walnut.reactors.cache import Cache
from walnut.reactors.embed import Reactor
from walnut.reactors.questions import Questions
from walnut.system import System
from walnut.views.damage import UNREADABLE, Damaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from walnut.recall.models import Source
    from walnut.views.reader import Snapshot


class Embedded:
    """What an embedder does for one open store. `folder` is the store's; None keeps the cache in memory."""

    def __init__(self, log: Log, system: System, embedder: Embedder, *, folder: str | None) -> None:
        place = None if folder is None or system.databases_in_memory else f"{folder}/embeddings"
        path, lock = (None, None) if place is None else (f"{place}/cache.db", f"{place}/reactor.lock")
        self.dimensions = embedder.dimensions
        self.cache = Cache(system, path, log_id=log.log_id)
        self._reactor = Reactor(log, system, embedder, self.cache, lock_path=lock)
        self._questions = Questions(system, embedder)
        self._log = log
        self._reactor.start()

    def vector(self, query: str, *, demanded: bool) -> NDArray[np.float32] | None:
        """A query's vector, None when the model does not give it; EmbedderFailed when that is `demanded`."""
        return self._questions.vector(query, demanded=demanded)

    def source(self) -> Source | None:
        """The vectors of the model there are by now; None while the cache can't be read."""
        try:
            return _Cached(self.cache, self._reactor.model, self.cache.taken(), self.dimensions)
        except (*UNREADABLE, Damaged, OSError):
            return None

    def nudge(self) -> None:
        """There may be something new in the log."""
        self._reactor.nudge()

    def embed(self, lsn: int, *, timeout: float) -> Status:
        """Try again what failed, wait until all up to an LSN is embedded or `timeout` seconds are over."""
        with suppress(*UNREADABLE, Damaged, OSError):
            self._reactor.try_again()
        self._reactor.wait(lsn, timeout=timeout)
        return self._reactor.status()

    def status(self) -> Status:
        """How far it has come."""
        return self._reactor.status()

    def close(self) -> None:
        """End."""
        self._reactor.close()


class _Cached:
    """The vectors of one model in the cache, as long as none is taken away."""

    def __init__(self, cache: Cache, model: int, taken: int, dimensions: int) -> None:
        self.name, self._taken = f"cache, {model}", taken
        self._cache, self._model, self._dimensions = cache, model, dimensions

    def taken(self, snapshot: Snapshot) -> int:
        """When rows went from the cache, which has nothing to do with the views."""
        del snapshot
        return self._taken

    def rows(
        self, snapshot: Snapshot, path: str, *, after: int, upto: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """The mark is the cache's own; what it has is all given, whatever its LSN."""
        del snapshot, upto
        try:
            return self._cache.rows(self._model, path, dimensions=self._dimensions, after=after)
        except (*UNREADABLE, Damaged, OSError):  # recall answers without them
            import numpy as np

            return after, np.zeros(0, np.int64), np.zeros((0, self._dimensions), np.float32)
