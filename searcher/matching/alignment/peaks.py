"""Peaks: the segment that is most similar to each query window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array
from searcher.matching.alignment.run import Spans

# The score of a run is the mean of so many of its windows.
BEST_WINDOWS = 4
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Peaks:
    """segments: int64 (W,), the most similar segment per usable window, else 0; values: float32
    (W,), its similarity, else -inf."""

    segments: Int64Array
    values: Float32Array

    @classmethod
    def of(cls, similarity: Float32Array, usable: BoolArray) -> Peaks:
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

    def reference_times(
        self, similarity: Float32Array, rows: Int64Array, segments: Spans
    ) -> Float64Array:
        """float64 (n,): reference time of each window of `rows`, int64 (n,), interpolated between
        similar segments."""
        middle = (segments.starts + segments.ends) / 2
        peak, top = self.segments[rows], self.values[rows][:, None]
        near = peak[:, None] + np.array([-1, 0, 1])
        exists = (near >= 0) & (near < len(middle))
        near = near.clip(0, len(middle) - 1)
        weight = np.where(exists, np.maximum(similarity[rows[:, None], near] - 0.5 * top, 0.0), 0.0)
        total = weight.sum(axis=1)
        exact = (weight * middle[near]).sum(axis=1) / np.where(total > 0, total, 1)
        return np.where(total > 0, exact, middle[peak])

    def best_pairs(self, rows: Int64Array) -> tuple[tuple[int, int, float], ...]:
        """(window, segment, similarity) of the windows of `rows`, int64 (n,), that are most similar."""
        best = rows[np.argsort(-self.values[rows], kind="stable")[:BEST_WINDOWS]]
        return tuple((int(i), int(self.segments[i]), float(self.values[i])) for i in best)
