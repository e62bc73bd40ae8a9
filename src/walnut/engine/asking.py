"""Asking: the vectors by which a query is compared with memories, beside the words and the package's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walnut.engine.handle import Handle
from walnut.model.requests import Recall

if TYPE_CHECKING:
    from walnut.recall.models import Asked


def asked(handle: Handle, request: Recall) -> list[Asked]:
    """The query's vector as the caller gave it, with all that were brought in its dimension."""
    if request.embedding is None or request.mode not in ("hybrid", "vector"):
        return []
    handle.check_open()
    from walnut.recall.models import Brought

    found = handle.store.models.asked(request.embedding, Brought(len(request.embedding)))
    return [] if found is None else [found]
