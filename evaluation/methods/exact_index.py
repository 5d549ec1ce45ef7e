"""The videos a query is asked of, compared one by one: what an index must come close to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.types import Float32Array, Hit, SegmentRef
from embedder.fusion import FusionMode, fuse
from embedder.pooling import Pooling, pool_windows
from embedder.query.features import SeenQuery
from embedder.segment_frame_codes import segment_frames
from searcher.index.state import EVERYTHING, Filter, VideoSegments


def indexed(
    video_id: str, seen: SeenQuery, pooling: Pooling, fusion: FusionMode = "storyhash"
) -> VideoSegments:
    """What the embedder stage makes of a video, from its frames."""
    view = seen.view("identity")
    starts, ends = seen.spans[:, 0], seen.spans[:, 1]
    pooled, known = pool_windows(
        view.rows, view.informative, view.pts_seconds, starts, ends, pooling
    )
    refs = [SegmentRef(video_id, float(start), float(end)) for start, end in seen.spans[known]]
    frames = [
        segment_frames(
            *(view.rows, view.informative, view.pts_seconds),
            (ref.start_seconds, ref.end_seconds),
            vector,
            pooling,
        )
        for ref, vector in zip(refs, pooled[known], strict=True)
    ]
    return VideoSegments(refs, fuse(pooled[known], seen.actions[known], fusion), frames)


class ArrayIndex:
    """An index for matching (`searcher.matching.protocols`) over some of the videos."""

    def __init__(self, videos: Mapping[str, VideoSegments], chosen: Iterable[str]) -> None:
        self._videos = {name: videos[name] for name in chosen}
        held = [one for one in self._videos.values() if one.refs]
        self._refs = [ref for one in held for ref in one.refs]
        self._vectors = (
            np.concatenate([one.vectors for one in held])
            if held
            else np.zeros((0, 0), dtype=np.float32)
        )
        self._names = np.array([ref.video_id for ref in self._refs])

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `SegmentIndex.search`; banks are all one here."""
        if not self._refs or not len(vectors):
            return [[] for _ in vectors]
        scores = vectors @ self._vectors.T
        if only.exclude_video is not None:
            scores[:, self._names == only.exclude_video] = -np.inf
        k = min(k, scores.shape[1])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(scores, order, axis=1)
        return [
            [
                Hit(self._refs[row], score)
                for row, score in zip(rows, found, strict=True)
                if score > -1.5
            ]
            for rows, found in zip(order.tolist(), values.tolist(), strict=True)
        ]

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `SegmentIndex.vectors_of`."""
        return self._videos[video_id]
