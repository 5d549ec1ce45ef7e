"""A query video as overlapping windows, each seen through every view of the profile."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from common.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    QueryEmbedding,
    Segment,
)
from embedder.action import action_features
from embedder.fusion import fuse
from embedder.pooling import pool_windows
from embedder.stage import EmbedderStage
from embedder.steps import SampledFrames
from embedder.visual.views import apply_view

WINDOW_SECONDS = (4.0, 2.0)
HOP_SECONDS = 0.5


def window_grid(duration_seconds: float) -> tuple[Float64Array, Float64Array]:
    """Starts and ends, float64 (W,), of the windows of a video: 4 s and 2 s long, every 0.5 s.

    A video shorter than a window has one that spans all of it.
    """
    spans: set[tuple[float, float]] = set()
    for length in WINDOW_SECONDS:
        if duration_seconds <= length:
            spans.add((0.0, duration_seconds))
            continue
        last = int((duration_seconds - length) / HOP_SECONDS + 1e-6)
        spans.update((k * HOP_SECONDS, k * HOP_SECONDS + length) for k in range(last + 1))
        # The end of the video is seen even where it does not fall on the hop.
        spans.add((duration_seconds - length, duration_seconds))
    ordered = np.array(sorted(spans, key=lambda span: (span[0] - span[1], span[0])))
    return ordered[:, 0].copy(), ordered[:, 1].copy()


def window_actions(
    segments: Float64Array, actions: Float32Array, starts: Float64Array, ends: Float64Array
) -> Float32Array:
    """Action of each window: the mean of its segments' actions, weighted by seconds of overlap.

    segments: float64 (S, 2), start and end. actions: float32 (S, 15). Returns float32 (W, 15). A
    window that coincides with a segment has exactly that segment's action, as in the index.
    """
    overlap = np.minimum(ends[:, None], segments[None, :, 1]) - np.maximum(
        starts[:, None], segments[None, :, 0]
    )
    weights = np.maximum(overlap, 0.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return (weights @ actions).astype(np.float32)


class QueryEmbedder:
    """Embeds a whole query with the parts of an `EmbedderStage`; one pass, one segment in memory."""

    def __init__(self, stage: EmbedderStage) -> None:
        self._stage = stage

    def embed(
        self, uri: str, duration_seconds: float, segments: Iterable[Segment]
    ) -> QueryEmbedding:
        """Embed the segments of one video, in time order.

        Raises VideoError for a clip that does not decode, ValueError when there is no segment.
        """
        views = self._stage.visual.views
        spans: list[tuple[float, float]] = []
        actions: list[Float32Array] = []
        pts: list[Float64Array] = []
        usable: list[BoolArray] = []
        rows: list[Float32Array] = []
        for segment in segments:
            sampled, tracks = self._stage.open(segment)
            spans.append((segment.ref.start_seconds, segment.ref.end_seconds))
            actions.append(action_features(tracks))
            pts.append(sampled.pts_seconds)
            usable.append(sampled.informative)
            rows.append(self._describe_views(sampled, views))
        if not spans:
            raise ValueError("segments: expected at least one, got none")
        return self._windows(
            uri,
            max(duration_seconds, spans[-1][1]),
            np.array(spans),
            np.stack(actions),
            np.concatenate(pts),
            np.concatenate(usable),
            np.concatenate(rows, axis=1),
        )

    def _describe_views(self, sampled: SampledFrames, views: tuple[str, ...]) -> Float32Array:
        """float32 (V, T, 512)."""
        seen = [
            SampledFrames(
                apply_view(sampled.frames, view), sampled.informative, sampled.pts_seconds
            )
            for view in views
        ]
        return np.stack(self._stage.pictures.describe(seen, reference=False))

    def _windows(
        self,
        uri: str,
        duration_seconds: float,
        spans: Float64Array,
        actions: Float32Array,
        pts: Float64Array,
        usable: BoolArray,
        rows: Float32Array,
    ) -> QueryEmbedding:
        starts, ends = window_grid(duration_seconds)
        action = window_actions(spans, actions, starts, ends)
        vectors = []
        for view_rows in rows:
            pooled, informative = pool_windows(
                view_rows, usable, pts, starts, ends, self._stage.visual.pooling
            )
            vectors.append(np.where(informative[:, None], fuse(pooled, action), np.float32(0)))
        return QueryEmbedding(
            uri=uri,
            duration_seconds=duration_seconds,
            model_id=self._stage.model_id,
            views=self._stage.visual.views,
            window_start_seconds=starts,
            window_end_seconds=ends,
            vectors=np.stack(vectors).astype(np.float32),
            informative=np.tile(informative, (len(vectors), 1)),
        )
