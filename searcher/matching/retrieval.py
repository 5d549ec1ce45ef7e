"""Which videos are worth a closer look: every window of every view in one batch of searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float64Array, Hit, QueryEmbedding
from searcher.matching.base import SegmentIndex
from searcher.matching.calibration import Calibration, Strangers
from searcher.state import Filter

_HITS_PER_WINDOW = 20
MAX_CANDIDATES = 32
# Single frames say when, not what: searching with them finds nothing that longer windows do not.
_SEARCHED_SECONDS = 1.0
# Strangers are the videos after the best few, which may be copies; beyond so many they say nothing new.
_FIRST_STRANGER, _LAST_STRANGER = 2, 25


@dataclass(frozen=True, slots=True)
class Retrieved:
    """candidates: ids of videos, the most promising first. strangers: by view."""

    candidates: tuple[str, ...]
    strangers: Mapping[str, Strangers]


def retrieve(
    query: QueryEmbedding, index: SegmentIndex, calibration: Calibration, only: Filter
) -> Retrieved:
    """At most MAX_CANDIDATES videos with the nearest single segment, each view less what it costs."""
    best = _best_scores(query, index, only)
    strangers = {
        view: strangers_of(np.array(list(scores.values())), calibration.certain)
        for view, scores in best.items()
    }
    value: dict[str, float] = {}
    for view, scores in best.items():
        for video_id, score in scores.items():
            excess = calibration.excess(score, view, strangers[view])
            value[video_id] = max(excess, value.get(video_id, -2.0))
    ranked = sorted(value, key=lambda video_id: (-value[video_id], video_id))
    return Retrieved(tuple(ranked[:MAX_CANDIDATES]), strangers)


def _best_scores(
    query: QueryEmbedding, index: SegmentIndex, only: Filter
) -> dict[str, dict[str, float]]:
    """By view and video the score of the nearest segment."""
    lengths = query.window_end_seconds - query.window_start_seconds
    asked = query.informative & searched(lengths)[None]
    numbers = np.argwhere(asked)
    best: dict[str, dict[str, float]] = {view: {} for view in query.views}
    hits: list[list[Hit]] = index.search(query.vectors[asked], _HITS_PER_WINDOW, only)
    for (number, _), found in zip(numbers.tolist(), hits, strict=True):
        scores = best[query.views[number]]
        for hit in found:
            video_id = hit.ref.video_id
            scores[video_id] = max(hit.score, scores.get(video_id, -1.0))
    return {view: scores for view, scores in best.items() if scores}


def searched(lengths_seconds: Float64Array) -> BoolArray:
    """bool (W,): windows that are searched with; all of them where the query has none of a second."""
    long = lengths_seconds >= _SEARCHED_SECONDS
    return long if long.any() else np.ones(len(lengths_seconds), dtype=bool)


def strangers_of(scores: Float64Array, certain: float) -> Strangers:
    """Of scores, float64 (n,), the best of each video found, those that strangers have.

    The first few may be copies, and scores of `certain` and above are left out wherever they come, so
    that a film which is in the catalogue many times does not hide itself.
    """
    kept = np.sort(scores[scores < certain])[::-1][_FIRST_STRANGER:_LAST_STRANGER]
    return Strangers(float(kept.mean()), len(kept)) if len(kept) else Strangers()
