"""Alignment: runs of query windows that follow the reference in time.

A window vector is a mean of unit vectors. If half of the window lies in the copied part, its
similarity is cos 45 degrees of the peak. So windows above that share of the run's peak are at least
half inside, and the copy begins and ends at the *centres* of the first and the last of them.
"""

from __future__ import annotations

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array
from searcher.matching.alignment.line_fit import fit_line
from searcher.matching.alignment.locating_windows import LocatingWindows
from searcher.matching.alignment.peaks import BEST_WINDOWS, Peaks
from searcher.matching.alignment.run import Run, Spans
from searcher.matching.alignment.temporal_fit import ordered_range

# Slightly above cos 45 degrees, because noise raises the similarity of a half-covered window.
_EDGE_SHARE = 0.74
# A new run starts when the steps in reference time and in query time differ by more than this.
MAX_JUMP_SECONDS = 6.0


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
    located = LocatingWindows.of(windows, usable)
    peaks = Peaks.of(similarity, usable)
    best = peaks.values[located.rows]
    ref_times = peaks.reference_times(similarity, located.rows, segments)
    inside = best >= edge_of(best, background_similarity, frames=located.frames)
    if not inside.any():
        inside[int(np.argmax(best))] = True
    split = runs_of(np.flatnonzero(inside), located.times, ref_times, located.max_gap_seconds)
    runs = [
        _run(members, located, ref_times, similarity, peaks, usable, windows, segments)
        for members in split
    ]
    return sorted(runs, key=lambda run: -run.score)


def edge_of(best: Float32Array, background_similarity: float, *, frames: bool) -> float:
    """The similarity of a window centred on the edge of a copy.

    A single frame is inside a copy or not, so the edge is half-way between copies and non-matches.
    A longer window may be half inside.
    """
    peak = float(np.mean(np.sort(best)[-BEST_WINDOWS:]))
    if frames:
        return (peak + min(background_similarity, peak)) / 2
    return _EDGE_SHARE * peak


def runs_of(
    inside: Int64Array, times: Float64Array, ref_times: Float64Array, max_gap_seconds: float
) -> list[Int64Array]:
    """Indices of `inside`, split where time jumps in the query or in the reference."""
    query_step = np.diff(times[inside])
    ref_step = np.diff(ref_times[inside])
    jumps = (query_step > max_gap_seconds) | (np.abs(ref_step - query_step) > MAX_JUMP_SECONDS)
    return np.split(inside, np.flatnonzero(jumps) + 1)


def _run(
    members: Int64Array,
    located: LocatingWindows,
    ref_times: Float64Array,
    similarity: Float32Array,
    peaks: Peaks,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
) -> Run:
    """members: int64 (m,), indices of `located.rows`. ref_times: float64 (n,), of the same rows."""
    start, end = located.query_range(members, windows)
    rows = located.rows[members]
    line = fit_line(located.times[members], ref_times[members], similarity, rows, peaks, segments)
    if line is None:
        tempo, ref_start, ref_end = None, *_segment_range(peaks.segments[rows], segments)
    else:
        tempo, offset = line
        ref_start, ref_end = ordered_range(
            tempo * start + offset, tempo * end + offset, float(segments.ends[-1])
        )
    # Every usable window inside the run counts towards its score, including the long ones.
    within = usable & (windows.starts >= start - 0.3) & (windows.ends <= end + 0.3)
    pairs = peaks.best_pairs(np.flatnonzero(within) if within.any() else rows)
    return Run(
        query_start_seconds=start,
        query_end_seconds=end,
        ref_start_seconds=float(ref_start),
        ref_end_seconds=float(ref_end),
        score=float(np.mean([pair[2] for pair in pairs])),
        tempo=tempo,
        pairs=pairs,
        gap_seconds=located.max_gap_seconds,
    )


def _segment_range(peaks: Int64Array, segments: Spans) -> tuple[float, float]:
    """Range in seconds from the first to the last of the segments in `peaks`, int64 (n,)."""
    chosen = np.unique(peaks)
    return float(segments.starts[chosen].min()), float(segments.ends[chosen].max())
