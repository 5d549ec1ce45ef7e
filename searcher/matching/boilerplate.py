"""Idents, intros and credits: stretches that many otherwise different videos share prove little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment import Run

# A stretch that so many different videos share is boilerplate.
FREE_VIDEOS = 4
# Of two runs that share so much of the shorter one's query seconds, both show the same.
_SAME_SHARE = 0.5
# A run that is more than this share of its query or of its reference is no mere part of either.
_PART = 0.5


@dataclass(frozen=True, slots=True)
class Shared:
    """The best run of one video, whose similarity is that of copies. rest: float32 (527,), unit norm, the
    mean of the segments that the run does not touch; zero where there is none."""

    run: Run
    video_seconds: float
    rest: Float32Array

    @classmethod
    def of(cls, run: Run, segments: VideoSegments) -> Shared:
        """segments: the video's, at least one."""
        starts = np.array([ref.start_seconds for ref in segments.refs])
        ends = np.array([ref.end_seconds for ref in segments.refs])
        apart = (ends <= run.ref_start_seconds + 0.5) | (starts >= run.ref_end_seconds - 0.5)
        mean = segments.vectors[apart].sum(axis=0)
        norm = float(np.linalg.norm(mean))
        rest = np.zeros_like(mean) if norm < 1e-6 else mean / norm
        return cls(run, float(ends[-1]), rest)


def document_frequency(
    one: Shared, others: Sequence[Shared], query_seconds: float, alike: float
) -> int:
    """How many different videos show what `one`'s run shows, itself among them.

    Videos whose other segments are alike, by an inner product of their means of `alike` or more, are
    copies of one another and count once. A run that is most of the query or of its video counts as one,
    however often it is found: what is shared then is the video itself.
    """
    ref_seconds = one.run.ref_end_seconds - one.run.ref_start_seconds
    if max(one.run.seconds / query_seconds, ref_seconds / one.video_seconds) > _PART:
        return 1
    same = [other for other in others if _same_stretch(one.run, other.run)]
    return _different([shared.rest for shared in (one, *same)], alike)


def weight(frequency: int) -> float:
    """By what a probability is multiplied: 1 up to FREE_VIDEOS, then in inverse proportion."""
    return min(1.0, FREE_VIDEOS / frequency)


def _same_stretch(one: Run, other: Run) -> bool:
    both = min(one.query_end_seconds, other.query_end_seconds) - max(
        one.query_start_seconds, other.query_start_seconds
    )
    return both >= _SAME_SHARE * min(one.seconds, other.seconds)


def _different(rests: Sequence[Float32Array], alike: float) -> int:
    """Counted greedily; a video without a rest is one of its own."""
    kept: list[Float32Array] = []
    for rest in rests:
        if not any(float(rest @ other) >= alike for other in kept):
            kept.append(rest)
    return len(kept)
