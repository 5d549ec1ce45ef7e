"""The simplest implementation of alignment, with complete arrays. `align` must give the same results."""

from __future__ import annotations

import numpy as np

from common.types import SECOND_PASS_STEP_SECONDS, BoolArray, Float32Array, Float64Array, Int64Array
from searcher.matching.alignment import alignment, line_fit, locating_windows
from searcher.matching.alignment.locating_windows import LocatingWindows
from searcher.matching.alignment.peaks import BEST_WINDOWS
from searcher.matching.alignment.run import MAX_GAP_SECONDS, Run, Spans
from searcher.matching.alignment.temporal_fit import TEMPI, mean_along, ordered_range, tempo_penalty


def align(
    similarity: Float32Array,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
    background_similarity: float,
) -> list[Run]:
    """Runs where the query follows the reference, best first.

    similarity: float32 (W, S). usable: bool (W,), windows with information. background_similarity: mean
    similarity of windows of non-matches. Returns at least one run if any window is usable.
    """
    if not usable.any() or not similarity.shape[1]:
        return []
    fine = (
        usable
        if locating_windows.are_end_to_end(windows)
        else locating_windows.finest_of(windows, usable)
    )
    order = np.flatnonzero(fine)[np.argsort(windows.starts[fine], kind="stable")]
    best = similarity[order].max(axis=1)
    ref_times = _reference_times(similarity[order], segments)
    frames = locating_windows.are_frames(windows, order) or locating_windows.is_lone_frame(
        windows, usable
    )
    # A frame shows the moment at which its window starts.
    times = windows.starts[order] if frames else (windows.starts[order] + windows.ends[order]) / 2
    inside = best >= alignment.edge_of(best, background_similarity, frames=frames)
    if not inside.any():
        inside[int(np.argmax(best))] = True
    apart = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if len(times) == 1 and frames:
        apart = SECOND_PASS_STEP_SECONDS
    if frames:
        apart = min(apart, locating_windows.longest_step(windows))
    max_gap_seconds = max(MAX_GAP_SECONDS, locating_windows.MAX_GAP_WINDOWS * apart)
    located = LocatingWindows(order, times, frames, apart if frames else 0.0, max_gap_seconds)
    runs = [
        _run(members, located, ref_times, similarity, usable, windows, segments)
        for members in alignment.runs_of(np.flatnonzero(inside), times, ref_times, max_gap_seconds)
    ]
    return sorted(runs, key=lambda run: -run.score)


def _reference_times(similarity: Float32Array, segments: Spans) -> Float64Array:
    """float64 (W,): reference time of each window, interpolated between similar segments."""
    middle = (segments.starts + segments.ends) / 2
    rows = np.arange(len(similarity))
    peak = similarity.argmax(axis=1)
    near = np.abs(np.arange(similarity.shape[1])[None] - peak[:, None]) <= 1
    top = similarity[rows, peak][:, None]
    weight = np.where(near, np.maximum(similarity - 0.5 * top, 0.0), 0.0)
    total = weight.sum(axis=1)
    exact = (weight * middle).sum(axis=1) / np.where(total > 0, total, 1)
    return np.where(total > 0, exact, middle[peak])


def _run(
    members: Int64Array,
    located: LocatingWindows,
    ref_times: Float64Array,
    similarity: Float32Array,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
) -> Run:
    """The run of the windows `members`, indices of `located.rows`."""
    start, end = located.query_range(members, windows)
    rows = located.rows[members]
    shown = similarity[rows]
    line = _fit(located.times[members], ref_times[members], shown, segments)
    if line is None:
        tempo, ref_start, ref_end = None, *_all_shown(shown, segments)
    else:
        tempo, offset = line
        ref_start, ref_end = ordered_range(
            tempo * start + offset, tempo * end + offset, float(segments.ends[-1])
        )
    # Every usable window inside the run counts towards its score, including the long ones.
    within = usable & (windows.starts >= start - 0.3) & (windows.ends <= end + 0.3)
    vouching = np.flatnonzero(within) if within.any() else rows
    pairs = _best_pairs(similarity, vouching)
    return Run(
        query_start_seconds=float(start),
        query_end_seconds=float(end),
        ref_start_seconds=float(ref_start),
        ref_end_seconds=float(ref_end),
        score=float(np.mean([pair[2] for pair in pairs])),
        tempo=tempo,
        pairs=pairs,
    )


def _best_pairs(
    similarity: Float32Array, vouching: Int64Array
) -> tuple[tuple[int, int, float], ...]:
    peak = similarity[vouching].argmax(axis=1)
    value = similarity[vouching, peak]
    chosen = np.argsort(-value, kind="stable")[:BEST_WINDOWS]
    return tuple((int(vouching[i]), int(peak[i]), float(value[i])) for i in chosen)


def _fit(
    query: Float64Array, ref: Float64Array, similarity: Float32Array, segments: Spans
) -> tuple[float, float] | None:
    """Tempo and offset of the line ref = tempo * query + offset with the highest similarity; None if
    similarity is much higher off every line.

    query, ref: float64 (n,), times of the windows and their estimated reference times. similarity:
    float32 (n, S).
    """
    tempi = TEMPI if len(segments.starts) > 2 and len(query) > 4 else np.ones(1)
    middle = (segments.starts + segments.ends) / 2
    best, best_value = (1.0, float(np.median(ref - query))), -np.inf
    for tempo in tempi.tolist():
        offsets = line_fit.offsets_of(query, ref, tempo, segments)
        at = tempo * query[None] + np.array(offsets)[:, None]
        inside = (at >= segments.starts[0] - 1e-6) & (at < segments.ends[-1])
        values = mean_along(similarity, at, middle, inside) - tempo_penalty(tempo)
        for offset, value in zip(offsets, values.tolist(), strict=True):
            if value > best_value + 1e-6:
                best, best_value = (tempo, offset), value
    if float(similarity.max(axis=1).mean()) - best_value > line_fit.OUT_OF_ORDER:
        return None
    return best


def _all_shown(similarity: Float32Array, segments: Spans) -> tuple[float, float]:
    """Range from the first to the last of the segments that are most similar to a window. similarity: (n,
    S)."""
    chosen = np.unique(similarity.argmax(axis=1))
    return float(segments.starts[chosen].min()), float(segments.ends[chosen].max())
