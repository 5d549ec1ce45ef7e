"""Lines through similarities: one tempo and one offset lead from the query's time to the reference's."""

from __future__ import annotations

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array

# Seconds of the reference in one of the query; -1 runs backwards.
TEMPI = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0, -1.0])
# What another tempo, or running backwards, must add to the mean similarity before it is believed.
_TEMPO_PRICE, _BACKWARDS_PRICE = 0.02, 0.04
_PLACES_AT_ONCE = 1 << 18


def price(tempo: float) -> float:
    """What a tempo costs."""
    return _TEMPO_PRICE * (tempo != 1.0) + _BACKWARDS_PRICE * (tempo < 0)


def along(
    similarity: Float32Array,
    at: Float64Array,
    times: Float64Array,
    inside: BoolArray,
    rows: Int64Array | None = None,
) -> Float64Array:
    """float64 (k,): mean similarity along each of k lines, between columns and zero outside.

    similarity: float32 (n, S), of columns that lie at times, float64 (S,), increasing; at: float64 (k,
    n), where each line is in the reference; inside: bool (k, n), where that is in it at all. rows: int64
    (n,), where similarity has others too.
    """
    rows = np.arange(len(similarity)) if rows is None else rows
    mean = np.zeros(len(at))
    # A few lines at a time: there are as many as a reference has frames.
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


def bounded(first: float, last: float, end_seconds: float) -> tuple[float, float]:
    """Start and end of a range between two times in either order, not empty, in [0, end_seconds]."""
    low, high = min(first, last), max(first, last)
    start = min(max(low, 0.0), end_seconds - 1e-3)
    return start, min(max(high, start + 1e-3), end_seconds)
