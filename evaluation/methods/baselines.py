"""Two baselines: plain ways to match videos by their frame features.

`peer-median`: the normalised median over all frames of a video; videos are compared by cosine. It is
robust, but cannot find a part. `peer-best-pair`: the most similar pair of frames, with the query upright,
mirrored, upside down and rotated by 180 degrees. It finds any part, but a single false pair is enough for
a false match. Neither has time ranges, score normalisation or probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from common.types import Float32Array
from embedder.pooling import pool
from embedder.query.features import QueryFeatures
from evaluation.data.feature_cache import CachedQuery
from evaluation.protocol import REAL, Dataset, Query
from evaluation.records import ScoredMatch

BaselineName: TypeAlias = Literal["peer-median", "peer-best-pair"]
BASELINES: tuple[BaselineName, ...] = ("peer-median", "peer-best-pair")
_VIEWS = ("identity", "flip_h", "flip_v", "rotate_180")


class Baseline:
    """A baseline as a `Method`. The range of a match is all of both videos.

    The probability is the cosine scaled to 0..1. It only ranks matches.
    """

    def __init__(
        self, name: BaselineName, dataset: Dataset, originals: Mapping[str, QueryFeatures]
    ) -> None:
        self.name = name
        self._dataset = dataset
        self._seconds = {key: video.duration_seconds for key, video in originals.items()}
        frames = {key: _usable_rows(video, "identity") for key, video in originals.items()}
        if name == "peer-median":
            frames = {key: _median(rows) for key, rows in frames.items()}
        self._refs = {key: rows for key, rows in frames.items() if len(rows)}

    def answer(
        self, query: Query, cached: CachedQuery, names: frozenset[str]
    ) -> tuple[ScoredMatch, ...]:
        """See `Method.answer`."""
        query_rows = self._query_rows(cached.query)
        excluded = {query.video.video_id} if query.group == REAL else set()
        scores = {
            name: float((query_rows @ self._refs[name].T).max())
            for name in names - excluded
            if name in self._refs and len(query_rows)
        }
        ranked = sorted(scores, key=lambda name: (-scores[name], name))
        return tuple(self._scored_match(query, cached, name, scores[name]) for name in ranked)

    def _query_rows(self, features: QueryFeatures) -> Float32Array:
        if self.name == "peer-median":
            return _median(_usable_rows(features, "identity"))
        available = {view.name for view in features.views}
        return np.concatenate(
            [_usable_rows(features, view) for view in _VIEWS if view in available]
        )

    def _scored_match(
        self, query: Query, cached: CachedQuery, name: str, score: float
    ) -> ScoredMatch:
        return ScoredMatch(
            video_id=name,
            relation=self._dataset.relation(query.video, name, cached.partners),
            probability=min(max((1 + score) / 2, 0.0), 1.0),
            similarity=score,
            decision="no_match",
            view="",
            query_start_seconds=0.0,
            query_end_seconds=cached.query.duration_seconds,
            ref_start_seconds=0.0,
            ref_end_seconds=self._seconds[name],
        )


def _usable_rows(features: QueryFeatures, name: str) -> Float32Array:
    """float32 (T, 512): the informative frames of a view."""
    view = features.view(name)
    return view.rows[view.informative]


def _median(rows: Float32Array) -> Float32Array:
    """float32 (1, 512), or (0, 512) without frames."""
    median = pool(rows, np.ones(len(rows), dtype=bool), "median")
    return rows[:0] if median is None else median[None]
