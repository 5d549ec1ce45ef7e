"""Matching a query: retrieve, align, score, decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import ModelMismatchError
from common.types import Float32Array, Match, QueryEmbedding, SegmentRef
from searcher.matching.alignment import Run, Spans, align
from searcher.matching.base import SegmentIndex
from searcher.matching.calibration import Calibration
from searcher.matching.policy import Decision, Policy, strongest
from searcher.matching.retrieval import retrieve
from searcher.state import EVERYTHING, Filter

# Runs of one video after its best are further copies only when they are as good as this share of it.
_FURTHER_SHARE = 0.8
# The query's background is the mean score of this many strangers, when there are so many.
_MIN_STRANGERS = 6


@dataclass(frozen=True, slots=True)
class MatchReport:
    """The answer to one query: every candidate, best first, and the decision on each.

    `reason` says why a query could not match anything; it is empty otherwise.
    """

    uri: str
    duration_seconds: float
    model_id: str
    matches: tuple[Match, ...]
    decisions: tuple[Decision, ...]
    reason: str = ""

    @property
    def decision(self) -> Decision:
        """The strongest of the matches' decisions."""
        return strongest(self.decisions)

    @property
    def probability(self) -> float:
        """The highest of the matches' probabilities; 0 when there are none."""
        return max((match.probability for match in self.matches), default=0.0)


@dataclass(frozen=True, slots=True)
class _Scored:
    """The runs of one video through its best view. `priced`: best score less the view's price."""

    refs: list[SegmentRef]
    view: str
    runs: list[Run]
    priced: float


class Matcher:
    """Matches queries against one index with one profile's calibration. Thread-safe."""

    def __init__(
        self, index: SegmentIndex, model_id: str, calibration: Calibration, policy: Policy
    ) -> None:
        self._index = index
        self._model_id = model_id
        self._calibration = calibration
        self._policy = policy

    def match(self, query: QueryEmbedding, only: Filter = EVERYTHING) -> MatchReport:
        """Every candidate with its probability, best first.

        Raises ModelMismatchError for a query embedded by another model than the index was.
        """
        if query.model_id != self._model_id:
            raise ModelMismatchError(
                f"the query was embedded with {query.model_id}, the index with {self._model_id}"
            )
        if not query.informative.any():
            return self._report(query, [], "no frame of the query shows anything to recognise")
        scored = [
            one
            for video_id in retrieve(query, self._index, only)
            if (one := self._score(query, video_id)) is not None
        ]
        lift = self._background_lift([one.priced for one in scored])
        matches = [match for one in scored for match in self._matches(query, one, lift)]
        return self._report(query, matches, "")

    def _report(self, query: QueryEmbedding, matches: list[Match], reason: str) -> MatchReport:
        matches.sort(key=lambda match: (-match.probability, -match.score, match.video_id))
        return MatchReport(
            query.uri,
            query.duration_seconds,
            query.model_id,
            tuple(matches),
            tuple(self._policy.decide(match.probability) for match in matches),
            reason,
        )

    def _score(self, query: QueryEmbedding, video_id: str) -> _Scored | None:
        """A video seen through the view that shows it best."""
        refs, vectors = self._index.vectors_of(video_id)
        if not refs:
            return None
        windows = Spans(query.window_start_seconds, query.window_end_seconds)
        segments = _segments(refs)
        best: _Scored | None = None
        for number, view in enumerate(query.views):
            similarity: Float32Array = query.vectors[number] @ vectors.T
            runs = align(
                similarity, query.informative[number], windows, segments, self._calibration.floor
            )
            if not runs:
                continue
            priced = runs[0].score - self._calibration.view_prices.get(view, 0.0)
            if best is None or priced > best.priced:
                best = _Scored(refs, view, runs, priced)
        return best

    def _background_lift(self, scores: Sequence[float]) -> float:
        """By how much this query's strangers score above what strangers usually do."""
        strangers = [score for score in scores if score < self._calibration.midpoint]
        if len(strangers) < _MIN_STRANGERS:
            return 0.0
        return max(0.0, float(np.mean(strangers)) - self._calibration.background)

    def _matches(self, query: QueryEmbedding, scored: _Scored, lift: float) -> list[Match]:
        price = self._calibration.view_prices.get(scored.view, 0.0)
        kept = [run for run in scored.runs if run.score >= _FURTHER_SHARE * scored.runs[0].score]
        matches = []
        for run in kept:
            excess = run.score - price - lift
            matches.append(
                Match(
                    video_id=scored.refs[0].video_id,
                    bank=scored.refs[0].bank,
                    query_start_seconds=run.query_start_seconds,
                    query_end_seconds=run.query_end_seconds,
                    ref_start_seconds=run.ref_start_seconds,
                    ref_end_seconds=run.ref_end_seconds,
                    score=run.score,
                    probability=self._calibration.probability(excess),
                    view=scored.view,
                    coverage=min(
                        1.0,
                        (run.query_end_seconds - run.query_start_seconds) / query.duration_seconds,
                    ),
                    evidence=self._evidence(query, scored.refs, run, price, lift),
                )
            )
        return matches

    def _evidence(
        self, query: QueryEmbedding, refs: list[SegmentRef], run: Run, price: float, lift: float
    ) -> dict[str, object]:
        """Why the probability is what it is, as JSON values."""
        return {
            "similarity": round(run.score, 4),
            "view_price": price,
            "background_lift": round(lift, 4),
            "tempo": run.tempo,
            "pairs": [
                {
                    "query_start_seconds": round(float(query.window_start_seconds[window]), 3),
                    "query_end_seconds": round(float(query.window_end_seconds[window]), 3),
                    "segment_id": refs[segment].segment_id,
                    "similarity": round(similarity, 4),
                }
                for window, segment, similarity in run.pairs
            ],
            "calibration": self._calibration.version,
            "copy_probability": self._policy.copy_probability,
            "review_probability": self._policy.review_probability,
        }


def _segments(refs: list[SegmentRef]) -> Spans:
    return Spans(
        np.array([ref.start_seconds for ref in refs]), np.array([ref.end_seconds for ref in refs])
    )
