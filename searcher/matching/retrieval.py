"""Retrieval: the candidates are the videos with a segment near some window of some view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import BoolArray, Float64Array
from searcher.index.state import Filter
from searcher.matching.calibration import BackgroundScores, Calibration
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import QueryWindows, ViewWindows

_HITS_PER_WINDOW = 20
MAX_CANDIDATES = 32
# Windows searched at once; of their hits only the best of each video is kept.
_WINDOWS_AT_ONCE = 256
# Ranks of the background scores: the best few may be copies, and later ones add nothing.
_FIRST_RANK, _LAST_RANK = 2, 25


@dataclass(frozen=True, slots=True)
class Retrieval:
    """candidates: video ids, the most promising first. backgrounds: per view."""

    candidates: tuple[str, ...]
    backgrounds: Mapping[str, BackgroundScores]


def retrieve(
    query: QueryWindows,
    index: SegmentIndex,
    calibration: Calibration,
    only: Filter,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> Retrieval:
    """At most MAX_CANDIDATES videos, ranked by the normalised score of their nearest segment.
    Raises CancelledError."""
    best = {
        view.name: _best_scores(view, query.searched, index, only, cancellation)
        for view in query.views
    }
    backgrounds = {
        view: background_scores(np.array(list(scores.values())), calibration.certain)
        for view, scores in best.items()
        if scores
    }
    value: dict[str, float] = {}
    for view, scores in best.items():
        for video_id, score in scores.items():
            normalised_score = calibration.normalised_score(score, view, backgrounds[view])
            value[video_id] = max(normalised_score, value.get(video_id, -2.0))
    ranked = sorted(value, key=lambda video_id: (-value[video_id], video_id))
    return Retrieval(tuple(ranked[:MAX_CANDIDATES]), backgrounds)


def _best_scores(
    view: ViewWindows,
    searched: BoolArray,
    index: SegmentIndex,
    only: Filter,
    cancellation: Cancellation,
) -> dict[str, float]:
    """Per video the score of its nearest segment through a view."""
    vectors = view.vectors[searched[view.windows]]
    scores: dict[str, float] = {}
    for first in range(0, len(vectors), _WINDOWS_AT_ONCE):
        cancellation.check()
        some = vectors[first : first + _WINDOWS_AT_ONCE]
        for found in index.search(some, _HITS_PER_WINDOW, only):
            for hit in found:
                video_id = hit.ref.video_id
                scores[video_id] = max(hit.score, scores.get(video_id, -1.0))
    return scores


def background_scores(scores: Float64Array, certain: float) -> BackgroundScores:
    """The background among scores, float64 (n,), the best score of each video found.

    The first few may be copies. Scores of `certain` and above are always left out, so that a video
    with many copies in the catalogue does not raise its own background.
    """
    kept = np.sort(scores[scores < certain])[::-1][_FIRST_RANK:_LAST_RANK]
    return BackgroundScores(float(kept.mean()), len(kept)) if len(kept) else BackgroundScores()
