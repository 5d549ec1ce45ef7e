"""Builds the match report of one query, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import ModelMismatchError
from common.tracing import step
from common.types import VECTOR_DIMENSION, Match, QueryEmbedding
from searcher.index.state import Filter
from searcher.matching.alignment.alignment import align
from searcher.matching.alignment.run import Aligner
from searcher.matching.localisation.frame_similarity import QueryFrames
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import QueryWindows
from searcher.matching.report.match_report import MatchReport
from searcher.matching.report.row_choice import FURTHER_SHARE
from searcher.matching.report.run_matches import FramesOf, RunMatch
from searcher.matching.report.run_merge import best_of, merge_runs
from searcher.matching.report.video_rows import VideoRows
from searcher.matching.retrieval.candidate_order import MAX_CANDIDATES
from searcher.matching.retrieval.retrieval import retrieve
from searcher.matching.scoring.boilerplate import (
    FREE_VIDEOS,
    SharedRun,
    boilerplate_weight,
    document_frequencies,
)
from searcher.matching.scoring.calibration import Calibration, probability_of
from searcher.matching.scoring.candidates import Candidate
from searcher.matching.scoring.policy import Policies

# Maximum number of matches kept between two pieces of a long query, about 2 kB each.
_MAX_RUN_MATCHES = 4000


@dataclass(frozen=True, slots=True)
class MatcherConfig:
    """The constants of a report builder. aligner: finds the runs. by_frames: whether ranges are refined
    with frame codes. most_candidates: maximum number of candidates that may match, per piece."""

    index: SegmentIndex
    model_id: str
    calibration: Calibration
    policies: Policies
    aligner: Aligner = align
    by_frames: bool = True
    most_candidates: int = MAX_CANDIDATES


class ReportBuilder:
    """Takes the pieces of a query in order and keeps only their matches."""

    def __init__(
        self, config: MatcherConfig, only: Filter, cancellation: Cancellation = NEVER_CANCELLED
    ) -> None:
        self._config = config
        self._only = only
        self._cancellation = cancellation
        self._run_matches: list[RunMatch] = []
        self._first: QueryEmbedding | None = None
        self._shows_something = False
        self._truncated = ""

    def add(self, *passes: QueryEmbedding) -> None:
        """Add one piece of the query. passes: its embeddings, one per pass, over the same windows.

        Raises ModelMismatchError if query and index have different models, CancelledError.
        """
        query_windows = QueryWindows.of(*passes)

        @cache
        def frames_of(view: str) -> QueryFrames:
            return QueryFrames.of_view(
                query_windows, [one.name for one in query_windows.views].index(view)
            )

        self.add_windows(passes[0], query_windows, frames_of)

    @step("compare with the catalogue")
    def add_windows(
        self, piece: QueryEmbedding, query_windows: QueryWindows, frames_of: FramesOf
    ) -> None:
        """As `add`, with query windows and frames from the caller. Raises the same errors."""
        config = self._config
        if piece.model_id != config.model_id:
            raise ModelMismatchError(
                f"the query was embedded with {piece.model_id}, the index with {config.model_id}"
            )
        self._first = self._first or _without_windows(piece)
        # A query without information, such as a black video, matches nothing.
        if not query_windows.shows_something:
            return
        self._shows_something = True
        retrieval = retrieve(
            query_windows,
            config.index,
            config.calibration,
            self._only,
            self._cancellation,
            config.policies.least_probability,
            config.most_candidates,
        )
        self._truncated = self._truncated or retrieval.truncated
        rows = VideoRows(
            *(query_windows, piece.number, retrieval, config.calibration, config.aligner),
            frames_of if config.by_frames else None,
        )
        for video_id in retrieval.candidates:
            # One candidate at a time, because its size grows with the length of the video.
            self._cancellation.check()
            segments = config.index.vectors_of(video_id)
            if not segments.refs:
                continue
            candidate = Candidate.of(
                query_windows, segments, retrieval.backgrounds, config.calibration
            )
            self._run_matches += rows.of(candidate)
        merged = merge_runs(self._run_matches)
        self._run_matches = best_of(merged, _MAX_RUN_MATCHES)
        if len(merged) > _MAX_RUN_MATCHES:
            self._truncated = (
                f"there are more than {_MAX_RUN_MATCHES:,} matches; the best were kept"
            )

    def report(self) -> MatchReport:
        """The report. Raises ValueError if no piece was added."""
        if self._first is None:
            raise ValueError("report: expected a piece of the query before it")
        if not self._shows_something:
            return self._report([], "no frame of the query shows anything to recognise")
        best: dict[str, RunMatch] = {}
        for run_match in self._run_matches:
            strongest = best.setdefault(run_match.video_id, run_match)
            if run_match.run.score > strongest.run.score:
                best[run_match.video_id] = run_match
        frequency = self._frequencies(best)
        matches = [
            self._match(run_match, frequency.get(run_match.video_id, 1))
            for run_match in self._run_matches
            if run_match.run.score >= FURTHER_SHARE * best[run_match.video_id].run.score
            or run_match.is_copy(self._config.calibration)
        ]
        return self._report(matches, "")

    def _report(self, matches: list[Match], reason: str) -> MatchReport:
        query = self._query
        # Each piece of a long query has its own non-matches, so their number is limited again.
        return MatchReport(
            *(query.uri, query.duration_seconds, query.model_id, (), (), reason),
            *(query.damaged, self._truncated),
        ).with_matches(matches, self._config.policies)

    @property
    def _query(self) -> QueryEmbedding:
        if self._first is None:
            raise ValueError("expected a piece of the query")
        return self._first

    def _frequencies(self, best: Mapping[str, RunMatch]) -> Mapping[str, int]:
        """For each video: how many different videos share its part of the query."""
        probable = [one for one in best.values() if self._is_probable(one)]
        if len(probable) <= FREE_VIDEOS:
            return {}
        shared: dict[str, SharedRun] = {}
        for one in probable:
            self._cancellation.check()
            segments = self._config.index.vectors_of(one.video_id)
            if segments.refs:
                shared[one.video_id] = SharedRun.of(one.run, segments)
        frequencies = document_frequencies(
            list(shared.values()), self._query.duration_seconds, self._config.calibration.certain
        )
        return dict(zip(shared, frequencies, strict=True))

    def _is_probable(self, one: RunMatch) -> bool:
        """Whether a run would at least go to review if no other video shared it."""
        calibration = self._config.calibration
        least = self._config.policies.of(one.bank).review_probability
        return (
            one.run.score >= calibration.certain or probability_of(one.logit(calibration)) >= least
        )

    def _match(self, run_match: RunMatch, frequency: int) -> Match:
        localised = run_match.localised
        probability = probability_of(run_match.logit(self._config.calibration))
        if run_match.time.is_one_picture:
            probability = min(probability, self._config.policies.of(run_match.bank).review_limit)
        return Match(
            video_id=run_match.video_id,
            bank=run_match.bank,
            query_start_seconds=localised.query_start_seconds,
            query_end_seconds=localised.query_end_seconds,
            ref_start_seconds=localised.ref_start_seconds,
            ref_end_seconds=localised.ref_end_seconds,
            score=run_match.run.score,
            probability=boilerplate_weight(frequency) * probability,
            view=run_match.view,
            coverage=min(1.0, localised.seconds / self._query.duration_seconds),
            range_confidence=run_match.place.confidence,
            evidence=self._evidence_json(run_match, frequency),
        )

    def _evidence_json(self, run_match: RunMatch, frequency: int) -> dict[str, object]:
        """The terms of the probability, as JSON values."""
        calibration = self._config.calibration
        policy = self._config.policies.of(run_match.bank)
        return {
            "similarity": round(run_match.run.score, 4),
            "view_price": calibration.view_offset(run_match.view),
            "background_lift": round(
                calibration.background_shift(run_match.view, run_match.background), 4
            ),
            "false_positive_rate": None
            if run_match.chance is None
            else float(f"{run_match.chance:.3g}"),
            "document_frequency": frequency,
            "tempo": run_match.localised.tempo,
            "static_scene": run_match.time.static,
            "limited_by": "static_scene" if run_match.time.is_one_picture else None,
            "time_support": None
            if run_match.time.support is None
            else round(run_match.time.support, 3),
            "pairs": [
                {
                    "query_start_seconds": round(pair.query_start_seconds, 3),
                    "query_end_seconds": round(pair.query_end_seconds, 3),
                    "segment_id": pair.segment_id,
                    "similarity": round(pair.similarity, 4),
                }
                for pair in run_match.pairs
            ],
            "model_id": self._config.model_id,
            "calibration": calibration.version,
            "copy_probability": policy.copy_probability,
            "review_probability": policy.review_probability,
        }


def _without_windows(piece: QueryEmbedding) -> QueryEmbedding:
    """The piece without windows; it only describes the complete query."""
    return replace(
        piece,
        views=(),
        window_start_seconds=np.zeros(0),
        window_end_seconds=np.zeros(0),
        vectors=np.zeros((0, 0, VECTOR_DIMENSION), dtype=np.float32),
        informative=np.zeros((0, 0), dtype=bool),
    )
