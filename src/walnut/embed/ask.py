"""Asking a model: a call that ends in one finite vector of the right length for each text, or in one kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from walnut.errors import EmbedderFailed
from walnut.ports import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HINT = "see `upkeep.stats().embedding`; recall works without it in mode hybrid"


def ask(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """The texts' vectors at length 1, a row each. Errors: EmbedderFailed, whatever the model did."""
    try:
        given = embedder.embed(texts)
    except EmbedderFailed:
        raise
    except (Exception, SystemExit) as error:  # whatever a caller's model may raise; an exit would end our thread only
        told = f"the model raised {type(error).__name__}"
        raise EmbedderFailed(told, where="embedder", hint=_HINT, passing=isinstance(error, OSError)) from error
    return units(_checked(given, len(texts), embedder.dimensions))


def _checked(given: object, count: int, dimensions: int) -> NDArray[np.float64]:
    import numpy as np  # takes long to load

    try:
        found = np.array(given, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise EmbedderFailed("the model's answer is not rows of numbers", where="embedder", hint=_HINT) from None
    if found.shape[:1] != (count,):
        told = f"the model gave {len(found) if found.ndim else 'no'} vectors for {count} texts"
        raise EmbedderFailed(told, where="embedder", hint=_HINT)
    if found.shape != (count, dimensions):
        told = f"the model's vectors are not of {dimensions} numbers, as it says they are"
        raise EmbedderFailed(told, where="embedder", hint="give the embedder the dimensions of its model")
    if not np.isfinite(found).all():
        raise EmbedderFailed("the model gave NaN or an infinity", where="embedder", hint=_HINT)
    return found


def units(vectors: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1; zeros stay, and what a damaged file made no number of is zero."""
    import numpy as np

    vectors = np.where(np.isfinite(vectors), vectors, 0.0)
    largest = np.abs(vectors).max(axis=1, initial=0.0, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    found: NDArray[np.float32] = (scaled / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return found
