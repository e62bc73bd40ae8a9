"""Asking: the vectors by which a query is compared with memories, beside the words and the package's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walnut.engine.handle import Handle
from walnut.model.requests import Recall
from walnut.views.folds import terms

if TYPE_CHECKING:
    from walnut.recall.models import Asked


def asked(handle: Handle, request: Recall) -> list[Asked]:
    """The query's vector, given or by the store's model, with all there are in its dimension.

    Vectors that callers bring are taken for the model's own when they have its dimension. Errors: EmbedderFailed
    in mode "vector", when the model does not answer.
    """
    embedding = handle.store.embedding
    if request.mode not in ("hybrid", "vector") or (embedding is None and request.embedding is None):
        return []
    handle.check_open()
    from walnut.recall.models import Brought, Source  # numpy takes long to load

    if request.embedding is not None:
        vector = request.embedding
    elif embedding is not None and terms.words(request.query, query=True):
        given = embedding.vector(request.query, demanded=request.mode == "vector")
        vector = () if given is None else tuple(given.tolist())
    else:
        vector = ()
    if not vector:
        return []
    sources: list[Source] = [Brought(len(vector))]
    made = embedding.source() if embedding is not None and embedding.dimensions == len(vector) else None
    found = handle.store.models.asked(vector, *([made] if made else []), *sources)
    return [] if found is None else [found]
