"""Alignment: runs of query windows that follow the reference in time.

A window vector is a mean of unit vectors. If half of the window lies in the copied part, its
similarity is cos 45 degrees of the peak. So windows above that share of the run's peak are at least
half inside, and the copy begins and ends at the *centres* of the first and the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array
from searcher.matching.alignment.temporal_fit import TEMPI, mean_along, ordered_range, tempo_penalty

# Slightly above cos 45 degrees, because noise raises the similarity of a half-covered window.
_EDGE_SHARE = 0.74
# Windows further apart than this belong to two runs. Windows that lie end to end, like the segments of an
# indexed video, may be up to MAX_GAP_WINDOWS of their distance apart, because the last one may be 1.5
# times as long.
MAX_GAP_SECONDS = 1.6
MAX_GAP_WINDOWS = 1.3
# A new run starts when the steps in reference time and in query time differ by more than this.
MAX_JUMP_SECONDS = 6.0
# If windows are this much more similar to segments off the line than to those on it, there is no line.
OUT_OF_ORDER = 0.25
# A window shorter than this is one frame, located at its start.
FRAME_SECONDS = 1.0
# Frames of a closer pass are further apart. If a view has only one, the next one would be this far away.
LONE_FRAME_SECONDS = 3.0
# Offsets tried per tempo: the most common ones, in steps of this many seconds.
_OFFSET_STEP, _OFFSETS_TRIED = 0.5, 5
BEST_WINDOWS = 4
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Spans:
    """Windows of a query or segments of a reference. starts, ends: float64 (N,), seconds."""

    starts: Float64Array
    ends: Float64Array


@dataclass(frozen=True, slots=True)
class Run:
    """One range of the query that follows one range of the reference.

    score: mean similarity of its best windows. tempo: seconds of reference per second of query;
    negative if it runs backwards; None if there is no temporal order, and then only the reference
    range is meaningful. pairs: (window, segment, similarity) of the best windows. gap_seconds:
    largest gap in the query between two windows of one run.
    """

    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    score: float
    tempo: float | None
    pairs: tuple[tuple[int, int, float], ...]
    gap_seconds: float = MAX_GAP_SECONDS

    @property
    def seconds(self) -> float:
        """Length in the query."""
        return self.query_end_seconds - self.query_start_seconds

    def is_within(self, other: Run) -> bool:
        """Whether both ranges lie inside those of the other run, to a twentieth of a second."""
        slack = 0.05
        return (
            self.query_start_seconds >= other.query_start_seconds - slack
            and self.query_end_seconds <= other.query_end_seconds + slack
            and self.ref_start_seconds >= other.ref_start_seconds - slack
            and self.ref_end_seconds <= other.ref_end_seconds + slack
        )


Aligner: TypeAlias = Callable[[Float32Array, BoolArray, Spans, Spans, float], list[Run]]
"""A function like `align`."""


def best_window(
    similarity: Float32Array,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
    background_similarity: float,
) -> list[Run]:
    """As `align`, but with only the single best window: a baseline that shows what alignment
    contributes."""
    if not usable.any() or not similarity.shape[1]:
        return []
    seen = np.where(usable[:, None], similarity, -np.inf)
    window, segment = np.unravel_index(int(np.argmax(seen)), seen.shape)
    score = float(seen[window, segment])
    return [
        Run(
            query_start_seconds=float(windows.starts[window]),
            query_end_seconds=float(windows.ends[window]),
            ref_start_seconds=float(segments.starts[segment]),
            ref_end_seconds=float(segments.ends[segment]),
            score=score,
            tempo=1.0,
            pairs=((int(window), int(segment), score),),
        )
    ]


def align(
    similarity: Float32Array,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
    background_similarity: float,
) -> list[Run]:
    """Runs where the query follows the reference, best first.

    similarity: float32 (W, S). usable: bool (W,), windows with information. background_similarity:
    mean similarity of windows of non-matches. Returns at least one run if any window is usable, so
    that a weak pair has a score too.
    """
    if not usable.any() or not similarity.shape[1]:
        return []
    fine = usable if are_end_to_end(windows) else finest_of(windows, usable)
    order = np.flatnonzero(fine)[np.argsort(windows.starts[fine], kind="stable")]
    peaks = _Peaks.of(similarity, usable)
    best = peaks.values[order]
    ref_times = _reference_times(similarity, order, peaks, segments)
    frames = are_frames(windows, order) or is_lone_frame(windows, usable)
    # A frame shows the moment at which its window starts.
    times = windows.starts[order] if frames else (windows.starts[order] + windows.ends[order]) / 2
    inside = best >= edge_of(best, background_similarity, frames=frames)
    if not inside.any():
        inside[int(np.argmax(best))] = True
    apart = float(np.median(np.diff(times))) if len(times) > 1 else LONE_FRAME_SECONDS * frames
    max_gap_seconds = max(MAX_GAP_SECONDS, MAX_GAP_WINDOWS * apart)
    runs = [
        _run(
            members,
            order,
            similarity,
            peaks,
            usable,
            windows,
            segments,
            ref_times,
            times,
            apart if frames else 0.0,
            max_gap_seconds,
        )
        for members in runs_of(np.flatnonzero(inside), times, ref_times, max_gap_seconds)
    ]
    return sorted(runs, key=lambda run: -run.score)


@dataclass(frozen=True, slots=True)
class _Peaks:
    """segments: int64 (W,), the most similar segment per usable window, else 0; values: float32
    (W,), its similarity, else -inf."""

    segments: Int64Array
    values: Float32Array

    @classmethod
    def of(cls, similarity: Float32Array, usable: BoolArray) -> _Peaks:
        """Find the peaks a few rows at a time, because a copy of all rows would be as large as
        `similarity`."""
        segments = np.zeros(len(usable), dtype=np.int64)
        values = np.full(len(usable), -np.inf, dtype=np.float32)
        numbers = np.flatnonzero(usable)
        for first in range(0, len(numbers), _ROWS_AT_ONCE):
            some = numbers[first : first + _ROWS_AT_ONCE]
            rows = similarity[some]
            segments[some] = rows.argmax(axis=1)
            values[some] = rows[np.arange(len(some)), segments[some]]
        return cls(segments, values)


def finest_of(windows: Spans, usable: BoolArray) -> BoolArray:
    """The shortest usable windows, which locate the start of a copy most precisely."""
    lengths = windows.ends - windows.starts
    return usable & (lengths <= np.min(lengths[usable]) + 1e-6)


def are_frames(windows: Spans, order: Int64Array) -> bool:
    lengths = windows.ends[order] - windows.starts[order]
    return len(order) > 1 and float(np.median(lengths)) < FRAME_SECONDS


def is_lone_frame(windows: Spans, usable: BoolArray) -> bool:
    """Whether a view has only one frame of a query: the windows around it are all of other lengths. Of a
    view with a frame every half second, many windows of one length contain a frame."""
    lengths = np.sort(windows.ends[usable] - windows.starts[usable])
    seconds = windows.ends.max() - windows.starts.min()
    return bool(lengths[0] < FRAME_SECONDS <= seconds and (np.diff(lengths) > 1e-6).all())


def edge_of(best: Float32Array, background_similarity: float, *, frames: bool) -> float:
    """The similarity of a window centred on the edge of a copy.

    A single frame is inside a copy or not, so the edge is half-way between copies and non-matches.
    A longer window may be half inside.
    """
    peak = float(np.mean(np.sort(best)[-BEST_WINDOWS:]))
    if frames:
        return (peak + min(background_similarity, peak)) / 2
    return _EDGE_SHARE * peak


def are_end_to_end(windows: Spans) -> bool:
    """Whether no two windows overlap. Then each window is the only one of its part, short or
    long."""
    order = np.argsort(windows.starts, kind="stable")
    return bool(np.all(windows.starts[order][1:] >= windows.ends[order][:-1] - 1e-6))


def _reference_times(
    similarity: Float32Array, order: Int64Array, peaks: _Peaks, segments: Spans
) -> Float64Array:
    """float64 (n,): reference time of each window of `order`, int64 (n,), interpolated between
    similar segments."""
    middle = (segments.starts + segments.ends) / 2
    peak, top = peaks.segments[order], peaks.values[order][:, None]
    near = peak[:, None] + np.array([-1, 0, 1])
    there = (near >= 0) & (near < len(middle))
    near = near.clip(0, len(middle) - 1)
    weight = np.where(there, np.maximum(similarity[order[:, None], near] - 0.5 * top, 0.0), 0.0)
    total = weight.sum(axis=1)
    exact = (weight * middle[near]).sum(axis=1) / np.where(total > 0, total, 1)
    return np.where(total > 0, exact, middle[peak])


def runs_of(
    inside: Int64Array,
    times: Float64Array,
    ref_times: Float64Array,
    max_gap_seconds: float,
) -> list[Int64Array]:
    """Indices of `inside`, split where time jumps in the query or in the reference."""
    query_step = np.diff(times[inside])
    ref_step = np.diff(ref_times[inside])
    jumps = (query_step > max_gap_seconds) | (np.abs(ref_step - query_step) > MAX_JUMP_SECONDS)
    return np.split(inside, np.flatnonzero(jumps) + 1)


def _run(
    members: Int64Array,
    order: Int64Array,
    similarity: Float32Array,
    peaks: _Peaks,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
    ref_times: Float64Array,
    times: Float64Array,
    apart_seconds: float,
    gap_seconds: float,
) -> Run:
    """The run of the windows `members`. apart_seconds: between two frames; 0 if windows are longer."""
    start, end = query_range(members, order, windows, times, apart_seconds)
    if end - start < 1e-3:
        start, end = windows.starts[order[members[0]]], windows.ends[order[members[-1]]]
    shown = order[members]
    line = _fit(times[members], ref_times[members], similarity, shown, peaks, segments)
    if line is None:
        tempo, ref_start, ref_end = None, *_segment_range(peaks.segments[shown], segments)
    else:
        tempo, offset = line
        ref_start, ref_end = ordered_range(
            tempo * start + offset, tempo * end + offset, float(segments.ends[-1])
        )
    # Every usable window inside the run counts towards its score, including the long ones.
    within = usable & (windows.starts >= start - 0.3) & (windows.ends <= end + 0.3)
    vouching = np.flatnonzero(within) if within.any() else shown
    pairs = _best_pairs(peaks, vouching)
    return Run(
        query_start_seconds=float(start),
        query_end_seconds=float(end),
        ref_start_seconds=float(ref_start),
        ref_end_seconds=float(ref_end),
        score=float(np.mean([pair[2] for pair in pairs])),
        tempo=tempo,
        pairs=pairs,
        gap_seconds=gap_seconds,
    )


def query_range(
    members: Int64Array,
    order: Int64Array,
    windows: Spans,
    times: Float64Array,
    apart_seconds: float,
) -> tuple[float, float]:
    """Start and end of the windows `members`: half-way to the next frame that is not among them."""
    first, last = int(members[0]), int(members[-1])
    begin, finish = float(windows.starts.min()), float(windows.ends.max())
    start = max(0.0, times[first] - apart_seconds / 2)
    end = times[last] + apart_seconds / 2
    if apart_seconds <= FRAME_SECONDS:
        # There is no window beyond the ends of the query, so the outer edge of the window is used.
        start = windows.starts[order[first]] if first == 0 else start
        end = windows.ends[order[last]] if last == len(order) - 1 else end
    else:
        # No frame lies between these and the ends of the query. So nothing says that the copy ends.
        reach = apart_seconds + FRAME_SECONDS / 2
        start = begin if first == 0 and times[first] - begin < reach else start
        end = finish if last == len(order) - 1 and finish - times[last] < reach else end
    # The rest of the query after its last frame has no window of its own.
    return float(start), finish if finish - end < FRAME_SECONDS / 2 else float(end)


def _best_pairs(peaks: _Peaks, vouching: Int64Array) -> tuple[tuple[int, int, float], ...]:
    value = peaks.values[vouching]
    chosen = vouching[np.argsort(-value, kind="stable")[:BEST_WINDOWS]]
    return tuple((int(i), int(peaks.segments[i]), float(peaks.values[i])) for i in chosen)


def _fit(
    query: Float64Array,
    ref: Float64Array,
    similarity: Float32Array,
    rows: Int64Array,
    peaks: _Peaks,
    segments: Spans,
) -> tuple[float, float] | None:
    """Tempo and offset of the line ref = tempo * query + offset with the highest similarity; None if
    similarity is much higher off every line.

    query, ref: float64 (n,), times of the windows and their estimated reference times. rows: int64 (n,),
    their rows of `similarity`, float32 (W, S).
    """
    tempi = TEMPI if len(segments.starts) > 2 and len(query) > 4 else np.ones(1)
    middle = (segments.starts + segments.ends) / 2
    best, best_value = (1.0, float(np.median(ref - query))), -np.inf
    for tempo in tempi.tolist():
        offsets = offsets_of(query, ref, tempo, segments)
        at = tempo * query[None] + np.array(offsets)[:, None]
        inside = (at >= segments.starts[0] - 1e-6) & (at < segments.ends[-1])
        values = mean_along(similarity, at, middle, inside, rows) - tempo_penalty(tempo)
        for offset, value in zip(offsets, values.tolist(), strict=True):
            if value > best_value + 1e-6:
                best, best_value = (tempo, offset), value
    if len(tempi) > 1 and float(peaks.values[rows].mean()) - best_value > OUT_OF_ORDER:
        return None
    return best


def _segment_range(peaks: Int64Array, segments: Spans) -> tuple[float, float]:
    """Range in seconds from the first to the last of the segments in `peaks`, int64 (n,)."""
    chosen = np.unique(peaks)
    return float(segments.starts[chosen].min()), float(segments.ends[chosen].max())


def offsets_of(
    query: Float64Array, ref: Float64Array, tempo: float, segments: Spans
) -> list[float]:
    """Candidate offsets of a line with this tempo: first those that align the starts or the ends of both
    videos, then the estimates of the windows."""
    apart = ref - tempo * query
    bins, counts = np.unique(np.round(apart / _OFFSET_STEP), return_counts=True)
    common = bins[np.argsort(-counts, kind="stable")][:_OFFSETS_TRIED] * _OFFSET_STEP
    return [
        float(segments.starts[0]),
        float(segments.ends[-1] - tempo * (query[-1] + query[0])),
        float(np.median(apart)),
        *common.tolist(),
    ]
