"""A matcher under a configuration, as a `Method`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from common.types import PassName, QueryEmbedding, TimeSpans
from embedder.pooling import Pooling
from embedder.query.embedder import windows_of
from embedder.query.features import QueryFeatures, ViewFeatures
from embedder.query.passes import in_spans
from embedder.visual.views import FIRST_VIEWS
from evaluation.data.feature_cache import CachedQuery
from evaluation.methods.best_window import best_window
from evaluation.methods.configurations import Configuration
from evaluation.methods.distractor_index import DistractorRows, WithDistractors
from evaluation.methods.exact_index import ArrayIndex, index_video
from evaluation.methods.verification import Verification
from evaluation.protocol import REAL, Dataset, Query
from evaluation.records import ScoredMatch
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.alignment.alignment import align
from searcher.matching.cascade import match_cascade
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.protocols import SegmentIndex
from searcher.matching.scoring.calibration import Calibration
from searcher.matching.scoring.policy import Policies, default_policy

_MODEL = "evaluation"
_KEPT_INDEXES = 8


class MatcherMethod:
    """Answers like `storyhash match`, from cached features."""

    def __init__(
        self,
        configuration: Configuration,
        dataset: Dataset,
        originals: Mapping[str, QueryFeatures],
        pooling: Pooling,
        calibration_of: Callable[[int], Calibration],
        distractors: DistractorRows | None = None,
        verification: Verification | None = None,
    ) -> None:
        """originals: features of each unedited video. calibration_of: the calibration for a fold.
        distractors: segments that every query searches too, without those of its own content.
        verification: compares pictures; None compares none."""
        self._configuration = configuration
        self._dataset = dataset
        self._pooling = pooling
        self._calibration_of = calibration_of
        self._videos = {
            name: index_video(name, features, pooling, configuration.fusion)
            for name, features in originals.items()
        }
        self._indexes: dict[frozenset[str], ArrayIndex] = {}
        self._distractors = distractors
        self._verification = verification

    @property
    def name(self) -> str:
        return self._configuration.name

    def answer(
        self, query: Query, cached: CachedQuery, names: frozenset[str]
    ) -> tuple[ScoredMatch, ...]:
        """See `Method.answer`."""
        itself = frozenset([query.video.video_id])
        only = Filter(exclude_videos=itself) if query.group == REAL else EVERYTHING
        index: SegmentIndex = self._index(names)
        if self._distractors is not None:
            shown = [query.video, *(self._dataset.video(name) for name in cached.partners)]
            allowed = self._distractors.unrelated(shown)
            index = WithDistractors(self._index(names), self._distractors, allowed)
        matcher = self._matcher(index, self._calibration_of(query.fold))
        embed_pass = self.query_passes(cached.query)
        verification, compare = self._verification, None
        if verification is not None:
            compare = partial(verification.verified, query, matcher.policies)
        report = match_cascade(
            matcher, lambda *which: iter([embed_pass(*which)]), only=only, compare=compare
        )
        return self._scored_matches(report, query, cached)

    def matcher(self, names: frozenset[str], calibration: Calibration) -> Matcher:
        """A matcher over these videos, without distractors."""
        return self._matcher(self._index(names), calibration)

    def _index(self, names: frozenset[str]) -> ArrayIndex:
        if names not in self._indexes:
            if len(self._indexes) >= _KEPT_INDEXES:
                self._indexes.pop(next(iter(self._indexes)))
            self._indexes[names] = ArrayIndex(self._videos, sorted(names))
        return self._indexes[names]

    def _matcher(self, index: SegmentIndex, calibration: Calibration) -> Matcher:
        return Matcher(
            index,
            _MODEL,
            calibration,
            Policies(default_policy(calibration)),
            align if self._configuration.aligned else best_window,
            by_frames=self._configuration.by_frames,
        )

    def query_passes(
        self, features: QueryFeatures
    ) -> Callable[[PassName, TimeSpans], QueryEmbedding]:
        """The passes over a query, by name, from its cached features."""

        def embed_pass(name: PassName, within: TimeSpans) -> QueryEmbedding:
            views = tuple(
                _part(view, within)
                for view in features.views
                if self._configuration.sees(view.name)
                and (view.name in FIRST_VIEWS) == (name == "first")
            )
            of_pass = replace(features, views=views)
            return windows_of("", _MODEL, of_pass, self._pooling, self._configuration.fusion)

        return embed_pass

    def _scored_matches(
        self, report: MatchReport, query: Query, cached: CachedQuery
    ) -> tuple[ScoredMatch, ...]:
        return tuple(
            ScoredMatch(
                video_id=match.video_id,
                relation=self._dataset.relation(query.video, match.video_id, cached.partners),
                probability=match.probability,
                similarity=match.score,
                decision=decision,
                view=match.view,
                query_start_seconds=match.query_start_seconds,
                query_end_seconds=match.query_end_seconds,
                ref_start_seconds=match.ref_start_seconds,
                ref_end_seconds=match.ref_end_seconds,
            )
            for match, decision in report.judged
        )


def _part(view: ViewFeatures, within: TimeSpans) -> ViewFeatures:
    """The frames of a view that lie in these spans."""
    inside = in_spans(view.pts_seconds, within)
    return ViewFeatures(
        view.name, view.rows[inside], view.informative[inside], view.pts_seconds[inside]
    )
