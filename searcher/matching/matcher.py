"""Matching a query: retrieve, align, score, decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from common.errors import ModelMismatchError
from common.types import Match, QueryEmbedding
from searcher.matching.alignment import Aligner, Run, align
from searcher.matching.base import SegmentIndex
from searcher.matching.boilerplate import FREE_VIDEOS, document_frequency, weight
from searcher.matching.calibration import Calibration, probability_of
from searcher.matching.evidence import Candidate, Evidence
from searcher.matching.frames import Frames, QueryFrames
from searcher.matching.known import known_query
from searcher.matching.policy import Decision, Policies, strongest
from searcher.matching.refining import refined
from searcher.matching.retrieval import retrieve
from searcher.state import EVERYTHING, Banks, Filter
from searcher.videos import Video

# Runs of one video after its best are further copies only when they are as good as this share of it.
_FURTHER_SHARE = 0.8


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
        self._index = index
        self._model_id = model_id
        self._calibration = calibration
        self._policies = policies
        self._aligner = aligner
        self._by_frames = by_frames

    def match(self, query: QueryEmbedding, only: Filter = EVERYTHING) -> MatchReport:
        """Every candidate with its probability, best first.

        Raises ModelMismatchError for a query embedded by another model than the index was.
        """

        @cache
        def frames_of(view: str) -> QueryFrames:
            return QueryFrames.of_view(query, query.views.index(view))

        return self._answer(query, only, frames_of)

    def match_video(self, video: Video, banks: Banks = None) -> MatchReport:
        """The same for a video of the index, asked of the others by what the index holds of it."""
        segments = self._index.vectors_of(video.video_id)
        query = known_query(video, segments, self._model_id)
        held = QueryFrames.of_video(segments, query.duration_seconds)
        return self._answer(query, Filter(banks, video.video_id), lambda _: held)

    def _answer(
        self, query: QueryEmbedding, only: Filter, frames_of: Callable[[str], QueryFrames]
    ) -> MatchReport:
        """frames_of: the query's frames through a view."""
        if query.model_id != self._model_id:
            raise ModelMismatchError(
                f"the query was embedded with {query.model_id}, the index with {self._model_id}"
            )
        if not query.informative.any():
            return self._report(query, [], "no frame of the query shows anything to recognise")
        best = [
            max(evidence, key=lambda one: one.logit(self._calibration))
            for evidence in self.evidence(query, only).values()
        ]
        frequency = self._frequencies(query, best)
        matches = [
            self._match(query, one, run, shown, frequency.get(one.video_id, 1))
            for one in best
            for run, shown in self._shown(one, frames_of)
        ]
        return self._report(query, matches, "")

    def evidence(
        self, query: QueryEmbedding, only: Filter = EVERYTHING, *, best_of_view: int = 0
    ) -> dict[str, list[Evidence]]:
        """What speaks for each video worth a look, through the views that show it best; best_of_view: and
        for so many videos that each view shows best."""
        found = retrieve(query, self._index, self._calibration, only)
        candidates = []
        for video_id in found.candidates:
            segments = self._index.vectors_of(video_id)
            if segments.refs:
                candidates.append(Candidate.of(query, segments, found.strangers, self._calibration))
        peaks = np.array([one.peaks for one in candidates]).reshape(
            len(candidates), len(query.views)
        )
        best = np.argsort(-peaks, axis=0, kind="stable")[:best_of_view]
        gathered: dict[str, list[Evidence]] = {}
        for number, candidate in enumerate(candidates):
            views = {*candidate.promising.tolist(), *np.flatnonzero((best == number).any(axis=0))}
            for view in sorted(views):
                one = candidate.through(
                    view, query, found.strangers, self._calibration, self._aligner
                )
                if one is not None:
                    gathered.setdefault(candidate.segments.refs[0].video_id, []).append(one)
        return gathered

    def _report(self, query: QueryEmbedding, matches: list[Match], reason: str) -> MatchReport:
        matches.sort(key=lambda match: (-match.probability, -match.score, match.video_id))
        return MatchReport(
            query.uri,
            query.duration_seconds,
            query.model_id,
            tuple(matches),
            tuple(self._policies.of(match.bank).decide(match) for match in matches),
            reason,
        )

    def _frequencies(
        self, query: QueryEmbedding, evidence: Sequence[Evidence]
    ) -> Mapping[str, int]:
        """How many different videos share what each video shares with the query."""
        alike = self._calibration.certain
        shared = {one.video_id: one.shared for one in evidence if one.runs[0].score >= alike}
        if len(shared) <= FREE_VIDEOS:
            return {}
        return {
            name: document_frequency(
                one,
                [other for key, other in shared.items() if key != name],
                query.duration_seconds,
                alike,
            )
            for name, one in shared.items()
        }

    def _shown(
        self, evidence: Evidence, frames_of: Callable[[str], QueryFrames]
    ) -> list[tuple[Run, Run]]:
        """The runs that are matches, each with the same as its frames show it; of two that come to the
        same, or of which one says all that the other does, the wider ranges with the better run."""
        told: list[tuple[Run, Run]] = []
        for run in evidence.runs:
            if run.score < _FURTHER_SHARE * evidence.runs[0].score:
                continue
            shown = self._refined(run, evidence, frames_of) if self._by_frames else run
            if any(shown.is_within(other) for _, other in told):
                continue
            inner = [pair for pair in told if pair[1].is_within(shown)]
            told = [pair for pair in told if pair not in inner]
            told.append((inner[0][0] if inner else run, shown))
        return told

    def _refined(
        self, run: Run, evidence: Evidence, frames_of: Callable[[str], QueryFrames]
    ) -> Run:
        frames = Frames.around(run, frames_of(evidence.view), evidence.segments)
        usual = self._calibration.usual(evidence.view)
        return run if frames is None else refined(run, frames, usual)

    def _match(
        self, query: QueryEmbedding, evidence: Evidence, run: Run, shown: Run, frequency: int
    ) -> Match:
        """run: what decides; shown: its ranges."""
        return Match(
            video_id=evidence.video_id,
            bank=evidence.bank,
            query_start_seconds=shown.query_start_seconds,
            query_end_seconds=shown.query_end_seconds,
            ref_start_seconds=shown.ref_start_seconds,
            ref_end_seconds=shown.ref_end_seconds,
            score=run.score,
            probability=weight(frequency) * probability_of(evidence.logit(self._calibration, run)),
            view=evidence.view,
            coverage=min(1.0, shown.seconds / query.duration_seconds),
            evidence=self._explained(query, evidence, run, shown.tempo, frequency),
        )

    def _explained(
        self,
        query: QueryEmbedding,
        evidence: Evidence,
        run: Run,
        tempo: float | None,
        frequency: int,
    ) -> dict[str, object]:
        """Why the probability is what it is, as JSON values."""
        calibration = self._calibration
        policy = self._policies.of(evidence.bank)
        return {
            "similarity": round(run.score, 4),
            "view_price": calibration.price(evidence.view),
            "background_lift": round(calibration.lift(evidence.view, evidence.strangers), 4),
            "document_frequency": frequency,
            "tempo": tempo,
            "pairs": [
                {
                    "query_start_seconds": round(float(query.window_start_seconds[window]), 3),
                    "query_end_seconds": round(float(query.window_end_seconds[window]), 3),
                    "segment_id": evidence.segments.refs[segment].segment_id,
                    "similarity": round(similarity, 4),
                }
                for window, segment, similarity in run.pairs
            ],
            "calibration": calibration.version,
            "copy_probability": policy.copy_probability,
            "review_probability": policy.review_probability,
        }
