"""Walnut, in one of its modes; with vectors of a model of one's own where one is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import walnut
from bench.finders import embedders
from bench.finders.task import Turn, batches
from walnut.model.requests import Mode


class Walnut:
    """A store; a handle for each scope."""

    def __init__(self, folder: Path, mode: Mode, embedder: str = "") -> None:
        self.embedder = embedders.named(embedder) if embedder else None
        self._mode: Mode = mode
        self._root = walnut.open(folder / "store", scope="global")
        self._handles: dict[str, walnut.Memory] = {}

    def _handle(self, scope: str) -> walnut.Memory:
        if scope not in self._handles:
            self._handles[scope] = self._root.bind(scope=scope)
        return self._handles[scope]

    def add(self, turns: Sequence[Turn]) -> None:
        """A batch is one durable frame; done when views have applied all."""
        for batch in batches(turns):
            self._handle(batch[0].scope).remember_many(self._items(batch))
        self._root.wait(timeout=3600)

    def _items(self, batch: Sequence[Turn]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        rows = self.embedder.embed([turn.said for turn in batch]) if self.embedder else [None] * len(batch)
        for turn, row in zip(batch, rows, strict=True):
            source = {"session": turn.session, "speaker": turn.speaker, "turn": turn.id}
            item: dict[str, Any] = {"text": turn.text, "source": source}
            if turn.time:
                item["occurred_at"] = turn.time
            if row is not None:
                item["embedding"] = row.tolist()
            items.append(item)
        return items

    def find(self, scope: str, question: str, k: int) -> Sequence[str]:
        """By its mode."""
        embedding = self.embedder.embed([question])[0].tolist() if self.embedder else None
        hits = self._handle(scope).recall(question, k=k, mode=self._mode, embedding=embedding)
        return [str((hit.source or {}).get("turn")) for hit in hits]

    def close(self) -> None:
        """Close the store."""
        self._root.close()
