"""Exact search over the videos of a catalogue and the distractors beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import nlargest

import numpy as np

from common.types import BoolArray, Float32Array, Hit
from evaluation.data.datasets import DatasetVideo
from evaluation.data.distractors import PREFIX, Distractor
from evaluation.methods.exact_index import ArrayIndex
from searcher.index.state import EVERYTHING, Filter, VideoSegments

# Query vectors at once: 64 MB of similarities at the largest number of distractors.
_AT_ONCE = 64


class DistractorRows:
    """The segments of all distractors."""

    def __init__(self, distractors: Sequence[Distractor]) -> None:
        """distractors: at least one."""
        self._segments = {one.video_id: one.segments for one in distractors}
        self._refs = [ref for one in distractors for ref in one.segments.refs]
        self._vectors = np.concatenate([one.segments.vectors for one in distractors])
        sizes = [len(one.segments.refs) for one in distractors]
        self._families = np.repeat([one.source.family for one in distractors], sizes)
        self._groups = np.repeat([one.source.lookalike_group for one in distractors], sizes)
        self._last: tuple[tuple[bytes, bytes, int], list[list[Hit]]] | None = None

    def segments_of(self, video_id: str) -> VideoSegments:
        return self._segments[video_id]

    def unrelated(self, videos: Collection[DatasetVideo]) -> BoolArray:
        """bool (N,): the segments of other families and other groups of look-alikes than these videos."""
        groups = [video.lookalike_group for video in videos if video.lookalike_group]
        related: BoolArray = np.isin(self._families, [video.family for video in videos])
        return ~(related | np.isin(self._groups, groups))

    def nearest(self, vectors: Float32Array, k: int, allowed: BoolArray) -> list[list[Hit]]:
        """The k nearest allowed segments of each vector, float32 (n, 527), best first."""
        # Each catalogue of a query is searched with the same vectors.
        key = (vectors.tobytes(), allowed.tobytes(), k)
        if self._last is None or self._last[0] != key:
            self._last = key, self._search(vectors, k, np.flatnonzero(~allowed))
        return self._last[1]

    def _search(self, vectors: Float32Array, k: int, hidden: np.ndarray) -> list[list[Hit]]:
        found: list[list[Hit]] = []
        k = min(k, len(self._refs))
        for first in range(0, len(vectors), _AT_ONCE):
            scores = vectors[first : first + _AT_ONCE] @ self._vectors.T
            scores[:, hidden] = -np.inf
            best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            values = np.take_along_axis(scores, best, axis=1)
            found += [
                sorted(
                    (
                        Hit(self._refs[row], score)
                        for row, score in zip(rows, some, strict=True)
                        if np.isfinite(score)
                    ),
                    key=lambda hit: -hit.score,
                )
                for rows, some in zip(best.tolist(), values.tolist(), strict=True)
            ]
        return found


class WithDistractors:
    """An index for matching (`searcher.matching.protocols`): a catalogue and the allowed distractors."""

    def __init__(self, index: ArrayIndex, rows: DistractorRows, allowed: BoolArray) -> None:
        self._index, self._rows, self._allowed = index, rows, allowed

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `SegmentIndex.search`."""
        if not len(vectors):
            return []
        own = self._index.search(vectors, k, only)
        others = self._rows.nearest(vectors, k, self._allowed)
        return [
            nlargest(k, [*some, *more], key=lambda hit: hit.score)
            for some, more in zip(own, others, strict=True)
        ]

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `SegmentIndex.vectors_of`."""
        if video_id.startswith(PREFIX):
            return self._rows.segments_of(video_id)
        return self._index.vectors_of(video_id)
