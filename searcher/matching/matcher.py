"""Matching a query: retrieve, align, score, decide."""

from __future__ import annotations

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import QueryEmbedding
from searcher.index.state import EVERYTHING, Banks, Filter, VideoSegments
from searcher.matching.alignment import Aligner, align
from searcher.matching.calibration import Calibration
from searcher.matching.candidates import Candidate, Evidence
from searcher.matching.frame_similarity import QueryFrames
from searcher.matching.indexed_query import known_pieces
from searcher.matching.match_report import Answer, MatchReport, Means
from searcher.matching.piece_findings import FramesOf
from searcher.matching.policy import Policies
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import Asked
from searcher.matching.retrieval import retrieve
from searcher.storage.video_store import Video

__all__ = ["MatchReport", "Matcher"]


class Matcher:
    """Matches queries against one index with one profile's calibration. Thread-safe."""

    def __init__(
        self,
        index: SegmentIndex,
        model_id: str,
        calibration: Calibration,
        policies: Policies,
        aligner: Aligner = align,
        *,
        by_frames: bool = True,
    ) -> None:
        """aligner: how runs are found; another than `align` is for comparison. by_frames: whether frames
        tell the ranges where there are some, or segments always."""
        self._means = Means(index, model_id, calibration, policies, aligner, by_frames)

    def begin(
        self, only: Filter = EVERYTHING, cancellation: Cancellation = NEVER_CANCELLED
    ) -> Answer:
        """An answer that takes a query piece by piece."""
        return Answer(self._means, only, cancellation)

    def match(
        self,
        query: QueryEmbedding,
        only: Filter = EVERYTHING,
        *,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """Every candidate with its probability, best first.

        Raises ModelMismatchError for a query embedded by another model than the index was,
        CancelledError.
        """
        answer = self.begin(only, cancellation)
        answer.add(query)
        return answer.report()

    def match_video(
        self,
        video: Video,
        banks: Banks = None,
        *,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """The same for a video of the index, asked of the others by what the index holds of it."""
        segments = self._means.index.vectors_of(video.video_id)
        answer = self.begin(Filter(banks, video.video_id), cancellation)
        for piece, shown in known_pieces(video, segments, self._means.model_id):
            answer.add_seen(piece, Asked.of(piece), _held(shown, piece.duration_seconds))
        return answer.report()

    def evidence(
        self, query: QueryEmbedding, only: Filter = EVERYTHING, *, best_of_view: int = 0
    ) -> dict[str, list[Evidence]]:
        """What speaks for each video worth a look, through the views that show it best; best_of_view: and
        for so many videos that each view shows best. For fitting: it holds all candidates at once."""
        means, asked = self._means, Asked.of(query)
        found = retrieve(asked, means.index, means.calibration, only)
        candidates = []
        for video_id in found.candidates:
            segments = means.index.vectors_of(video_id)
            if segments.refs:
                candidates.append(Candidate.of(asked, segments, found.strangers, means.calibration))
        peaks = np.array([one.peaks for one in candidates]).reshape(
            len(candidates), len(query.views)
        )
        best = np.argsort(-peaks, axis=0, kind="stable")[:best_of_view]
        gathered: dict[str, list[Evidence]] = {}
        for number, candidate in enumerate(candidates):
            views = {*candidate.promising.tolist(), *np.flatnonzero((best == number).any(axis=0))}
            for view in sorted(views):
                one = candidate.through(
                    view, asked, found.strangers, means.calibration, means.aligner
                )
                if one is not None:
                    gathered.setdefault(one.video_id, []).append(one)
        return gathered


def _held(segments: VideoSegments, duration_seconds: float) -> FramesOf:
    """The frames that the index holds, whatever the view."""
    frames = QueryFrames.of_video(segments, duration_seconds)
    return lambda view: frames
