"""A progress bar on standard error, drawn only when that is a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_BAR = 30
_EVERY = 0.1


class Progress:
    """Call it with what is done and what there is to do; `title` says of what. Removes itself at its end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = sys.stderr.isatty()
        self._next = time.monotonic() + _EVERY  # quick work shows nothing
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        """So much is done of so much (0: nobody knows)."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + _EVERY
        share = min(1.0, done / total) if total else 1.0
        bar = "#" * int(share * _BAR)
        sys.stderr.write(f"\r{self._title} [{bar:<{_BAR}}] {share:4.0%}")
        sys.stderr.flush()
        self._drawn = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            sys.stderr.write("\r" + " " * (len(self._title) + _BAR + 10) + "\r")
            sys.stderr.flush()
