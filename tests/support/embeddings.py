"""Synthetic embeddings for tests of the index, which do not need videos."""

from __future__ import annotations

import numpy as np

from common.types import (
    FRAME_CODE_SIZE,
    GRAPH_DIMENSION,
    NO_FRAMES,
    VECTOR_DIMENSION,
    Embedding,
    Float32Array,
    Int8Array,
    SegmentRef,
)

MODEL_ID = "test-0123456789ab"


def unit_rows(rng: np.random.Generator, count: int, width: int = VECTOR_DIMENSION) -> Float32Array:
    """Random directions of unit norm, float32 (count, width)."""
    rows = rng.normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def embedding(
    video_id: str,
    number: int,
    vector: Float32Array | None,
    *,
    version: int = 1,
    bank: str = "default",
    model_id: str = MODEL_ID,
) -> Embedding:
    """Segment `number` (4 s each) of a video. Without a vector it is a low-information segment. Every
    third segment has no frame codes."""
    blank = np.zeros(VECTOR_DIMENSION, dtype=np.float32)
    graph = np.linspace(0, 1, GRAPH_DIMENSION, dtype=np.float32) + np.float32(number)
    return Embedding(
        ref=SegmentRef(video_id, 4.0 * number, 4.0 * number + 4.0, version, bank),
        vector=blank if vector is None else vector,
        graph=graph,
        informative=vector is not None,
        model_id=model_id,
        frames=NO_FRAMES if vector is None else frames_of(vector, number % 3),
    )


def frames_of(vector: Float32Array, count: int) -> Int8Array:
    """int8 (count, 64): frame codes that depend on the vector."""
    numbers = (1000 * vector[: FRAME_CODE_SIZE * count]).reshape(count, FRAME_CODE_SIZE)
    return np.clip(numbers, -127, 127).astype(np.int8)


def video(
    rng: np.random.Generator,
    video_id: str,
    segments: int,
    *,
    version: int = 1,
    bank: str = "default",
) -> list[Embedding]:
    """A video of segments with information and random vectors."""
    return [
        embedding(video_id, number, vector, version=version, bank=bank)
        for number, vector in enumerate(unit_rows(rng, segments))
    ]


def near(rng: np.random.Generator, vector: Float32Array, noise: float = 0.02) -> Float32Array:
    """A unit vector close to `vector`."""
    moved = vector + rng.normal(0, noise, vector.shape).astype(np.float32)
    return (moved / np.linalg.norm(moved)).astype(np.float32)
