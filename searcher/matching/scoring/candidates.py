"""Candidates: the runs of one video through each view, with their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array, SegmentRef
from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Aligner, Run, Spans
from searcher.matching.query_windows import QueryWindows, ViewWindows
from searcher.matching.scoring.calibration import BackgroundScores, Calibration, probability_of

# A view is aligned if its best window is at most this far below that of the best view.
_NEAR = 0.1
# Number of similarities computed at once to find the highest: 16 MB.
_PAIRS_AT_ONCE = 4 << 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """The runs of one video through one view.

    segments: those of the video. runs: best first. background: that of the query through this view.
    """

    segments: VideoSegments
    view: str
    background: BackgroundScores
    runs: tuple[Run, ...]

    @property
    def video_id(self) -> str:
        """Id of the video."""
        return self.segments.refs[0].video_id

    @property
    def bank(self) -> str:
        """Bank of the video."""
        return self.segments.refs[0].bank

    def logit(self, calibration: Calibration) -> float:
        """Log odds that the best run is a copy."""
        return run_logit(self.runs[0], self.view, self.background, calibration)

    def probability(self, run: Run, calibration: Calibration) -> float:
        """Probability that a run is a copy."""
        return probability_of(run_logit(run, self.view, self.background, calibration))

    def is_copy(self, run: Run, calibration: Calibration) -> bool:
        """Whether a run is a copy by itself, with the thresholds of the calibration."""
        return self.probability(run, calibration) >= calibration.copy_probability


def run_logit(run: Run, view: str, background: BackgroundScores, calibration: Calibration) -> float:
    """Log odds that a run through a view is a copy."""
    return calibration.logit(calibration.normalised_score(run.score, view, background), run.seconds)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A video that is compared with a query. peaks: float64 (V,), the normalised score of the best window
    through each view."""

    segments: VideoSegments
    peaks: Float64Array

    @classmethod
    def of(
        cls,
        query: QueryWindows,
        segments: VideoSegments,
        backgrounds: Mapping[str, BackgroundScores],
        calibration: Calibration,
    ) -> Candidate:
        """A candidate with its peaks. segments: those of the video, at least one."""
        peaks = [
            calibration.normalised_score(
                _highest(view.vectors[query.searched[view.windows]], segments.vectors),
                view.name,
                backgrounds.get(view.name, BackgroundScores()),
            )
            for view in query.views
        ]
        return cls(segments, np.array(peaks))

    @property
    def promising_views(self) -> Int64Array:
        """int64 (n,): numbers of the views that are close to the best one."""
        return np.flatnonzero(self._promising())

    def copy_views(self, calibration: Calibration) -> Int64Array:
        """int64 (n,): numbers of the other views through which the video may be a copy all the same: the
        query may show one part of it as it is, and another part edited."""
        copies = [
            calibration.probability(peak, np.inf) >= calibration.copy_probability
            for peak in self.peaks.tolist()
        ]
        return np.flatnonzero(np.array(copies, dtype=bool) & ~self._promising())

    def _promising(self) -> BoolArray:
        """bool (V,)."""
        promising: BoolArray = self.peaks >= self.peaks.max(initial=-2.0) - _NEAR
        return promising

    def align_view(
        self,
        view: int,
        query: QueryWindows,
        backgrounds: Mapping[str, BackgroundScores],
        calibration: Calibration,
        aligner: Aligner,
    ) -> Evidence | None:
        """The evidence through one view, given by number; None if no window of it is usable."""
        view_windows = query.views[view]
        background = backgrounds.get(view_windows.name, BackgroundScores())
        count = len(query.windows.starts)
        runs = aligner(
            self._similarity(view_windows, count),
            view_windows.mask(count),
            query.windows,
            _spans(self.segments.refs),
            calibration.background_mean(view_windows.name)
            + calibration.background_shift(view_windows.name, background),
        )
        return Evidence(self.segments, view_windows.name, background, tuple(runs)) if runs else None

    def _similarity(self, view_windows: ViewWindows, count: int) -> Float32Array:
        """float32 (W, S): similarity of windows to segments; zero for windows without information in this
        view."""
        if len(view_windows.windows) == count:
            whole: Float32Array = view_windows.vectors @ self.segments.vectors.T
            return whole
        similarity = np.zeros((count, len(self.segments.refs)), dtype=np.float32)
        step = max(1, _PAIRS_AT_ONCE // max(1, len(self.segments.refs)))
        for first in range(0, len(view_windows.windows), step):
            some = slice(first, first + step)
            similarity[view_windows.windows[some]] = (
                view_windows.vectors[some] @ self.segments.vectors.T
            )
        return similarity


def _highest(vectors: Float32Array, segments: Float32Array) -> float:
    """The highest inner product of vectors, float32 (n, 527), and segments, float32 (S, 527); -1 if there
    are no vectors."""
    step = max(1, _PAIRS_AT_ONCE // max(1, len(segments)))
    return max(
        (
            float((vectors[first : first + step] @ segments.T).max(initial=-1.0))
            for first in range(0, len(vectors), step)
        ),
        default=-1.0,
    )


def _spans(refs: Sequence[SegmentRef]) -> Spans:
    return Spans(
        np.array([ref.start_seconds for ref in refs]), np.array([ref.end_seconds for ref in refs])
    )
