"""Exact search over some of the videos, without an approximate index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.types import Float32Array, Hit, SegmentRef
from embedder.fusion import FusionMode, fuse
from embedder.pooling import Pooling, pool_windows
from embedder.query.features import QueryFeatures
from embedder.segment_frame_codes import segment_frames
from searcher.index.state import EVERYTHING, Filter, VideoSegments


def index_video(
    video_id: str, features: QueryFeatures, pooling: Pooling, fusion: FusionMode = "storyhash"
) -> VideoSegments:
    """The segments of a video, computed from its frame features like in the embedder stage."""
    view = features.view("identity")
    starts, ends = features.spans[:, 0], features.spans[:, 1]
    pooled, informative = pool_windows(
        view.rows, view.informative, view.pts_seconds, starts, ends, pooling
    )
    refs = [
        SegmentRef(video_id, float(start), float(end)) for start, end in features.spans[informative]
    ]
    frames = [
        segment_frames(
            view.rows,
            view.informative,
            view.pts_seconds,
            (ref.start_seconds, ref.end_seconds),
            vector,
            pooling,
        )
        for ref, vector in zip(refs, pooled[informative], strict=True)
    ]
    return VideoSegments(
        refs, fuse(pooled[informative], features.actions[informative], fusion), frames
    )


class ArrayIndex:
    """An index for matching (`searcher.matching.protocols`) over some of the videos."""

    def __init__(self, videos: Mapping[str, VideoSegments], chosen: Iterable[str]) -> None:
        self._videos = {name: videos[name] for name in chosen}
        filled = [video for video in self._videos.values() if video.refs]
        self._refs = [ref for video in filled for ref in video.refs]
        self._vectors = (
            np.concatenate([video.vectors for video in filled])
            if filled
            else np.zeros((0, 0), dtype=np.float32)
        )
        self._names = np.array([ref.video_id for ref in self._refs])

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `SegmentIndex.search`; there is only one bank here."""
        if not self._refs or not len(vectors):
            return [[] for _ in vectors]
        scores = vectors @ self._vectors.T
        scores[:, np.isin(self._names, list(only.exclude_videos))] = -np.inf
        k = min(k, scores.shape[1])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(scores, order, axis=1)
        return [
            [
                Hit(self._refs[row], score)
                for row, score in zip(rows, row_scores, strict=True)
                if score > -1.5
            ]
            for rows, row_scores in zip(order.tolist(), values.tolist(), strict=True)
        ]

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `SegmentIndex.vectors_of`."""
        return self._videos[video_id]
