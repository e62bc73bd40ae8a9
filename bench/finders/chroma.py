"""Chroma in files: one collection, the scope as metadata, cosine distance, vectors handed over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import chromadb

from bench.finders import embedders
from bench.finders.task import Turn, batches


class Chroma:
    """One collection for all scopes."""

    def __init__(self, folder: Path, embedder: str) -> None:
        self.embedder = embedders.named(embedder)
        settings = chromadb.Settings(anonymized_telemetry=False)
        self._client = chromadb.PersistentClient(path=str(folder), settings=settings)
        self._turns = self._client.create_collection("turns", metadata={"hnsw:space": "cosine"})

    def add(self, turns: Sequence[Turn]) -> None:
        """In batches."""
        for batch in batches(turns):
            said = [turn.said for turn in batch]
            self._turns.add(
                ids=[turn.id for turn in batch],
                documents=said,
                embeddings=self.embedder.embed(said),
                metadatas=[{"scope": turn.scope} for turn in batch],
            )

    def find(self, scope: str, question: str, k: int) -> Sequence[str]:
        """By its index, among those of the scope."""
        found = self._turns.query(
            query_embeddings=self.embedder.embed([question]), n_results=k, where={"scope": scope}, include=[]
        )
        return [str(each) for each in found["ids"][0]]

    def close(self) -> None:
        """Nothing to do: what was added is in its files."""
