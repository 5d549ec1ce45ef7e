"""Synthetic videos, as embeddings and as queries: directions on a sphere that change with every shot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from common.frame_codes import encode_frames
from common.types import (
    NO_FRAMES,
    VISUAL_DIMENSION,
    Embedding,
    Float32Array,
    Hit,
    QueryEmbedding,
    SegmentRef,
)
from embedder.fusion import fuse
from embedder.pooling import pool, pool_windows
from embedder.query.embedder import window_grid
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from tests.support.embeddings import MODEL_ID, unit_rows

FPS = 2.0
SHOT_SECONDS = 3.0
VIEWS = ("identity", "flip_h")
STILL = np.zeros(15, dtype=np.float32)


def film(rng: np.random.Generator, seconds: float) -> Float32Array:
    """The frames of a video, float32 (T, 512), two per second: a new shot every three seconds, with
    noise."""
    shots = unit_rows(rng, int(seconds / SHOT_SECONDS) + 1, VISUAL_DIMENSION)
    # Shots of one video have something in common, as people and places do.
    shots = shots + 0.6 * unit_rows(rng, 1, VISUAL_DIMENSION)
    frames = shots[(np.arange(round(seconds * FPS)) / FPS / SHOT_SECONDS).astype(int)]
    return unit(frames + rng.normal(0, 0.008, frames.shape))


def unit(rows: np.ndarray) -> Float32Array:
    """The rows, scaled to unit norm."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def copied(rng: np.random.Generator, frames: Float32Array, noise: float = 0.02) -> Float32Array:
    """The same frames after re-encoding or slight editing. noise: standard deviation per component."""
    return unit(frames + rng.normal(0, noise, frames.shape))


def edited(rng: np.random.Generator, frames: Float32Array, similarity: float) -> Float32Array:
    """The same frames after an edit that changes each shot: their cosine to the originals is
    `similarity`."""
    away = np.repeat(unit_rows(rng, len(frames) // 6 + 1, VISUAL_DIMENSION), 6, axis=0)[
        : len(frames)
    ]
    return unit(similarity * frames + np.sqrt(1 - similarity**2) * away)


def mirrored(frames: Float32Array) -> Float32Array:
    """The effect of another view on a vector: the result is far from the original, and applying it twice
    restores it."""
    return np.ascontiguousarray(frames[:, ::-1])


def embeddings(video_id: str, frames: Float32Array, bank: str = "default") -> list[Embedding]:
    """The segments of a video with these frames."""
    points = []
    for start in range(0, len(frames), 8):
        rows = frames[start : start + 8]
        visual = pool(rows, np.ones(len(rows), dtype=bool), "mean")
        assert visual is not None
        ref = SegmentRef(video_id, start / FPS, (start + len(rows)) / FPS, 1, bank)
        points.append(
            Embedding(
                *(ref, fuse(visual, STILL), np.zeros(8, dtype=np.float32), True, MODEL_ID),
                encode_frames(rows, np.ones(len(rows), dtype=bool), visual),
            )
        )
    return points


def query(
    frames: Float32Array, usable: np.ndarray | None = None, model_id: str = MODEL_ID
) -> QueryEmbedding:
    """A query with these frames, through two views. usable: bool (T,), frames with information."""
    seconds = len(frames) / FPS
    starts, ends = window_grid(seconds)
    seen = np.ones(len(frames), dtype=bool) if usable is None else usable
    vectors = []
    for view in (frames, mirrored(frames)):
        pooled, known = pool_windows(view, seen, np.arange(len(frames)) / FPS, starts, ends, "mean")
        still = np.zeros((len(pooled), 15), dtype=np.float32)
        vectors.append(np.where(known[:, None], fuse(pooled, still), np.float32(0)))
    return QueryEmbedding(
        "query.mp4",
        seconds,
        model_id,
        VIEWS,
        starts,
        ends,
        np.stack(vectors),
        np.stack([known] * 2),
    )


class MadeIndex:
    """A `SegmentIndex` (`searcher.matching.protocols`) that compares with every segment.

    others: float32 (n, 527), additional segments, each of its own video.
    """

    def __init__(
        self, videos: Mapping[str, Float32Array], others: Float32Array | None = None
    ) -> None:
        self._videos: dict[str, VideoSegments] = {}
        for name, frames in videos.items():
            self._videos[name] = self._segments(name, frames)
        self._refs = [ref for one in self._videos.values() for ref in one.refs]
        rows = [one.vectors for one in self._videos.values()]
        if others is not None:
            self._refs += [SegmentRef(f"other-{number}", 0.0, 4.0) for number in range(len(others))]
            rows.append(others)
        self._others = others
        self._vectors = np.concatenate(rows)

    @staticmethod
    @lru_cache(maxsize=1024)
    def _cached(name: str, frames: bytes) -> VideoSegments:
        made = embeddings(
            name, np.frombuffer(frames, dtype=np.float32).reshape(-1, VISUAL_DIMENSION)
        )
        return VideoSegments(
            [one.ref for one in made],
            np.stack([one.vector for one in made]),
            [one.frames for one in made],
        )

    def _segments(self, name: str, frames: Float32Array) -> VideoSegments:
        return self._cached(name, frames.astype(np.float32).tobytes())

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `SegmentIndex.search`. The filter is ignored."""
        scores = vectors @ self._vectors.T
        k = min(k, scores.shape[1])
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.lexsort((best, -values))
        best = np.take_along_axis(best, order, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        return [
            [Hit(self._refs[row], score) for row, score in zip(rows, found, strict=True)]
            for rows, found in zip(best.tolist(), values.tolist(), strict=True)
        ]

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `SegmentIndex.vectors_of`."""
        if video_id in self._videos:
            return self._videos[video_id]
        assert self._others is not None
        number = int(video_id.removeprefix("other-"))
        return VideoSegments(
            [SegmentRef(video_id, 0.0, 4.0)], self._others[number : number + 1], [NO_FRAMES]
        )
