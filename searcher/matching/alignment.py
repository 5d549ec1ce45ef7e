"""Where in the query and where in the reference: runs of windows that follow the reference in time.

A window that lies half inside a copied stretch is, as a mean of unit vectors, at cos 45 degrees of the
stretch. So the windows above that share of the run's peak are those at least half inside, and the
*centre* of the first and the last of them is where the copy begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array
from searcher.matching.temporal_fit import TEMPI, along, bounded, price

# A little above cos 45 degrees, for the noise that lifts a half-covered window.
_EDGE_SHARE = 0.74
# Windows further apart than this are two runs, unless they lie end to end, as the segments of a video
# of the catalogue do; the last of these may be half as long again.
_MAX_GAP_SECONDS = 1.6
_MAX_GAP_WINDOWS = 1.3
# A step in reference time that differs from the step in query time by more starts a new run.
MAX_JUMP_SECONDS = 6.0
# Where windows are so much more like other segments than like those on the line, there is no line.
_OUT_OF_ORDER = 0.25
# A window shorter than this is one frame, which lies at its start.
_FRAME_SECONDS = 1.0
# Offsets tried for each tempo: the most common ones, in steps of seconds.
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
    """One stretch of the query that follows one stretch of the reference.

    score: mean similarity of its best windows. tempo: seconds of the reference in one of the query,
    below 0 where it runs backwards, None where it follows no order; the reference's range is then all
    that is shown of it. pairs: (window, segment, similarity) of the best. gap_seconds: of the query,
    between two windows that may belong to one run.
    """

    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    score: float
    tempo: float | None
    pairs: tuple[tuple[int, int, float], ...]
    gap_seconds: float = _MAX_GAP_SECONDS

    @property
    def seconds(self) -> float:
        """Of the query."""
        return self.query_end_seconds - self.query_start_seconds

    def is_within(self, other: Run) -> bool:
        """Whether another run says all that this one does, to a twentieth of a second."""
        slack = 0.05
        return (
            self.query_start_seconds >= other.query_start_seconds - slack
            and self.query_end_seconds <= other.query_end_seconds + slack
            and self.ref_start_seconds >= other.ref_start_seconds - slack
            and self.ref_end_seconds <= other.ref_end_seconds + slack
        )


Aligner: TypeAlias = Callable[[Float32Array, BoolArray, Spans, Spans, float], list[Run]]
"""As `align`."""


def best_window(
    similarity: Float32Array, usable: BoolArray, windows: Spans, segments: Spans, strangers: float
) -> list[Run]:
    """As `align`, but the one window decides that is most like any segment: what alignment is worth is
    measured against it."""
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
    similarity: Float32Array, usable: BoolArray, windows: Spans, segments: Spans, strangers: float
) -> list[Run]:
    """Runs in which the query follows the reference, best first.

    similarity: float32 (W, S). usable: bool (W,), windows with information. strangers: how similar
    windows of strangers are. At least one run is given wherever one window is usable, so that a weak
    pair has a score too.
    """
    if not usable.any() or not similarity.shape[1]:
        return []
    fine = usable if _end_to_end(windows) else _finest(windows, usable)
    order = np.flatnonzero(fine)[np.argsort(windows.starts[fine], kind="stable")]
    peaks = _Peaks.of(similarity, usable)
    best = peaks.values[order]
    ref_times = _reference_times(similarity, order, peaks, segments)
    frames = _are_frames(windows, order)
    # A frame shows the moment at which its window begins.
    times = windows.starts[order] if frames else (windows.starts[order] + windows.ends[order]) / 2
    inside = best >= _edge(best, strangers, frames=frames)
    if not inside.any():
        inside[int(np.argmax(best))] = True
    apart = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    max_gap_seconds = max(_MAX_GAP_SECONDS, _MAX_GAP_WINDOWS * apart)
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
            apart / 2 if frames else 0.0,
            max_gap_seconds,
        )
        for members in _runs(np.flatnonzero(inside), times, ref_times, max_gap_seconds)
    ]
    return sorted(runs, key=lambda run: -run.score)


@dataclass(frozen=True, slots=True)
class _Peaks:
    """segments: int64 (W,), the segment that is most like each usable window; values: float32 (W,), how
    much. 0 and -inf of the others."""

    segments: Int64Array
    values: Float32Array

    @classmethod
    def of(cls, similarity: Float32Array, usable: BoolArray) -> _Peaks:
        """A few rows at a time: a copy of all of them would be as large as `similarity`."""
        segments = np.zeros(len(usable), dtype=np.int64)
        values = np.full(len(usable), -np.inf, dtype=np.float32)
        numbers = np.flatnonzero(usable)
        for first in range(0, len(numbers), _ROWS_AT_ONCE):
            some = numbers[first : first + _ROWS_AT_ONCE]
            rows = similarity[some]
            segments[some] = rows.argmax(axis=1)
            values[some] = rows[np.arange(len(some)), segments[some]]
        return cls(segments, values)


def _finest(windows: Spans, usable: BoolArray) -> BoolArray:
    """The shortest usable windows, which tell most exactly where a copy begins."""
    lengths = windows.ends - windows.starts
    return usable & (lengths <= np.min(lengths[usable]) + 1e-6)


def _are_frames(windows: Spans, order: Int64Array) -> bool:
    lengths = windows.ends[order] - windows.starts[order]
    return len(order) > 1 and float(np.median(lengths)) < _FRAME_SECONDS


def _edge(best: Float32Array, strangers: float, *, frames: bool) -> float:
    """The similarity that a window has whose centre is the edge of a copy.

    A single frame is within a copy or not: half-way between copies and strangers. A longer window may be
    half within it.
    """
    peak = float(np.mean(np.sort(best)[-BEST_WINDOWS:]))
    if frames:
        return (peak + min(strangers, peak)) / 2
    return _EDGE_SHARE * peak


def _end_to_end(windows: Spans) -> bool:
    """Whether no two windows overlap. Then each is all there is of its stretch, short or long."""
    order = np.argsort(windows.starts, kind="stable")
    return bool(np.all(windows.starts[order][1:] >= windows.ends[order][:-1] - 1e-6))


def _reference_times(
    similarity: Float32Array, order: Int64Array, peaks: _Peaks, segments: Spans
) -> Float64Array:
    """float64 (n,): where in the reference each window of `order`, int64 (n,), lies, between the segments
    it resembles."""
    middle = (segments.starts + segments.ends) / 2
    peak, top = peaks.segments[order], peaks.values[order][:, None]
    near = peak[:, None] + np.array([-1, 0, 1])
    there = (near >= 0) & (near < len(middle))
    near = near.clip(0, len(middle) - 1)
    weight = np.where(there, np.maximum(similarity[order[:, None], near] - 0.5 * top, 0.0), 0.0)
    total = weight.sum(axis=1)
    exact = (weight * middle[near]).sum(axis=1) / np.where(total > 0, total, 1)
    return np.where(total > 0, exact, middle[peak])


def _runs(
    inside: Int64Array,
    times: Float64Array,
    ref_times: Float64Array,
    max_gap_seconds: float,
) -> list[Int64Array]:
    """Indices of `inside` cut where time jumps in the query or in the reference."""
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
    margin_seconds: float,
    gap_seconds: float,
) -> Run:
    """margin_seconds: how far beyond its first and last time a run reaches."""
    first, last = int(members[0]), int(members[-1])
    # At the ends of the query there is no window further out: the outer edge is the boundary.
    start = windows.starts[order[first]] if first == 0 else max(0.0, times[first] - margin_seconds)
    end = windows.ends[order[last]] if last == len(order) - 1 else times[last] + margin_seconds
    # What is left of the query behind its last frame holds no window of its own.
    if windows.ends.max() - end < _FRAME_SECONDS / 2:
        end = windows.ends.max()
    if end - start < 1e-3:
        start, end = windows.starts[order[first]], windows.ends[order[last]]
    shown = order[members]
    line = _fit(times[members], ref_times[members], similarity, shown, peaks, segments)
    if line is None:
        tempo, ref_start, ref_end = None, *_all_shown(peaks.segments[shown], segments)
    else:
        tempo, offset = line
        ref_start, ref_end = bounded(
            tempo * start + offset, tempo * end + offset, float(segments.ends[-1])
        )
    # Every window, long ones too, that lies in the run may vouch for it.
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
    """Tempo and offset of the line ref = tempo * query + offset along which similarity is highest; None
    where it is much higher off every line.

    query, ref: float64 (n,), where windows lie and where each seems to be; rows: int64 (n,), theirs of
    similarity, float32 (W, S).
    """
    tempi = TEMPI if len(segments.starts) > 2 and len(query) > 4 else np.ones(1)
    middle = (segments.starts + segments.ends) / 2
    best, best_value = (1.0, float(np.median(ref - query))), -np.inf
    for tempo in tempi.tolist():
        offsets = _offsets(query, ref, tempo, segments)
        at = tempo * query[None] + np.array(offsets)[:, None]
        inside = (at >= segments.starts[0] - 1e-6) & (at < segments.ends[-1])
        values = along(similarity, at, middle, inside, rows) - price(tempo)
        for offset, value in zip(offsets, values.tolist(), strict=True):
            if value > best_value + 1e-6:
                best, best_value = (tempo, offset), value
    if len(tempi) > 1 and float(peaks.values[rows].mean()) - best_value > _OUT_OF_ORDER:
        return None
    return best


def _all_shown(peaks: Int64Array, segments: Spans) -> tuple[float, float]:
    """From the first to the last segment that is the most alike of any window, int64 (n,)."""
    chosen = np.unique(peaks)
    return float(segments.starts[chosen].min()), float(segments.ends[chosen].max())


def _offsets(query: Float64Array, ref: Float64Array, tempo: float, segments: Spans) -> list[float]:
    """Where a line of this tempo may lie: whole on whole first, then where windows seem to be."""
    apart = ref - tempo * query
    bins, counts = np.unique(np.round(apart / _OFFSET_STEP), return_counts=True)
    common = bins[np.argsort(-counts, kind="stable")][:_OFFSETS_TRIED] * _OFFSET_STEP
    return [
        float(segments.starts[0]),
        float(segments.ends[-1] - tempo * (query[-1] + query[0])),
        float(np.median(apart)),
        *common.tolist(),
    ]
