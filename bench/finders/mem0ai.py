"""mem0 without a model: `infer=False`, so each message is kept as it is, found by its vector; qdrant in files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.finders import embedders
from bench.finders.task import Turn


class _Embedding:
    """What mem0 asks of an embedder."""

    def __init__(self, embedder: embedders.Embedder) -> None:
        self._embedder = embedder

    def embed(self, text: str, action: str | None = None) -> list[float]:  # noqa: ARG002 - mem0 says what it is for
        row: list[float] = self._embedder.embed([text])[0].tolist()
        return row


class Mem0:
    """One collection, the scope as the user."""

    def __init__(self, folder: Path, embedder: str) -> None:
        # Read when mem0 is imported: nothing is reported to anyone, nothing is written elsewhere.
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder / "mem0")}
        from mem0 import Memory

        self.embedder = embedders.named(embedder)
        store = {"path": str(folder / "qdrant"), "on_disk": True, "embedding_model_dims": self.embedder.dimensions}
        unused = {"provider": "openai", "config": {"api_key": "unused"}}
        self._memory = Memory.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                "llm": unused,
                "embedder": unused,
                "history_db_path": str(folder / "history.db"),
            }
        )
        self._memory.embedding_model = _Embedding(self.embedder)

    def add(self, turns: Sequence[Turn]) -> None:
        """One by one, as its interface has it."""
        for turn in turns:
            message = [{"role": "user", "content": turn.said}]
            self._memory.add(message, user_id=turn.scope, metadata={"turn": turn.id}, infer=False)

    def find(self, scope: str, question: str, k: int) -> Sequence[str]:
        """Its search, with no threshold."""
        found = self._memory.search(question, top_k=k, filters={"user_id": scope}, threshold=0.0)
        return [str(hit["metadata"]["turn"]) for hit in found["results"]]

    def close(self) -> None:
        """Close the store."""
        self._memory.vector_store.client.close()
