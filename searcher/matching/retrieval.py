"""Which videos are worth a closer look: every window of every view in one batch of searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float64Array, Hit, QueryEmbedding
from searcher.matching.base import SegmentIndex
from searcher.matching.calibration import Calibration
from searcher.state import Filter

_HITS_PER_WINDOW = 20
MAX_CANDIDATES = 32
# Single frames say when, not what: searching with them finds nothing that longer windows do not.
_SEARCHED_SECONDS = 1.0
# Strangers are the videos after the best few, which may be copies; beyond so many they say nothing new.
_FIRST_STRANGER, _LAST_STRANGER = 2, 25
# The level that calibration measured counts as so many strangers.
_PRIOR_WEIGHT = 6


@dataclass(frozen=True, slots=True)
class Retrieved:
    """candidates: ids of videos, the most promising first. backgrounds: by view, how similar strangers
    are to this query, against what they usually are: positive where they are more alike."""

    candidates: tuple[str, ...]
    backgrounds: Mapping[str, float]


def retrieve(
    query: QueryEmbedding, index: SegmentIndex, calibration: Calibration, only: Filter
) -> Retrieved:
    """At most MAX_CANDIDATES videos with the nearest single segment, each view less what it costs."""
    best = _best_scores(query, index, only)
    backgrounds = {
        view: background(np.array(list(scores.values())), view, calibration)
        for view, scores in best.items()
    }
    value: dict[str, float] = {}
    for view, scores in best.items():
        cost = calibration.price(view, backgrounds[view])
        for video_id, score in scores.items():
            value[video_id] = max(score - cost, value.get(video_id, -2.0))
    ranked = sorted(value, key=lambda video_id: (-value[video_id], video_id))
    return Retrieved(tuple(ranked[:MAX_CANDIDATES]), backgrounds)


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


def background(scores: Float64Array, view: str, calibration: Calibration) -> float:
    """By how much this query's strangers are more similar than strangers usually are, through a view.

    scores: float (n,), the best of each video found. Those as high as copies' are left out, so that a
    film which is in the catalogue many times does not hide itself; what a few strangers say is drawn
    towards nothing.
    """
    usual = calibration.background(view)
    strangers = np.sort(scores[scores < calibration.certain])[::-1]
    strangers = strangers[_FIRST_STRANGER:_LAST_STRANGER]
    lift = float(np.sum(strangers - usual))
    return lift / (len(strangers) + _PRIOR_WEIGHT)
