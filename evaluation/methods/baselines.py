"""Two plain ways to use SSCD, to be compared with: what matching adds must show against them.

`peer-median`: the median over all frames of a video, normalised; videos are compared by cosine. Robust,
and blind to a part. `peer-best-pair`: the one pair of frames that are most alike, the query's seen
upright, mirrored and upside down; it finds any part, and is fooled by any one pair. Neither knows
ranges, what non-matches usually score, or probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from common.types import Float32Array
from embedder.pooling import pool
from embedder.query.features import SeenQuery
from evaluation.data.feature_cache import CachedQuery
from evaluation.data.records import ScoredMatch
from evaluation.experiment.protocol import REAL, Dataset, Query

BaselineName: TypeAlias = Literal["peer-median", "peer-best-pair"]
BASELINES: tuple[BaselineName, ...] = ("peer-median", "peer-best-pair")
_VIEWS = ("identity", "flip_h", "flip_v", "rotate_180")


class Baseline:
    """One of PEERS as one who answers; the range of a match is all of both videos.

    A probability is the cosine scaled to 0..1: it orders, and decides nothing.
    """

    def __init__(
        self, name: BaselineName, dataset: Dataset, originals: Mapping[str, SeenQuery]
    ) -> None:
        self.name = name
        self._dataset = dataset
        self._seconds = {key: seen.duration_seconds for key, seen in originals.items()}
        frames = {key: _informative(seen, "identity") for key, seen in originals.items()}
        if name == "peer-median":
            frames = {key: _median(rows) for key, rows in frames.items()}
        self._refs = {key: rows for key, rows in frames.items() if len(rows)}

    def answer(
        self, query: Query, seen: CachedQuery, names: frozenset[str]
    ) -> tuple[ScoredMatch, ...]:
        """See `Answerer.answer`."""
        asked = self._asked(seen.query)
        own = {query.video.video_id} if query.group == REAL else set()
        scores = {
            name: float((asked @ self._refs[name].T).max())
            for name in names - own
            if name in self._refs and len(asked)
        }
        ranked = sorted(scores, key=lambda name: (-scores[name], name))
        return tuple(self._found(query, seen, name, scores[name]) for name in ranked)

    def _asked(self, seen: SeenQuery) -> Float32Array:
        if self.name == "peer-median":
            return _median(_informative(seen, "identity"))
        there = {view.name for view in seen.views}
        return np.concatenate([_informative(seen, view) for view in _VIEWS if view in there])

    def _found(self, query: Query, seen: CachedQuery, name: str, score: float) -> ScoredMatch:
        return ScoredMatch(
            video_id=name,
            relation=self._dataset.relation(query.video, name, seen.partners),
            probability=min(max((1 + score) / 2, 0.0), 1.0),
            similarity=score,
            decision="no_match",
            view="",
            query_start_seconds=0.0,
            query_end_seconds=seen.query.duration_seconds,
            ref_start_seconds=0.0,
            ref_end_seconds=self._seconds[name],
        )


def _informative(seen: SeenQuery, name: str) -> Float32Array:
    view = seen.view(name)
    return view.rows[view.informative]


def _median(rows: Float32Array) -> Float32Array:
    """float32 (1, 512), or (0, 512) of no frame."""
    middle = pool(rows, np.ones(len(rows), dtype=bool), "median")
    return rows[:0] if middle is None else middle[None]
