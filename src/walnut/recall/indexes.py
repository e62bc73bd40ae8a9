"""Indexes: the codes of large scopes, loaded, checked, built and extended in the background, never by who searches."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from walnut.recall import codes
from walnut.recall.codes import Codes
from walnut.recall.rows import Part
from walnut.system import System, Thread

#: Rows of a scope from which they pay (docs/adr/0011-nearness-at-scale.md).
LEAST = 200_000
#: What came since is compared exactly; once it is this share of what is coded, codes are added.
_TAIL = 16
#: Codes are made anew once there are so many times the rows they were first made for.
_ANEW = 4


class _Ready(msgspec.Struct, frozen=True):
    """Codes, known to fit the rows of one file of the view; and how many rows they were first made for."""

    generation: int
    made_for: int
    codes: Codes


class Indexes:
    """What is known of them; for any thread. `folder`: where their files lie (None: nowhere)."""

    def __init__(self, system: System, folder: str | None) -> None:
        self._system, self._folder = system, folder
        self._lock = system.lock()
        self._ready: dict[str, _Ready] = {}
        self._given_up: dict[str, int] = {}  # scope -> rows it was tried with
        self._building: Thread | None = None
        self._closed = False

    def of(self, scope: str, part: Part, *, generation: int) -> Codes | None:
        """The codes of the first rows of a part, read from this file of the view; None while there are none.

        Then, or when many rows came since, they are seen to in the background.
        """
        rows = len(part.lsns)
        if rows < LEAST:
            return None
        ready = self._ready.get(scope)
        if ready is None or ready.generation != generation:
            self._see_to(scope, part, generation)
            return None
        coded = ready.codes.meta.rows
        if rows - coded > coded // _TAIL:
            self._see_to(scope, part, generation)
        return ready.codes if coded <= rows else None

    def forget(self, scope: str) -> None:
        """Its rows are no longer kept, so neither are its codes."""
        self._ready.pop(scope, None)

    def settle(self) -> None:
        """Wait for what is under way."""
        building = self._building
        if building is not None:
            building.join()

    def close(self) -> None:
        """Stop what is under way; idempotent."""
        self._closed = True
        self.settle()

    def _see_to(self, scope: str, part: Part, generation: int) -> None:
        with self._lock:
            busy = self._building is not None and self._building.is_alive()
            if self._closed or busy or len(part.lsns) < 2 * self._given_up.get(scope, 0):
                return

            def work() -> None:
                try:
                    self._prepare(scope, part, generation)
                except (RuntimeError, MemoryError):  # faiss is missing, or fails: the exact scan goes on answering
                    self._given_up[scope] = len(part.lsns)

            self._building = self._system.start_thread(work, name="walnut-nearness")

    def _prepare(self, scope: str, part: Part, generation: int) -> None:
        if codes.library() is None:  # loaded here, for it takes long
            raise RuntimeError("faiss is not installed")
        path = None if self._folder is None else f"{self._folder}/{codes.file_name(scope)}"
        old, made_for, rows = self._fitting(scope, part, path), 0, len(part.lsns)
        if old is not None:
            ready = self._ready.get(scope)
            made_for = ready.made_for if ready is not None and ready.codes is old else old.meta.rows
            old = old if rows < _ANEW * made_for else None
        if old is not None and rows - old.meta.rows <= old.meta.rows // _TAIL:
            self._ready[scope] = _Ready(generation, made_for, old)
            return
        new = codes.build(scope, part, after=old, stopped=lambda: self._closed)
        if new is None:
            return
        self._ready[scope] = _Ready(generation, made_for if old is not None else rows, new)
        if path is not None:
            with suppress(OSError):  # then another process, or this one later, makes them again
                codes.save(self._system, path, new)

    def _fitting(self, scope: str, part: Part, path: str | None) -> Codes | None:
        """Codes there are already, in memory or in the file, if they are those of these rows."""
        ready = self._ready.get(scope)
        if ready is not None and ready.codes.fits(part):
            return ready.codes
        with suppress(OSError):
            found = None if path is None else codes.load(self._system, path)
            if found is not None and found.fits(part):
                return found
        return None
