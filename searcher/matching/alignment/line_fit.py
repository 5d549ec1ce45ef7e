"""The line that a run follows: one tempo and one offset."""

from __future__ import annotations

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array
from searcher.matching.alignment.peaks import Peaks
from searcher.matching.alignment.run import Spans
from searcher.matching.alignment.temporal_fit import TEMPI, mean_along, tempo_penalty

# If windows are this much more similar to segments off the line than to those on it, there is no line.
OUT_OF_ORDER = 0.25
# Offsets tried per tempo: the most common ones, in steps of this many seconds.
_OFFSET_STEP, _OFFSETS_TRIED = 0.5, 5


def fit_line(
    query: Float64Array,
    ref: Float64Array,
    similarity: Float32Array,
    rows: Int64Array,
    peaks: Peaks,
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
    if float(peaks.values[rows].mean()) - best_value > OUT_OF_ORDER:
        return None
    return best


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
