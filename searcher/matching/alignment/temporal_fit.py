"""Temporal fit: lines (one tempo, one offset) from query time to reference time."""

from __future__ import annotations

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array

# Seconds of reference per second of query; -1 runs backwards.
TEMPI = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0, -1.0])
# Another tempo, or running backwards, must raise the mean similarity by more than this.
_TEMPO_PENALTY, _BACKWARDS_PENALTY = 0.02, 0.04
_PLACES_AT_ONCE = 1 << 18


def tempo_penalty(tempo: float) -> float:
    """What is subtracted from the mean similarity of a line with this tempo."""
    return _TEMPO_PENALTY * (tempo != 1.0) + _BACKWARDS_PENALTY * (tempo < 0)


def mean_along(
    similarity: Float32Array,
    at: Float64Array,
    times: Float64Array,
    inside: BoolArray,
    rows: Int64Array | None = None,
) -> Float64Array:
    """float64 (k,): mean similarity along each of k lines, interpolated between columns and zero outside.

    similarity: float32 (n, S); its columns are at `times`, float64 (S,), increasing. at: float64 (k, n),
    reference times of each line. inside: bool (k, n), whether that time is in the reference. rows: int64
    (n,), the rows of similarity that are used (default: all).
    """
    rows = np.arange(len(similarity)) if rows is None else rows
    mean = np.zeros(len(at))
    # A few lines at a time, because there are as many lines as reference frames.
    step = max(1, _PLACES_AT_ONCE // max(1, len(rows)))
    for first in range(0, len(at), step):
        some = slice(first, first + step)
        place = np.interp(at[some], times, np.arange(len(times)))
        low = np.minimum(place.astype(np.int64), len(times) - 1)
        high = np.minimum(low + 1, len(times) - 1)
        between = place - low
        value = (1 - between) * similarity[rows, low] + between * similarity[rows, high]
        mean[some] = np.where(inside[some], value, 0.0).mean(axis=1)
    return mean


def ordered_range(first: float, last: float, end_seconds: float) -> tuple[float, float]:
    """Start and end of the range between two times in any order, limited to [0, end_seconds] and not
    empty."""
    low, high = min(first, last), max(first, last)
    start = min(max(low, 0.0), end_seconds - 1e-3)
    return start, min(max(high, start + 1e-3), end_seconds)
