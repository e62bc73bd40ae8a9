"""Questions: the vector of a query from a model that may be slow or gone, asked for with a limit to the waiting.

A call runs in a thread of its own, and what comes too late is kept for the next time. After a failure the model is
left alone for a while, so that not every search waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from walnut.embed.ask import ask
from walnut.errors import EmbedderFailed
from walnut.ports import Embedder
from walnut.system import System

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HINT = "mode hybrid answers without the model; see `upkeep.stats().embedding`"


class QuestionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`patience`: seconds a search waits for the model; `demanded`: where it can't do without (mode vector).

    `kept`: queries whose vectors are remembered. `pause`: seconds for which the model is left alone after a
    failure, doubled for each further one up to `longest_pause`.
    """

    patience: float = 2.0
    demanded: float = 30.0
    kept: int = 1024
    pause: float = 0.5
    longest_pause: float = 30.0


SETTINGS = QuestionSettings()


class Questions:
    """Vectors of queries; for any thread."""

    def __init__(self, system: System, embedder: Embedder, settings: QuestionSettings = SETTINGS) -> None:
        self._system, self._embedder, self._settings = system, embedder, settings
        self._changed = system.condition()
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._failed: dict[str, EmbedderFailed] = {}
        self._asking: set[str] = set()
        self._failures = 0
        self._rests_until = 0.0

    def vector(self, query: str, *, demanded: bool) -> NDArray[np.float32] | None:
        """The query's vector; None when the model does not answer in time, or failed just now.

        `demanded`: ask in any case, wait longer, and raise EmbedderFailed instead.
        """
        until = self._system.monotonic() + (self._settings.demanded if demanded else self._settings.patience)
        with self._changed:
            found = self._kept.get(query)
            if found is not None:
                self._kept.move_to_end(query)
                return found
            if not demanded and self._system.monotonic() < self._rests_until:
                return None
            if query not in self._asking:
                self._asking.add(query)
                self._failed.pop(query, None)
                self._system.start_thread(lambda: self._ask(query), name="walnut-question")
            while query in self._asking:
                left = until - self._system.monotonic()
                if left <= 0:
                    self._fail()
                    break
                self._changed.wait(left)
            failed = self._failed.get(query)
            found = self._kept.get(query)
        if found is None and demanded:
            raise EmbedderFailed(
                "the model did not answer in time" if failed is None else failed.message,
                where="embedder",
                hint=_HINT,
                passing=failed is None or failed.passing,
            ) from failed
        return found

    def _ask(self, query: str) -> None:
        found, failed = None, None
        try:
            found = ask(self._embedder, [query])[0]
        except EmbedderFailed as error:
            failed = error
        with self._changed:
            self._asking.discard(query)
            if found is not None:
                self._kept[query] = found
                self._failures, self._rests_until = 0, 0.0
                while len(self._kept) > self._settings.kept:
                    self._kept.popitem(last=False)
            if failed is not None:
                self._failed = {query: failed}
                self._fail()
            self._changed.notify_all()

    def _fail(self) -> None:
        pause = self._settings.pause * 2 ** min(self._failures, 20)
        self._failures += 1
        self._rests_until = self._system.monotonic() + min(pause, self._settings.longest_pause)
