"""Why a video may be in a query: the runs of one through each view, and what speaks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array, QueryEmbedding, SegmentRef
from searcher.matching.alignment import Aligner, Run, Spans
from searcher.matching.boilerplate import Shared
from searcher.matching.calibration import Calibration, Strangers
from searcher.matching.retrieval import searched
from searcher.state import VideoSegments

# A view is looked into when its best window is not further than this below the best view's.
_NEAR = 0.1


@dataclass(frozen=True, slots=True)
class Evidence:
    """One video through one view.

    segments: the video's. runs: best first. strangers: those of the query, through this view.
    """

    segments: VideoSegments
    view: str
    strangers: Strangers
    runs: tuple[Run, ...]

    @property
    def video_id(self) -> str:
        """Of the video."""
        return self.segments.refs[0].video_id

    @property
    def bank(self) -> str:
        """The video's."""
        return self.segments.refs[0].bank

    @property
    def shared(self) -> Shared:
        """The best run, for comparison with those of other videos."""
        spans = _spans(self.segments.refs)
        return Shared(self.runs[0], spans.starts, spans.ends, self.segments.vectors)

    def logit(self, calibration: Calibration, run: Run | None = None) -> float:
        """Of the best run, or of another, being a copy."""
        chosen = run or self.runs[0]
        excess = calibration.excess(chosen.score, self.view, self.strangers)
        return calibration.logit(excess, chosen.seconds)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A video beside a query. similarity: float32 (V, W, S) of every window through every view to every
    segment; peaks: float64 (V,), the priced score of the best window through each view."""

    segments: VideoSegments
    similarity: Float32Array
    peaks: Float64Array

    @classmethod
    def of(
        cls,
        query: QueryEmbedding,
        segments: VideoSegments,
        strangers: Mapping[str, Strangers],
        calibration: Calibration,
    ) -> Candidate:
        """segments: at least one."""
        similarity: Float32Array = query.vectors @ segments.vectors.T
        long = searched(query.window_end_seconds - query.window_start_seconds)
        peaks = [
            calibration.excess(
                float(similarity[number][query.informative[number] & long].max(initial=-1.0)),
                view,
                strangers.get(view, Strangers()),
            )
            for number, view in enumerate(query.views)
        ]
        return cls(segments, similarity, np.array(peaks))

    @property
    def promising(self) -> Int64Array:
        """The views that are not far from the best one."""
        return np.flatnonzero(self.peaks >= self.peaks.max(initial=-2.0) - _NEAR)

    def through(
        self,
        view: int,
        query: QueryEmbedding,
        strangers: Mapping[str, Strangers],
        calibration: Calibration,
        aligner: Aligner,
    ) -> Evidence | None:
        """What speaks for it through one view, by number; None where that shows nothing."""
        name = query.views[view]
        around = strangers.get(name, Strangers())
        runs = aligner(
            self.similarity[view],
            query.informative[view],
            Spans(query.window_start_seconds, query.window_end_seconds),
            _spans(self.segments.refs),
            calibration.usual(name) + calibration.lift(name, around),
        )
        return Evidence(self.segments, name, around, tuple(runs)) if runs else None


def _spans(refs: Sequence[SegmentRef]) -> Spans:
    return Spans(
        np.array([ref.start_seconds for ref in refs]), np.array([ref.end_seconds for ref in refs])
    )
