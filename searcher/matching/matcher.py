"""Matches a query: retrieves candidates, aligns and scores them, and decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import QueryEmbedding
from searcher.index.state import EVERYTHING, Banks, Filter, VideoSegments
from searcher.matching.alignment.alignment import align
from searcher.matching.alignment.run import Aligner
from searcher.matching.indexed_query import indexed_query_pieces
from searcher.matching.localisation.frame_similarity import QueryFrames
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import QueryWindows
from searcher.matching.report.match_report import MatchReport
from searcher.matching.report.report_builder import MatcherConfig, ReportBuilder
from searcher.matching.report.run_matches import FramesOf
from searcher.matching.retrieval.candidate_order import MAX_CANDIDATES
from searcher.matching.retrieval.retrieval import retrieve
from searcher.matching.scoring.calibration import Calibration
from searcher.matching.scoring.candidates import Candidate, Evidence
from searcher.matching.scoring.policy import Policies
from searcher.storage.video import Video

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
        """aligner: finds the runs; functions other than `align` are for comparison. by_frames: whether
        ranges are refined with frame codes."""
        self._config = MatcherConfig(index, model_id, calibration, policies, aligner, by_frames)

    @property
    def policies(self) -> Policies:
        """The policies that decide."""
        return self._config.policies

    @property
    def calibration(self) -> Calibration:
        """What turns similarities into probabilities."""
        return self._config.calibration

    def under(self, policies: Policies) -> Matcher:
        """The same with other policies."""
        config = self._config
        return Matcher(
            *(config.index, config.model_id, config.calibration, policies, config.aligner),
            by_frames=config.by_frames,
        )

    def begin(
        self, only: Filter = EVERYTHING, cancellation: Cancellation = NEVER_CANCELLED
    ) -> ReportBuilder:
        """A report builder, to which the pieces of a query are added."""
        return ReportBuilder(self._config, only, cancellation)

    def match(
        self,
        query: QueryEmbedding,
        only: Filter = EVERYTHING,
        *,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """Every candidate with its probability, best first.

        Raises ModelMismatchError if query and index have different models, CancelledError.
        """
        answer = self.begin(only, cancellation)
        answer.add(query)
        return answer.report()

    def match_video(
        self,
        video: Video,
        banks: Banks = None,
        *,
        without: frozenset[str] = frozenset(),
        without_banks: frozenset[str] = frozenset(),
        most_candidates: int = MAX_CANDIDATES,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> MatchReport:
        """Match an indexed video against the other videos, with its stored vectors.

        without, without_banks: further videos and banks to exclude. most_candidates: maximum number of
        candidates that may match, per piece. Raises CancelledError.
        """
        segments = self._config.index.vectors_of(video.video_id)
        only = Filter(banks, without | {video.video_id}, without_banks)
        config = replace(self._config, most_candidates=most_candidates)
        answer = ReportBuilder(config, only, cancellation)
        for piece, of_piece in indexed_query_pieces(video, segments, self._config.model_id):
            answer.add_windows(
                piece, QueryWindows.of(piece), _stored_frames(of_piece, piece.duration_seconds)
            )
        return answer.report()

    def evidence(
        self, query: QueryEmbedding, only: Filter = EVERYTHING, *, best_of_view: int = 0
    ) -> dict[str, list[Evidence]]:
        """The evidence of each candidate through its promising views, by video id. best_of_view: each
        view also includes this many of its best videos. For fitting only, because all candidates are in
        memory."""
        config, query_windows = self._config, QueryWindows.of(query)
        retrieval = retrieve(query_windows, config.index, config.calibration, only)
        candidates = []
        for video_id in retrieval.candidates:
            segments = config.index.vectors_of(video_id)
            if segments.refs:
                candidates.append(
                    Candidate.of(query_windows, segments, retrieval.backgrounds, config.calibration)
                )
        peaks = np.array([one.peaks for one in candidates]).reshape(
            len(candidates), len(query.views)
        )
        best = np.argsort(-peaks, axis=0, kind="stable")[:best_of_view]
        gathered: dict[str, list[Evidence]] = {}
        for number, candidate in enumerate(candidates):
            views = {
                *candidate.promising_views.tolist(),
                *np.flatnonzero((best == number).any(axis=0)),
            }
            for view in sorted(views):
                one = candidate.align_view(
                    view, query_windows, retrieval.backgrounds, config.calibration, config.aligner
                )
                if one is not None:
                    gathered.setdefault(one.video_id, []).append(one)
        return gathered


def _stored_frames(segments: VideoSegments, duration_seconds: float) -> FramesOf:
    """The stored frame codes; they are the same for every view."""
    frames = QueryFrames.of_video(segments, duration_seconds)
    return lambda view: frames
