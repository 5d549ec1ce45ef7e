"""The answer to one query, gathered piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import ModelMismatchError
from common.types import VECTOR_DIMENSION, Match, QueryEmbedding
from searcher.index.state import Filter
from searcher.matching.alignment import Aligner, align
from searcher.matching.boilerplate import FREE_VIDEOS, Shared, document_frequency, weight
from searcher.matching.calibration import Calibration, probability_of
from searcher.matching.candidates import Candidate, Evidence
from searcher.matching.frame_similarity import QueryFrames
from searcher.matching.piece_findings import FURTHER_SHARE, Finding, FramesOf, findings_of
from searcher.matching.policy import Decision, Policies, strongest
from searcher.matching.protocols import SegmentIndex
from searcher.matching.query_windows import Asked
from searcher.matching.retrieval import MAX_CANDIDATES, retrieve
from searcher.matching.run_merge import best_of, merged

# Findings of a long query that are kept between two pieces, some 2 kB each.
_MOST_FINDINGS = 4000


@dataclass(frozen=True, slots=True)
class MatchReport:
    """The answer to one query: every candidate, best first, and the decision on each.

    `reason` says why a query could not match anything, `damaged` what of it could not be decoded; both
    are empty otherwise.
    """

    uri: str
    duration_seconds: float
    model_id: str
    matches: tuple[Match, ...]
    decisions: tuple[Decision, ...]
    reason: str = ""
    damaged: str = ""

    @property
    def decision(self) -> Decision:
        """The strongest of the matches' decisions."""
        return strongest(self.decisions)

    @property
    def probability(self) -> float:
        """The highest of the matches' probabilities; 0 when there are none."""
        return max((match.probability for match in self.matches), default=0.0)


@dataclass(frozen=True, slots=True)
class Means:
    """What answers are made with. aligner: how runs are found; by_frames: whether frames tell the ranges
    where there are some, or segments always."""

    index: SegmentIndex
    model_id: str
    calibration: Calibration
    policies: Policies
    aligner: Aligner = align
    by_frames: bool = True


class Answer:
    """Takes the pieces of a query in their order, and holds of each only what was found."""

    def __init__(
        self, means: Means, only: Filter, cancellation: Cancellation = NEVER_CANCELLED
    ) -> None:
        self._means = means
        self._only = only
        self._cancellation = cancellation
        self._findings: list[Finding] = []
        self._first: QueryEmbedding | None = None
        self._shows_something = False

    def add(self, *looks: QueryEmbedding) -> None:
        """Take one piece, seen by one look or by several.

        Raises ModelMismatchError for a query embedded by another model than the index was,
        CancelledError.
        """
        asked = Asked.of(*looks)

        @cache
        def frames_of(view: str) -> QueryFrames:
            return QueryFrames.of_view(asked, [one.name for one in asked.views].index(view))

        self.add_seen(looks[0], asked, frames_of)

    def add_seen(self, piece: QueryEmbedding, asked: Asked, frames_of: FramesOf) -> None:
        """The same with what was asked made ready, and its frames through a view. Raises as `add`."""
        means = self._means
        if piece.model_id != means.model_id:
            raise ModelMismatchError(
                f"the query was embedded with {piece.model_id}, the index with {means.model_id}"
            )
        self._first = self._first or _without_windows(piece)
        # Where nothing shows anything, as in a black film, there is nothing to do.
        if not asked.shows_something:
            return
        self._shows_something = True
        found = retrieve(asked, means.index, means.calibration, self._only, self._cancellation)
        for video_id in found.candidates:
            # One at a time: each is as large as its video is long.
            self._cancellation.check()
            segments = means.index.vectors_of(video_id)
            if not segments.refs:
                continue
            candidate = Candidate.of(asked, segments, found.strangers, means.calibration)
            best = _best(
                [
                    candidate.through(
                        view, asked, found.strangers, means.calibration, means.aligner
                    )
                    for view in candidate.promising.tolist()
                ],
                means.calibration,
            )
            if best is not None:
                self._findings += findings_of(
                    best,
                    asked,
                    piece.number,
                    frames_of if means.by_frames else None,
                    means.calibration,
                )
        self._findings = best_of(merged(self._findings), _MOST_FINDINGS)

    def report(self) -> MatchReport:
        """The answer. Raises ValueError before the first piece."""
        if self._first is None:
            raise ValueError("report: expected a piece of the query before it")
        if not self._shows_something:
            return self._report([], "no frame of the query shows anything to recognise")
        best: dict[str, Finding] = {}
        for finding in self._findings:
            held = best.setdefault(finding.video_id, finding)
            if finding.run.score > held.run.score:
                best[finding.video_id] = finding
        frequency = self._frequencies(best)
        matches = [
            self._match(finding, frequency.get(finding.video_id, 1))
            for finding in self._findings
            if finding.run.score >= FURTHER_SHARE * best[finding.video_id].run.score
        ]
        return self._report(matches, "")

    def _report(self, matches: list[Match], reason: str) -> MatchReport:
        query = self._query
        matches.sort(key=lambda match: (-match.probability, -match.score, match.video_id))
        judged = [(match, self._means.policies.of(match.bank).decide(match)) for match in matches]
        # Each piece of a long query has strangers of its own.
        nearest = list(dict.fromkeys(match.video_id for match in matches))[:MAX_CANDIDATES]
        kept = [
            (match, decision)
            for match, decision in judged
            if decision != "no_match" or match.video_id in nearest
        ]
        return MatchReport(
            query.uri,
            query.duration_seconds,
            query.model_id,
            tuple(match for match, _ in kept),
            tuple(decision for _, decision in kept),
            reason,
            query.damaged,
        )

    @property
    def _query(self) -> QueryEmbedding:
        if self._first is None:
            raise ValueError("expected a piece of the query")
        return self._first

    def _frequencies(self, best: Mapping[str, Finding]) -> Mapping[str, int]:
        """How many different videos share what each video shares with the query."""
        alike = self._means.calibration.certain
        certain = {name: one for name, one in best.items() if one.run.score >= alike}
        if len(certain) <= FREE_VIDEOS:
            return {}
        shared: dict[str, Shared] = {}
        for name, one in certain.items():
            self._cancellation.check()
            segments = self._means.index.vectors_of(name)
            if segments.refs:
                shared[name] = Shared.of(one.run, segments)
        return {
            name: document_frequency(
                one,
                [other for key, other in shared.items() if key != name],
                self._query.duration_seconds,
                alike,
            )
            for name, one in shared.items()
        }

    def _match(self, finding: Finding, frequency: int) -> Match:
        shown = finding.shown
        logit = finding.logit(self._means.calibration)
        return Match(
            video_id=finding.video_id,
            bank=finding.bank,
            query_start_seconds=shown.query_start_seconds,
            query_end_seconds=shown.query_end_seconds,
            ref_start_seconds=shown.ref_start_seconds,
            ref_end_seconds=shown.ref_end_seconds,
            score=finding.run.score,
            probability=weight(frequency) * probability_of(logit),
            view=finding.view,
            coverage=min(1.0, shown.seconds / self._query.duration_seconds),
            evidence=self._explained(finding, frequency),
        )

    def _explained(self, finding: Finding, frequency: int) -> dict[str, object]:
        """Why the probability is what it is, as JSON values."""
        calibration = self._means.calibration
        policy = self._means.policies.of(finding.bank)
        return {
            "similarity": round(finding.run.score, 4),
            "view_price": calibration.price(finding.view),
            "background_lift": round(calibration.lift(finding.view, finding.strangers), 4),
            "document_frequency": frequency,
            "tempo": finding.shown.tempo,
            "pairs": [
                {
                    "query_start_seconds": round(pair.query_start_seconds, 3),
                    "query_end_seconds": round(pair.query_end_seconds, 3),
                    "segment_id": pair.segment_id,
                    "similarity": round(pair.similarity, 4),
                }
                for pair in finding.pairs
            ],
            "calibration": calibration.version,
            "copy_probability": policy.copy_probability,
            "review_probability": policy.review_probability,
        }


def _best(found: Sequence[Evidence | None], calibration: Calibration) -> Evidence | None:
    """The view that speaks most for a video."""
    return max(
        (one for one in found if one is not None),
        key=lambda one: one.logit(calibration),
        default=None,
    )


def _without_windows(piece: QueryEmbedding) -> QueryEmbedding:
    """What is said of the whole query."""
    return replace(
        piece,
        views=(),
        window_start_seconds=np.zeros(0),
        window_end_seconds=np.zeros(0),
        vectors=np.zeros((0, 0, VECTOR_DIMENSION), dtype=np.float32),
        informative=np.zeros((0, 0), dtype=bool),
    )
