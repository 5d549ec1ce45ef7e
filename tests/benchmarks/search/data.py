"""The vectors that are searched.

Easy: videos of 20 segments, each near its video's direction. Hard: the direction of a video drifts
through a space of 24 dimensions that all videos share, so segments of many videos are about as near as
those of the own one. With an export of a real catalogue (`storyhash snapshot export`), its vectors are
the hard ones, repeated with noise until there are enough.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.types import VECTOR_DIMENSION, Embedding, Float32Array, Int64Array
from tests.support.embeddings import embedding, near, unit_rows

SEGMENTS = 20
# Banks by percent of the videos, from a video's number modulo 500.
BANKS = {"20 %": 100, "5 %": 25, "1 %": 5, "0.2 %": 1}
_HARD_DIMENSIONS, _HARD_DRIFT, _HARD_NOISE = 24, 0.5, 0.005
_REAL_NOISE = 0.01
# Rows of the table of scores at once: 200 MB at a million vectors.
_QUERIES_AT_ONCE = 50


def make(rng: np.random.Generator, count: int) -> list[Embedding]:
    """`count` easy embeddings, a video after another."""
    made: list[Embedding] = []
    while len(made) < count:
        centre = unit_rows(rng, 1)[0]
        name = f"video-{len(made) // SEGMENTS:06}"
        bank = bank_of(len(made) // SEGMENTS)
        made += [
            embedding(name, part, near(rng, centre, 0.03), bank=bank) for part in range(SEGMENTS)
        ]
    return made[:count]


def bank_of(number: int) -> str:
    """The bank of a video, by its number in the catalogue: small banks lie apart in it."""
    # A prime step spreads the numbers of a bank.
    place = number * 619 % 500
    for name, size in BANKS.items():
        if place < size:
            return name
        place -= size
    return "rest"


def embeddings_of(vectors: Float32Array) -> list[Embedding]:
    """These vectors, as segments of videos one after another."""
    return [
        embedding(f"video-{row // SEGMENTS:06}", row % SEGMENTS, vector)
        for row, vector in enumerate(vectors)
    ]


def hard(rng: np.random.Generator, count: int, export: Path | None = None) -> Float32Array:
    """float32 (count, 527), unit norm. export: of a real catalogue."""
    if export is not None:
        real = _exported(export)
        rows = real[np.arange(count) % len(real)]
        # The first of each stays what it is.
        again = np.arange(count) >= len(real)
        rows[again] += rng.normal(0, _REAL_NOISE, (int(again.sum()), VECTOR_DIMENSION))
        return _unit(rows)
    space = unit_rows(rng, _HARD_DIMENSIONS)
    place = rng.normal(size=_HARD_DIMENSIONS)
    places = np.empty((count, _HARD_DIMENSIONS), dtype=np.float32)
    for row in range(count):
        moved = rng.normal(size=_HARD_DIMENSIONS)
        keep = 0.0 if row % SEGMENTS == 0 else float(np.sqrt(1 - _HARD_DRIFT**2))
        place = keep * place + (1.0 if keep == 0.0 else _HARD_DRIFT) * moved
        places[row] = place
    rows = _unit(places @ space)
    rows += rng.normal(0, _HARD_NOISE, rows.shape).astype(np.float32)
    return _unit(rows)


def asked(rng: np.random.Generator, vectors: Float32Array, count: int) -> Float32Array:
    """float32 (count, 527): queries, which are rows with noise."""
    chosen = rng.integers(0, len(vectors), count)
    return np.stack([near(rng, vectors[row], 0.01) for row in chosen])


def exact(vectors: Float32Array, queries: Float32Array, k: int) -> Int64Array:
    """int64 (queries, k): the nearest rows of each query, best first."""
    found = np.empty((len(queries), min(k, len(vectors))), dtype=np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        scores = queries[start : start + _QUERIES_AT_ONCE] @ vectors.T
        found[start : start + len(scores)] = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return found


def recall(found: Int64Array, right: Int64Array) -> float:
    """Share of the right rows that were found."""
    pairs = zip(found.tolist(), right.tolist(), strict=True)
    return round(float(np.mean([len({*mine} & {*best}) / len(best) for mine, best in pairs])), 5)


def _exported(path: Path) -> Float32Array:
    from pyarrow import parquet

    found = [np.zeros((0, VECTOR_DIMENSION), dtype=np.float32)]
    for batch in parquet.ParquetFile(path).iter_batches(columns=["vector", "informative"]):
        rows = np.asarray(batch["vector"].flatten(), dtype=np.float32)
        found.append(
            rows.reshape(-1, VECTOR_DIMENSION)[np.asarray(batch["informative"].to_pylist())]
        )
    return np.concatenate(found)


def _unit(rows: Float32Array) -> Float32Array:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
