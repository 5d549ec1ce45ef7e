"""Reduces the weight of boilerplate: idents, intros and credits that many different videos share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float32Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Run

# Content shared by more different videos than this is boilerplate.
FREE_VIDEOS = 4
# Two runs show the same content if they share this fraction of the shorter one's query range.
_SAME_SHARE = 0.5
# A run longer than this fraction of its query or its reference is never boilerplate.
_PART = 0.5
_MOST_SHARED = 512


@dataclass(frozen=True, slots=True)
class SharedRun:
    """The best run of one video that scores like a copy. rest: float32 (527,), unit norm, the mean of the
    segments outside the run; zeros if there are none."""

    run: Run
    video_seconds: float
    rest: Float32Array

    @classmethod
    def of(cls, run: Run, segments: VideoSegments) -> SharedRun:
        """segments: all segments of the video, at least one."""
        starts = np.array([ref.start_seconds for ref in segments.refs])
        ends = np.array([ref.end_seconds for ref in segments.refs])
        apart = (ends <= run.ref_start_seconds + 0.5) | (starts >= run.ref_end_seconds - 0.5)
        mean = segments.vectors[apart].sum(axis=0)
        norm = float(np.linalg.norm(mean))
        rest = np.zeros_like(mean) if norm < 1e-6 else mean / norm
        return cls(run, float(ends[-1]), rest)


def document_frequencies(
    shared: Sequence[SharedRun], query_seconds: float, alike: float
) -> list[int]:
    """For each run: the number of different videos that show its content, including its own.

    Videos whose other segments are similar (inner product of their means at least `alike`) are copies of
    one another and count once. The result is 1 for a run that covers most of the query or of its video,
    because then the video itself is shared, not a part of it. If there are very many runs, only the best
    _MOST_SHARED count.
    """
    order = sorted(range(len(shared)), key=lambda number: -shared[number].run.score)
    counted = [shared[number] for number in order[:_MOST_SHARED]]
    rests = np.array([one.rest for one in counted])
    similar = rests @ rests.T >= alike
    found = []
    for one in shared:
        ref_seconds = one.run.ref_end_seconds - one.run.ref_start_seconds
        if max(one.run.seconds / query_seconds, ref_seconds / one.video_seconds) > _PART:
            found.append(1)
            continue
        same = np.array([_same_stretch(one.run, other.run) for other in counted])
        itself = np.array([other is one for other in counted])
        own = (rests @ one.rest >= alike) | itself
        found.append(1 + _different(same & ~own, similar))
    return found


def boilerplate_weight(frequency: int) -> float:
    """Factor for a probability: 1 up to FREE_VIDEOS, then FREE_VIDEOS / frequency."""
    return min(1.0, FREE_VIDEOS / frequency)


def _same_stretch(one: Run, other: Run) -> bool:
    both = min(one.query_end_seconds, other.query_end_seconds) - max(
        one.query_start_seconds, other.query_start_seconds
    )
    return both >= _SAME_SHARE * min(one.seconds, other.seconds)


def _different(left: BoolArray, similar: BoolArray) -> int:
    """Number of clusters among the videos `left`, bool (n,), counted greedily. similar: bool (n, n). A
    video without a rest is its own cluster."""
    clusters = 0
    left = left.copy()
    while left.any():
        first = int(np.argmax(left))
        left &= ~similar[first]
        left[first] = False
        clusters += 1
    return clusters
