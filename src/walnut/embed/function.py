"""An embedder made of any callable that turns texts into vectors: a model of your own, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class FunctionEmbedder:
    """A callable with the name of its model and the dimension of its vectors.

    It is called with up to 64 texts, from several threads. `model` keys what is kept: give vectors of another
    kind another name. What is given is checked when a store is opened with it.

    >>> import walnut
    >>> from walnut.embed.function import FunctionEmbedder
    >>> lengths = FunctionEmbedder(lambda texts: [[len(text), 1.0] for text in texts], model="length", dimensions=2)
    >>> with walnut.open("memory://", embedder=lengths) as m:
    ...     ack = m.remember("Prefers CSV exports")
    ...     m.upkeep.embed().vectors
    1
    """

    def __init__(
        self, function: Callable[[Sequence[str]], Sequence[Sequence[float]]], *, model: str, dimensions: int
    ) -> None:
        self._function = function
        self.model = model
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """What the callable makes of the texts."""
        return self._function(texts)
