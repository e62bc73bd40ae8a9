"""Static vectors: a text is the sum of its word pieces' rows in a table of 8-bit numbers that comes with the package.

All sums are over integers, so that a text has the same vector on every machine and in every batch: a view of
vectors equals its replay bit by bit. How the table was made and what it scores is in `minilm/CARD.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from walnut.embed.pieces import Vocabulary

DIMENSIONS = 256
#: Names the table in views: vectors of another one are never compared with its.
MODEL = "minilm-static-256-v1"
#: Rows are scaled to whole numbers of this fraction before they are summed.
_FRACTION = 1 << 22
_AT_ONCE = 64


class Table:
    """The rows, and the pieces they stand for."""

    def __init__(self) -> None:
        folder = files("walnut.embed") / "minilm"
        pieces = (folder / "pieces.txt").read_text(encoding="utf-8").splitlines()
        self._vocabulary = Vocabulary({piece: number for number, piece in enumerate(pieces)})
        self._rows = np.memmap(str(folder / "rows.i8"), dtype=np.int8, mode="r", shape=(len(pieces), DIMENSIONS))
        scales = np.frombuffer((folder / "scales.f16").read_bytes(), dtype="<f2").astype(np.float64)
        self._scales = np.rint(scales * _FRACTION).astype(np.int32)
        # Rows times scales, of pieces that occurred: a table of its own, 30 MB if all of them ever do.
        self._whole = np.zeros(self._rows.shape, np.int32)
        self._made = np.zeros(len(pieces), np.bool_)

    def embed(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """One row of 8-bit numbers a text: its direction, at the full range. Zeros where no piece is known."""
        parts = [self._embed(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, DIMENSIONS), np.int8)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.int8]:
        split = [self._vocabulary.pieces(text) for text in texts]
        found = np.zeros((len(texts), DIMENSIONS), np.int8)
        held = [number for number, pieces in enumerate(split) if pieces]
        if not held:
            return found
        numbers = np.fromiter(chain.from_iterable(split), np.intp)
        whole = self._scaled(numbers)
        sums, start = np.empty((len(held), DIMENSIONS), np.int32), 0
        for place, number in enumerate(held):
            end = start + len(split[number])
            np.add.reduce(whole.take(numbers[start:end], axis=0), axis=0, out=sums[place])
            start = end
        largest = np.maximum(np.abs(sums).max(axis=1), 1)
        found[held] = np.rint(sums * (127.0 / largest)[:, None]).astype(np.int8)
        return found

    def _scaled(self, numbers: NDArray[np.intp]) -> NDArray[np.int32]:
        """The table of rows times scales, with those of these pieces made. Threads may make the same row at once."""
        new = numbers[~self._made[numbers]]
        if len(new):
            self._whole[new] = self._rows[new] * self._scales[new][:, None]
            self._made[new] = True
        return self._whole


@cache
def table() -> Table:
    """The table of the package, loaded once."""
    return Table()
