"""Static scenes: a scene that hardly changes is one picture, however long it lasts.

Two terminals, two lectures with one slide template, or one camera on two days are alike in every frame,
so many similar frames are not many pieces of evidence. What tells a copy from a look-alike is time: the
similarity of a copy has a peak at the right time offset, because the small changes of the scene are the
same ones. The peak is compared with that of the reference with itself, which is what an unedited copy
has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array, Float64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Run
from searcher.matching.localisation.frame_similarity import QueryFrames, coded_frames

# In a shorter run nothing has time to change, whether the scene is static or not.
_LEAST_SECONDS = 2.5
# Frames this far apart decide whether a scene is static: their mean similarity is at least _STATIC.
_STATIC_SECONDS, _STATIC = 1.4, 0.65
# A peak is this much higher than both of its sides, as a fraction of the same for the reference with
# itself. Frame codes cannot measure a reference that changes less.
_SIDE_SECONDS, _LEAST_SUPPORT, _LEAST_CHANGE = 1.0, 0.12, 0.01
# In each frame the similarity errs, so a peak that is a mean of few frames may be chance: it counts if it
# is this many standard errors higher than each side. The errors of neighbours are alike.
_LEAST_ERRORS, _ALIKE_FRAMES, _LEAST_COMPARED = 1.0, 2.0, 4
# It counts too if hardly any frame is less similar there: the sum of the differences is at least this
# fraction of the sum of their sizes.
_ONE_SIDED = 0.9
# Fewer frames, or frames further apart, do not show a peak.
_LEAST_FRAMES, _MOST_STEP_SECONDS = 4, 1.0
# Offsets tried. Maximum number of query frames and of segments: 3 MB.
_OFFSET_SECONDS, _OFFSET_STEP, _MOST_FRAMES, _MOST_SEGMENTS = 4.0, 0.5, 400, 100
# A query frame and a reference frame belong together if their times differ by at most this.
_SAME_SECONDS = 0.3
# Above this similarity the pictures are the same.
_SAME_PICTURE = 0.94
# Look-alikes of a scene are the same way up. Where a match needs one of these views and its peak cannot
# be measured, because these views have few frames, the view speaks for a copy.
_TURNED = frozenset(("flip_h", "flip_v", "rotate_90", "rotate_180", "rotate_270", "negative"))


@dataclass(frozen=True, slots=True)
class TimeEvidence:
    """What the time axis says about a run.

    static: whether query and reference hardly change in the run. support: height of the peak of the
    similarity at the best time offset, relative to that of the reference with itself, about 0 to 1; None
    if it is not measurable. same_picture: whether the similarity is so high that nothing differs. turned:
    whether the query matches only mirrored, rotated or inverted.
    """

    static: bool = False
    support: float | None = None
    same_picture: bool = False
    turned: bool = False

    @property
    def has_peak(self) -> bool:
        """Whether the similarity depends on the time offset as that of a copy does."""
        return self.support is not None and self.support >= _LEAST_SUPPORT

    @property
    def is_one_picture(self) -> bool:
        """Whether the run is no more evidence than one picture that is alike but not the same."""
        if self.turned and self.support is None:
            return False
        return self.static and not self.has_peak and not self.same_picture


def time_evidence(
    run: Run, localised: Run, query: QueryFrames, video: VideoSegments, view: str
) -> TimeEvidence:
    """What the time axis says about a run. localised: gives its ranges. query: its frames through
    `view`. Only the first minutes of a long run are examined."""
    inside = np.flatnonzero(
        (query.seconds >= localised.query_start_seconds)
        & (query.seconds < localised.query_end_seconds)
    )[:_MOST_FRAMES]
    times = query.seconds[inside]
    line = _line(localised, times)
    first, last = (
        (localised.ref_start_seconds, localised.ref_end_seconds)
        if line is None or not len(line)
        else (float(line.min()), float(line.max()))
    )
    segments = [
        number
        for number, ref in enumerate(video.refs)
        if ref.end_seconds > first - _OFFSET_SECONDS and ref.start_seconds < last + _OFFSET_SECONDS
    ]
    codes, ref_times = coded_frames(video, segments[:_MOST_SEGMENTS])
    if localised.seconds < _LEAST_SECONDS or len(times) < 2 or len(ref_times) < 2:
        return TimeEvidence()
    chosen = np.zeros(len(query.seconds), dtype=bool)
    chosen[inside] = True
    within = (ref_times >= localised.ref_start_seconds) & (ref_times < localised.ref_end_seconds)
    itself = codes.like_coded(codes)
    static = (
        _apart(query.with_itself(chosen), times) >= _STATIC
        and _apart(itself[np.ix_(within, within)], ref_times[within]) >= _STATIC
    )
    dense = float(np.median(np.diff(times))) <= _MOST_STEP_SECONDS
    support = None
    if line is not None and dense and len(times) >= _LEAST_FRAMES:
        support = _support(query.similarity(chosen, codes), line, itself, ref_times)
    return TimeEvidence(static, support, run.score >= _SAME_PICTURE, view in _TURNED)


def _line(localised: Run, times: Float64Array) -> Float64Array | None:
    """float64 (n,): the reference times of query times; None if the run has no temporal order."""
    if localised.tempo is None:
        return None
    start = localised.ref_start_seconds if localised.tempo > 0 else localised.ref_end_seconds
    line: Float64Array = start + localised.tempo * (times - localised.query_start_seconds)
    return line


def _apart(similarity: Float32Array, times: Float64Array) -> float:
    """Mean similarity of frames that are not close in time; 0 if there are none."""
    far = np.abs(times[:, None] - times[None, :]) >= _STATIC_SECONDS
    return float(similarity[far].mean()) if far.any() else 0.0


def _support(
    similarity: Float32Array, line: Float64Array, itself: Float32Array, ref_times: Float64Array
) -> float | None:
    """The relative height of the peak; None if it is not measurable.

    similarity: float32 (n, m), query frames to reference frames. line: float64 (n,), reference times of
    the query frames. itself: float32 (m, m). ref_times: float64 (m,).
    """
    steps = np.arange(-_OFFSET_SECONDS, _OFFSET_SECONDS + 1e-6, _OFFSET_STEP)
    profile = np.array([_along(similarity, line + step, ref_times) for step in steps])
    side = round(_SIDE_SECONDS / _OFFSET_STEP)
    if np.isnan(profile[side:-side]).all():
        return None
    best = side + int(np.nanargmax(profile[side:-side]))
    sides = profile[[best - side, best + side]]
    middle = line + steps[best]
    middle = middle[(middle >= ref_times[0]) & (middle <= ref_times[-1])]
    if not len(middle):
        return None
    # At the frames of the reference that are in the run.
    near = ref_times[np.abs(ref_times[:, None] - middle[None, :]).min(axis=1) <= _SAME_SECONDS]
    rows = itself[np.isin(ref_times, near)]
    reference_sides = np.array(
        [_along(rows, near + step, ref_times) for step in (-_SIDE_SECONDS, _SIDE_SECONDS)]
    )
    if np.isnan(sides).all() or np.isnan(reference_sides).all():
        return None
    change = 1.0 - float(np.nanmax(reference_sides))
    if change < _LEAST_CHANGE or profile[best] <= 0:
        return None
    beside = (line + steps[best - side], line + steps[best + side])
    support = float((profile[best] - np.nanmax(sides)) / profile[best] / change)
    if support >= _LEAST_SUPPORT and not _is_higher(
        similarity, line + steps[best], beside, ref_times
    ):
        return None
    return support


def _along(similarity: Float32Array, at: Float64Array, ref_times: Float64Array) -> float:
    """Mean similarity to the reference frames at these times, float64 (n,); NaN if most times have no
    frame."""
    values = _at(similarity, at, ref_times)
    values = values[~np.isnan(values)]
    if len(values) < 2 or len(values) < len(at) / 2:
        return float("nan")
    return float(values.mean())


def _at(similarity: Float32Array, at: Float64Array, ref_times: Float64Array) -> Float64Array:
    """float64 (n,): similarity of each query frame to the reference frame at its time; NaN if there is
    none."""
    apart = np.abs(ref_times[None, :] - at[:, None])
    nearest = apart.argmin(axis=1)
    rows = np.arange(len(at))
    found: Float64Array = np.where(
        apart[rows, nearest] <= _SAME_SECONDS, similarity[rows, nearest].astype(np.float64), np.nan
    )
    return found


def _is_higher(
    similarity: Float32Array,
    peak: Float64Array,
    beside: Iterable[Float64Array],
    ref_times: Float64Array,
) -> bool:
    """Whether the frames are more similar at the times of a peak than at those of each of its sides, by
    more than chance."""
    compared, there = 0, _at(similarity, peak, ref_times)
    for at in beside:
        higher = there - _at(similarity, at, ref_times)
        higher = higher[~np.isnan(higher)]
        if len(higher) < _LEAST_COMPARED:
            continue
        compared += 1
        # At a cut few differences are large and the others near zero, but none is negative.
        one_sided = higher.sum() >= _ONE_SIDED * np.abs(higher).sum()
        error = higher.std(ddof=1) / np.sqrt(len(higher) / _ALIKE_FRAMES)
        if not one_sided and higher.mean() < _LEAST_ERRORS * error:
            return False
    return compared > 0
