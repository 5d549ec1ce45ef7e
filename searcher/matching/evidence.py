"""Why a video may be in a query: the runs of one through each view, and what speaks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array, QueryEmbedding, SegmentRef
from searcher.matching.alignment import Aligner, Run, Spans, align
from searcher.matching.boilerplate import Shared
from searcher.matching.calibration import Calibration, Strangers
from searcher.matching.retrieval import searched

# A view is looked into when its best window is not further than this below the best view's.
_NEAR = 0.1


@dataclass(frozen=True, slots=True)
class Evidence:
    """One video through one view.

    refs: the video's segments in time order; vectors: float32 (S, 527). runs: best first. strangers:
    those of the query, through this view.
    """

    refs: Sequence[SegmentRef]
    vectors: Float32Array
    view: str
    strangers: Strangers
    runs: tuple[Run, ...]

    @property
    def shared(self) -> Shared:
        """The best run, for comparison with those of other videos."""
        segments = _segments(self.refs)
        return Shared(self.runs[0], segments.starts, segments.ends, self.vectors)

    def logit(self, calibration: Calibration, run: Run | None = None) -> float:
        """Of the best run, or of another, being a copy."""
        chosen = run or self.runs[0]
        excess = calibration.excess(chosen.score, self.view, self.strangers)
        return calibration.logit(excess, chosen.seconds)


def gather(
    query: QueryEmbedding,
    refs: Sequence[SegmentRef],
    vectors: Float32Array,
    strangers: Mapping[str, Strangers],
    calibration: Calibration,
    aligner: Aligner = align,
    *,
    every_view: bool = False,
) -> list[Evidence]:
    """What speaks for one video, a value a view; views that are far from the best one are left out
    unless `every_view`. refs: in time order; vectors: float32 (S, 527)."""
    if not refs:
        return []
    windows = Spans(query.window_start_seconds, query.window_end_seconds)
    segments = _segments(refs)
    similarity: Float32Array = query.vectors @ vectors.T
    long = searched(windows.ends - windows.starts)
    peaks = [
        calibration.excess(
            float(similarity[number][query.informative[number] & long].max(initial=-1.0)),
            view,
            strangers.get(view, Strangers()),
        )
        for number, view in enumerate(query.views)
    ]
    best = max(peaks, default=-1.0)
    gathered = []
    for number, view in enumerate(query.views):
        if peaks[number] < best - _NEAR and not every_view:
            continue
        around = strangers.get(view, Strangers())
        level = calibration.usual(view) + calibration.lift(view, around)
        runs = aligner(similarity[number], query.informative[number], windows, segments, level)
        if runs:
            gathered.append(Evidence(refs, vectors, view, around, tuple(runs)))
    return gathered


def _segments(refs: Sequence[SegmentRef]) -> Spans:
    return Spans(
        np.array([ref.start_seconds for ref in refs]), np.array([ref.end_seconds for ref in refs])
    )
