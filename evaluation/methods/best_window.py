"""Instead of alignment: the single most similar window. It shows what alignment contributes."""

from __future__ import annotations

import numpy as np

from common.types import BoolArray, Float32Array
from searcher.matching.alignment.run import Run, Spans


def best_window(
    similarity: Float32Array,
    usable: BoolArray,
    windows: Spans,
    segments: Spans,
    background_similarity: float,
) -> list[Run]:
    """As `align`, but with only the single best window."""
    if not usable.any() or not similarity.shape[1]:
        return []
    usable_only = np.where(usable[:, None], similarity, -np.inf)
    window, segment = np.unravel_index(int(np.argmax(usable_only)), usable_only.shape)
    score = float(usable_only[window, segment])
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
