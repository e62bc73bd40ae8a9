"""`python scripts/distil_vectors.py WEIGHTS OUTPUT`: make the table of static vectors from a model's weights.

WEIGHTS is a folder with `model.safetensors` and `vocab.txt` of all-MiniLM-L6-v2; OUTPUT gets `pieces.txt`, `rows.i8`
and `scales.f16`. How and why is in `src/walnut/embed/minilm/CARD.md`. Needs numpy alone, and a minute of one CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import sys
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Weights = dict[str, Floats]

LAYERS, HEADS = 6, 12
DIMENSIONS = 256
#: Frequent pieces say little: each row is weighted by a / (a + its frequency).
SMOOTHING = 1e-4
BATCH = 512


def load(path: Path) -> Weights:
    """The 32-bit tensors of a safetensors file, by name."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    head, data = json.loads(raw[8 : 8 + length]), memoryview(raw)[8 + length :]
    found: Weights = {}
    for name, entry in head.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            found[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return found


def encode(weights: Weights, numbers: NDArray[np.int64]) -> Floats:
    """The last hidden states for rows of piece numbers of one length."""
    x = (
        weights["embeddings.word_embeddings.weight"][numbers]
        + weights["embeddings.position_embeddings.weight"][: numbers.shape[1]]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = _normalised(weights, "embeddings.LayerNorm", x)
    for layer in range(LAYERS):
        x = _layer(weights, f"encoder.layer.{layer}.", x)
    return x


def _layer(weights: Weights, prefix: str, x: Floats) -> Floats:
    many, length, size = x.shape

    def heads(name: str) -> Floats:
        split = _linear(weights, f"{prefix}attention.self.{name}", x).reshape(many, length, HEADS, size // HEADS)
        return split.transpose(0, 2, 1, 3)

    query, key, value = heads("query"), heads("key"), heads("value")
    scores = query @ key.transpose(0, 1, 3, 2) / np.float32(sqrt(size // HEADS))
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(many, length, size)
    x = _normalised(
        weights, f"{prefix}attention.output.LayerNorm", x + _linear(weights, f"{prefix}attention.output.dense", mixed)
    )
    inner = _linear(weights, f"{prefix}intermediate.dense", x)
    inner = np.float32(0.5) * inner * (1 + _erf(inner / np.float32(sqrt(2))))
    return _normalised(weights, f"{prefix}output.LayerNorm", x + _linear(weights, f"{prefix}output.dense", inner))


def _linear(weights: Weights, name: str, x: Floats) -> Floats:
    # As one matrix: numpy multiplies a stack of small ones one by one, several times slower.
    flat = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return np.asarray(flat.reshape(*x.shape[:-1], -1), np.float32)


def _normalised(weights: Weights, name: str, x: Floats) -> Floats:
    x = x - x.mean(-1, keepdims=True)
    x /= np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-12))
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _erf(x: Floats) -> Floats:
    """Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most, far less than 8 bits show."""
    sign: Floats = np.sign(x)
    x = np.abs(x)
    t: Floats = np.reciprocal(1 + np.float32(0.3275911) * x)
    series = np.zeros_like(x)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = np.multiply(series + np.float32(factor), t)
    return np.asarray(sign * (1 - series * np.exp(-x * x)), np.float32)


def distil(weights: Weights, vocabulary: Sequence[str]) -> tuple[list[str], NDArray[np.int8], NDArray[np.float16]]:
    """Pieces, 8-bit rows and the scale of each row."""
    first, last = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    kept = [n for n, piece in enumerate(vocabulary) if not (len(piece) > 1 and piece[0] == "[" and piece[-1] == "]")]
    parts = []
    for start in range(0, len(kept), BATCH):
        numbers = np.array([[first, number, last] for number in kept[start : start + BATCH]])
        parts.append(encode(weights, numbers).mean(axis=1))
    rows = np.concatenate(parts)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows -= rows.mean(axis=0)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    order = np.argsort(values)[::-1][:DIMENSIONS]
    print(f"{len(kept)} pieces, {values[order].sum() / values.sum():.1%} of the variance in {DIMENSIONS} dimensions")
    ranks = np.arange(1, len(kept) + 1)  # the vocabulary is sorted by frequency: Zipf's law gives the rest
    frequencies = 1 / ranks / (1 / ranks).sum()
    rows = rows @ vectors[:, order] * (SMOOTHING / (SMOOTHING + frequencies))[:, None]
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float16)
    scales[scales == 0] = np.finfo(np.float16).smallest_subnormal
    whole = np.clip(np.round(rows / scales.astype(np.float32)[:, None]), -127, 127).astype(np.int8)
    return [vocabulary[number] for number in kept], whole, scales


def main(words: Sequence[str] | None = None) -> int:
    """Distil, write the three files, print the hash of all that went in and came out."""
    parser = argparse.ArgumentParser(description="Make the table of static vectors.")
    parser.add_argument("weights", type=Path, help="the folder with model.safetensors and vocab.txt")
    parser.add_argument("output", type=Path, help="the folder for the table")
    asked = parser.parse_args(words)
    sources = [asked.weights / "model.safetensors", asked.weights / "vocab.txt"]
    vocabulary = sources[1].read_text(encoding="utf-8").split("\n")
    pieces, rows, scales = distil(load(sources[0]), [piece for piece in vocabulary if piece])
    asked.output.mkdir(parents=True, exist_ok=True)
    made = [asked.output / name for name in ("pieces.txt", "rows.i8", "scales.f16")]
    made[0].write_text("\n".join(pieces) + "\n", encoding="utf-8", newline="\n")
    made[1].write_bytes(rows.tobytes())
    made[2].write_bytes(scales.astype("<f2").tobytes())
    for path in (*sources, *made):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
