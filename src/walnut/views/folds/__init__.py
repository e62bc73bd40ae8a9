"""The folds: each turns events into rows of its own tables, the same rows on every replay."""

from __future__ import annotations

from walnut.views.fold import Fold


def default() -> tuple[Fold, ...]:
    """The folds of the view "memories", in the order they are applied in."""
    from walnut.views.folds.brought import BroughtFold
    from walnut.views.folds.memories_sql import MemoriesFold
    from walnut.views.folds.text import TextFold
    from walnut.views.folds.vectors import VectorsFold

    return MemoriesFold(), TextFold(), VectorsFold(), BroughtFold()
