"""Matches a video that a caller sent, and finishes the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from common.cancellation import Cancellation
from common.http.request_facts import Caller
from common.metrics import Metrics
from common.state.curation import NOTHING, Curation
from common.types import OnDecoded, PassName, QueryEmbedding, TakePass, TimeSpans
from searcher.curation.apply_rules import CurationRules
from searcher.curation.match_detail import QueryIdentity
from searcher.index.state import Banks
from searcher.matching.cascade import match_cascade
from searcher.matching.matcher import Matcher
from searcher.matching.report.match_json import report_to_json
from searcher.matching.report.match_report import MatchReport
from searcher.metrics import observe_decision
from searcher.review.reviews import Reviews
from searcher.review.second_report import report_of_video, with_second
from searcher.serving import EmbedQuery, SecondIndex, ServingIndex
from searcher.transform.finder import TransformFinder
from searcher.transform.pictures import Pictures
from searcher.video_index import VideoIndex
from searcher.visible_video import visible_video

# Called after each piece of a query with the pass, the number of the piece, and the number of pieces.
OnPiece = Callable[[PassName, int, int], None]


@dataclass(frozen=True, slots=True)
class MatchTask:
    """What to match: a file, an address or a video of the catalogue; exactly one is given. name: display
    name. sha256: of the file. banks: None means all."""

    name: str
    path: Path | None = None
    sha256: str = ""
    uri: str | None = None
    video_id: str | None = None
    banks: Banks = None
    thorough: bool = False


class MatchQueries:
    """Matches queries. Thread-safe."""

    def __init__(
        self,
        embed: EmbedQuery,
        metrics: Metrics,
        reviews: Reviews | None,
        transforms: TransformFinder | None = None,
    ) -> None:
        """reviews: None if matches are not stored and there are no exceptions. transforms: None if
        matches get no field `transform`."""
        self._embed = embed
        self._metrics = metrics
        self._reviews = reviews
        self._transforms = transforms

    def curation(self) -> Curation:
        """What people have set. Raises NotReadyError, StateError."""
        return NOTHING if self._reviews is None else self._reviews.state.curation.current

    def answer(
        self,
        answering: ServingIndex,
        task: MatchTask,
        caller: Caller,
        cancellation: Cancellation,
        on_piece: OnPiece | None = None,
        on_decoded: OnDecoded | None = None,
        count_seconds: Callable[[float], None] | None = None,
    ) -> dict[str, Any]:
        """The JSON of the report; a video of the catalogue is not found in itself. count_seconds: called
        with seconds of the query that were decoded (default: they count for the quota of the caller's
        key). Raises ApiError (404)
        for an unknown video, the errors of `EmbedQuery` and of the matcher, StateError."""
        index = answering.index
        rules = CurationRules() if self._reviews is None else self._reviews.rules()
        answering = replace(answering, matcher=rules.matcher(answering.matcher))
        only = rules.filter(task.banks)
        if task.video_id is not None:
            video = visible_video(index.videos, task.video_id, caller)
            identity = QueryIdentity.of_video(video)
            pictures = None
            if self._transforms is not None:
                pictures = self._transforms.of_video(video.video_id, index.references)

            def of_video(matcher: Matcher) -> MatchReport:
                report = matcher.match_video(
                    video,
                    only.banks,
                    without=only.exclude_videos,
                    without_banks=only.exclude_banks,
                    cancellation=cancellation,
                )
                return self._compared(index, pictures, cancellation, matcher, report)

            report = report_of_video(video, of_video, answering, rules, self._metrics)
        else:
            source = task.path or task.uri or ""
            if task.path is not None:
                identity = QueryIdentity.of_upload(task.sha256)
            else:
                identity = QueryIdentity.of_uri(task.uri or "")
            with self._embed(
                source, task.name, answering.model_id, cancellation, on_decoded
            ) as query:
                pictures = query.pictures
                if pictures is None and self._transforms is not None:
                    pictures = self._transforms.of_uri(str(source))

                def of_query(matcher: Matcher, take_pass: TakePass) -> MatchReport:
                    return match_cascade(
                        matcher,
                        take_pass,
                        only=only,
                        decided=rules.has_copy,
                        thorough=task.thorough,
                        compare=partial(
                            self._compared,
                            *(index, pictures, cancellation, matcher),
                        ),
                        cancellation=cancellation,
                    )

                def ask_about_query(second: SecondIndex) -> MatchReport:
                    return of_query(second.matcher, query.for_model(second.model_id))

                take_pass = self._counted(query.take_pass, caller, count_seconds)
                if on_piece is not None:
                    take_pass = _reported(take_pass, on_piece)
                report = of_query(answering.matcher, take_pass)
                report = with_second(report, ask_about_query, answering, rules, self._metrics)
        if self._reviews is None:
            answer = report_to_json(report, index.videos.uri_of)
        else:
            answer = self._reviews.finish(report, identity, answering, rules, caller.banks)
        observe_decision(self._metrics, answer, report.probability)
        return answer

    def _counted(
        self, take_pass: TakePass, caller: Caller, count: Callable[[float], None] | None
    ) -> TakePass:
        """The same pieces; the length of the query is counted once it is known."""
        reviews, key_id = self._reviews, caller.key_id
        if reviews is None or key_id is None:
            return take_pass
        count = count or partial(reviews.state.quotas.count_seconds, key_id)
        counted = 0.0

        def take(kind: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
            nonlocal counted
            for piece in take_pass(kind, within):
                if piece.duration_seconds > counted:
                    count(piece.duration_seconds - counted)
                    counted = piece.duration_seconds
                yield piece

        return take

    def _compared(
        self,
        index: VideoIndex,
        pictures: Pictures | None,
        cancellation: Cancellation,
        matcher: Matcher,
        report: MatchReport,
    ) -> MatchReport:
        """The report after the pictures of its matches were compared. pictures: of the query; None if it
        has none here. index: the first one. matcher: the one that made the report."""
        if self._transforms is None:
            return report
        return self._transforms.add_to(
            report, pictures, index.references, matcher.policies, cancellation
        )


def _reported(take_pass: TakePass, on_piece: OnPiece) -> TakePass:
    """The same pieces; `on_piece` is called after each is embedded."""

    def take(kind: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        for piece in take_pass(kind, within):
            on_piece(kind, piece.number, piece.pieces)
            yield piece

    return take
