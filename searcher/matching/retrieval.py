"""Which videos are worth a closer look: those with a segment near to some window of some view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import BoolArray, Float64Array
from searcher.index.state import Filter
from searcher.matching.calibration import Calibration, Strangers
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import Asked, AskedView

_HITS_PER_WINDOW = 20
MAX_CANDIDATES = 32
# Of the hits of so many windows, objects all of them, only the best of each video is kept.
_WINDOWS_AT_ONCE = 256
# Strangers are the videos after the best few, which may be copies; beyond so many they say nothing new.
_FIRST_STRANGER, _LAST_STRANGER = 2, 25


@dataclass(frozen=True, slots=True)
class Retrieved:
    """candidates: ids of videos, the most promising first. strangers: by view."""

    candidates: tuple[str, ...]
    strangers: Mapping[str, Strangers]


def retrieve(
    query: Asked,
    index: SegmentIndex,
    calibration: Calibration,
    only: Filter,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> Retrieved:
    """At most MAX_CANDIDATES videos with the nearest single segment, each view less what it costs. Raises
    CancelledError."""
    best = {
        view.name: _best_scores(view, query.searched, index, only, cancellation)
        for view in query.views
    }
    strangers = {
        view: strangers_of(np.array(list(scores.values())), calibration.certain)
        for view, scores in best.items()
        if scores
    }
    value: dict[str, float] = {}
    for view, scores in best.items():
        for video_id, score in scores.items():
            excess = calibration.excess(score, view, strangers[view])
            value[video_id] = max(excess, value.get(video_id, -2.0))
    ranked = sorted(value, key=lambda video_id: (-value[video_id], video_id))
    return Retrieved(tuple(ranked[:MAX_CANDIDATES]), strangers)


def _best_scores(
    view: AskedView,
    searched: BoolArray,
    index: SegmentIndex,
    only: Filter,
    cancellation: Cancellation,
) -> dict[str, float]:
    """By video the score of the nearest segment through a view."""
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


def strangers_of(scores: Float64Array, certain: float) -> Strangers:
    """Of scores, float64 (n,), the best of each video found, those that strangers have.

    The first few may be copies, and scores of `certain` and above are left out wherever they come, so
    that a film which is in the catalogue many times does not hide itself.
    """
    kept = np.sort(scores[scores < certain])[::-1][_FIRST_STRANGER:_LAST_STRANGER]
    return Strangers(float(kept.mean()), len(kept)) if len(kept) else Strangers()
