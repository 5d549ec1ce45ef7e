"""How certain the range of a match is: the probability that the match is where its range says.

A match may be certain and its place not: a talking head is the same person at any time, and a single
frame of a region is found in many places. So the frames of the query are laid over the reference at the
range and at every other place. If another place fits as well, the range is uncertain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array, Float64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Run
from searcher.matching.alignment.temporal_fit import mean_along
from searcher.matching.localisation.frame_similarity import QueryFrames, coded_frames
from searcher.matching.localisation.row_comparison import at_line

CERTAIN = 0.8
"""Below this probability the range is uncertain."""
# Maximum number of query frames and of segments that are compared: 3 MB.
_MOST_FRAMES, _MOST_SEGMENTS = 400, 100
# Offsets tried; up to the first one it is the same place, from the second on another one.
_OFFSET_STEP, _SAME_SECONDS, _OTHER_SECONDS = 0.5, 0.5, 1.5
# Another place must hold this fraction of the frames.
_LEAST_INSIDE = 0.5

# Weights of the logit: a logistic regression over 246 matches of excerpts of 2 to 5 s, cut out of edited
# videos (profile `offline`); right means to a second.
_BASE, _PER_MARGIN, _TIED, _ON_LINE = 0.52, 12.93, -0.84, 1.55
# A larger margin adds nothing, and a smaller one is no difference.
_MOST_MARGIN, _LEAST_MARGIN = 0.1, 0.02


@dataclass(frozen=True, slots=True)
class RangeEvidence:
    """How well the frames of a match fit at its range and at other places.

    frames: number of query frames compared; 0 if none. own: mean similarity at the range. other: the
    highest mean similarity elsewhere in the reference; -1 if there is no other place. on_line: whether
    the range has an order in time.
    """

    frames: int = 0
    own: float = 0.0
    other: float = -1.0
    on_line: bool = False

    @property
    def confidence(self) -> float | None:
        """The probability that the range is right, 0 to 1; None if no frames could be compared."""
        if not self.frames:
            return None
        margin = max(-_MOST_MARGIN, min(self.own - self.other, _MOST_MARGIN))
        tied = margin <= _LEAST_MARGIN
        logit = _BASE + _PER_MARGIN * margin + _TIED * tied + _ON_LINE * self.on_line
        return 1.0 / (1.0 + math.exp(-logit))

    def joined(self, other: RangeEvidence) -> RangeEvidence:
        """The evidence of a range that another range continues."""
        frames = self.frames + other.frames
        if not frames:
            return self
        share = self.frames / frames
        return RangeEvidence(
            frames,
            share * self.own + (1 - share) * other.own,
            share * self.other + (1 - share) * other.other,
            self.on_line and other.on_line,
        )


def range_evidence(localised: Run, query: QueryFrames, video: VideoSegments) -> RangeEvidence:
    """The evidence for the ranges of a run. query: its frames through the view of the match. Only the
    first minutes of a long run and a few minutes of the reference around it are compared."""
    inside = np.flatnonzero(
        (query.seconds >= localised.query_start_seconds)
        & (query.seconds < localised.query_end_seconds)
    )[:_MOST_FRAMES]
    codes, ref_times = coded_frames(video, _around(localised, video))
    if not len(inside) or not len(ref_times):
        return RangeEvidence()
    chosen = np.zeros(len(query.seconds), dtype=bool)
    chosen[inside] = True
    similarity = query.similarity(chosen, codes)
    if localised.tempo is None or len(inside) < 2:
        own, other = _in_range(similarity, ref_times, localised)
    else:
        line = at_line(localised, query.seconds[inside])
        own, other = _along(similarity, line, ref_times)
    return RangeEvidence(len(inside), own, other, localised.tempo is not None and len(inside) > 1)


def _around(localised: Run, video: VideoSegments) -> range:
    """The segments around the range: all of a short video."""
    starts = np.array([ref.start_seconds for ref in video.refs])
    middle = (localised.ref_start_seconds + localised.ref_end_seconds) / 2
    first = int(np.searchsorted(starts, middle)) - _MOST_SEGMENTS // 2
    first = max(0, min(first, len(starts) - _MOST_SEGMENTS))
    return range(first, min(len(starts), first + _MOST_SEGMENTS))


def _in_range(
    similarity: Float32Array, ref_times: Float64Array, localised: Run
) -> tuple[float, float]:
    """Mean over the query frames of the highest similarity in the range, and outside of it."""
    margin = _OFFSET_STEP / 2
    start, end = localised.ref_start_seconds - margin, localised.ref_end_seconds + margin
    near = (ref_times >= start) & (ref_times <= end)
    far = (ref_times < start - _OTHER_SECONDS) | (ref_times > end + _OTHER_SECONDS)
    own, other = (
        float(similarity[:, some].max(axis=1).mean()) if some.any() else -1.0
        for some in (near, far)
    )
    return own, other


def _along(
    similarity: Float32Array, line: Float64Array, ref_times: Float64Array
) -> tuple[float, float]:
    """Highest mean similarity along the line, and along lines shifted to another place."""
    steps = np.arange(
        ref_times[0] - line.max(), ref_times[-1] - line.min() + _OFFSET_STEP, _OFFSET_STEP
    )
    # The line itself is one of them.
    steps = np.append(steps, [-_SAME_SECONDS, 0.0, _SAME_SECONDS])
    at = line[None] + steps[:, None]
    inside = (at >= ref_times[0] - _OFFSET_STEP) & (at <= ref_times[-1] + _OFFSET_STEP)
    share = inside.mean(axis=1)
    values = mean_along(similarity, at, ref_times, inside) / np.maximum(share, 1e-9)
    values[share < _LEAST_INSIDE] = -1.0
    near = np.abs(steps) <= _SAME_SECONDS + 1e-9
    far = np.abs(steps) >= _OTHER_SECONDS
    own, other = (float(values[some].max(initial=-1.0)) for some in (near, far))
    return own, other
