"""Rows of vectors kept in memory: LSNs and whole numbers of 8 bits, and their dot products with a query.

A dot product of two of them is a whole number below 2^24: exact in 32-bit floats, and the same however the rows are
cut, whatever the processor, whichever of the two ways it is computed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from types import ModuleType

_Number = TypeVar("_Number", bound=np.generic)
Matrix: TypeAlias = "NDArray[np.int8 | np.float32]"


@cache
def simd() -> ModuleType | None:
    """The library that multiplies whole numbers of 8 bits as they are, on machines that it exists for."""
    try:
        import simsimd
    except ImportError:
        return None
    found: ModuleType = simsimd
    return found


class Rows:
    """The vectors of one scope, by rising LSN; room is doubled as they come. All up to `upto` are here.

    Readers hold slices: what they see is never written to again.
    """

    def __init__(self, dimensions: int) -> None:
        self.count = 0
        self.upto = 0
        self.lsns: NDArray[np.int64] = np.zeros(0, np.int64)
        self.matrix: Matrix = np.zeros((0, dimensions), np.int8)
        if simd() is None:
            self.matrix = np.zeros((0, dimensions), np.float32)
        self.squares: NDArray[np.int32] = np.zeros(0, np.int32)
        self.scales: NDArray[np.float32] = np.zeros(0, np.float32)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.lsns.nbytes + self.matrix.nbytes + self.squares.nbytes + self.scales.nbytes

    def extend(self, lsns: NDArray[np.int64], found: NDArray[np.int8]) -> None:
        """Take in newer ones."""
        end = self.count + len(lsns)
        if end > len(self.lsns):
            room = end if not self.count else max(end, 2 * len(self.lsns))
            self.lsns = _grown(self.lsns, room)
            self.matrix = _grown(self.matrix, room)
            self.squares = _grown(self.squares, room)
            self.scales = _grown(self.scales, room)
        here = slice(self.count, end)
        self.lsns[here], self.matrix[here], self.squares[here] = lsns, found, squares(found)
        self.scales[here] = 1 / np.sqrt(self.squares[here])
        self.count = end

    def until(self, lsn: int) -> Part:
        """Those up to an LSN."""
        end = int(np.searchsorted(self.lsns[: self.count], lsn, side="right"))
        return Part(self.lsns[:end], self.matrix[:end], self.squares[:end], self.scales[:end])


class Part:
    """The first rows of a scope, as a reader holds them."""

    def __init__(
        self, lsns: NDArray[np.int64], matrix: Matrix, squares: NDArray[np.int32], scales: NDArray[np.float32]
    ) -> None:
        self.lsns, self.matrix, self.squares, self.scales = lsns, matrix, squares, scales

    def since(self, start: int) -> Part:
        """All but the first rows."""
        return Part(self.lsns[start:], self.matrix[start:], self.squares[start:], self.scales[start:])

    def dots(self, query: NDArray[np.int8]) -> NDArray[np.float32]:
        """The dot product of each row and the query."""
        return dots(self.matrix, query)

    def places(self, wanted: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where these LSNs stand; those that are not here left out."""
        places: NDArray[np.intp] = np.minimum(np.searchsorted(self.lsns, wanted), len(self.lsns) - 1)
        held: NDArray[np.intp] = places[self.lsns[places] == wanted]
        return held

    def cosines(
        self, query: NDArray[np.int8], places: NDArray[np.intp], found: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        """Cosines of the rows at these places; `found`: their dot products, if they are known."""
        if found is None:
            found = dots(self.matrix[places], query)
        lengths = np.sqrt(self.squares[places].astype(np.float64)) * np.sqrt(squares(query[None, :])[0])
        cosines: NDArray[np.float64] = found.astype(np.float64) / lengths
        return cosines


def dots(matrix: Matrix, query: NDArray[np.int8]) -> NDArray[np.float32]:
    """The dot product of each row and the query.

    Not `matrix @ query`: the threads behind that wait busily, and take twice as long when others compute, too.
    """
    found: NDArray[np.float32]
    if matrix.dtype == np.float32:
        found = np.einsum("ij,j->i", matrix, query.astype(np.float32))
        return found
    library = simd()
    if library is None or not len(matrix):
        found = np.einsum("ij,j->i", matrix.astype(np.float32), query.astype(np.float32))
        return found
    found = np.asarray(library.cdist(matrix, query[None, :], "dot", out_dtype="float32")).reshape(len(matrix))
    return found


def squares(found: NDArray[np.int8]) -> NDArray[np.int32]:
    """Squares of Euclidean lengths; 1 for zeros."""
    whole = found.astype(np.int16)
    sums: NDArray[np.int32] = np.einsum("ij,ij->i", whole, whole, dtype=np.int32)
    return np.maximum(sums, 1)


def _grown(old: NDArray[_Number], room: int) -> NDArray[_Number]:
    new = np.zeros((room, *old.shape[1:]), old.dtype)
    new[: len(old)] = old
    return new
