"""Matches new videos against the catalogue and publishes the matches."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TypeAlias

from common.errors import DependencyError, MessageTooLargeError
from common.log_context import log_context
from common.messaging.events import MatchEvent
from common.messaging.transport import Publisher, Transport
from common.messaging.wire import Envelope, new_trace, to_message
from common.metrics import Metrics
from common.tracing import open_span, spanned, traceparent
from common.work_in_progress import WorkInProgress
from searcher.review.reviews import Reviews
from searcher.serving import ServingIndex
from searcher.transform.finder import TransformFinder
from storyhash.services.background import Background
from storyhash.services.match_new_video import STAGE, match_new_video
from storyhash.services.streaming.followed_catalogue import FollowedCatalogue

_log = logging.getLogger("storyhash.search")
_IDLE_SECONDS = 0.2
_RETRY_SECONDS = 5.0
# How long after the active generation the one of the second opinion may get a new video. It is matched
# without a second opinion then.
_SECOND_SECONDS = 60.0
# A new video: its id, version and trace id.
_New: TypeAlias = tuple[str, int, str]


class MatchPublisher(Background):
    """Processes the list of videos that became searchable, with a lower priority than ingestion."""

    def __init__(
        self,
        catalogue: FollowedCatalogue,
        transport: Transport,
        topic: str,
        metrics: Metrics,
        reviews: Reviews,
        in_hand: WorkInProgress | None = None,
        transforms: TransformFinder | None = None,
    ) -> None:
        """reviews: stores the matches. in_hand: records the video that is being matched; default: no
        record. The caller closes it. transforms: None if matches get no field `transform`."""
        super().__init__("announce-matches", _log, restarts=True)
        self._in_hand = in_hand or WorkInProgress()
        self._catalogue = catalogue
        self._transport = transport
        self._topic = topic
        self._metrics = metrics
        self._reviews = reviews
        self._transforms = transforms

    def work(self) -> None:
        """Match and publish new videos."""
        with ExitStack() as opened:
            self._work(opened)

    def _work(self, opened: ExitStack) -> None:
        publisher: Publisher | None = None
        while not self._stopping.is_set():
            answering = self._catalogue.answering()
            try:
                if publisher is None:
                    publisher = self._transport.publisher()
                    opened.callback(publisher.close)
                worked = answering is not None and self._announce(answering, publisher)
            except DependencyError as error:
                _log.warning("publishing matches is delayed: %s", error)
                self._stopping.wait(_RETRY_SECONDS)
            else:
                if not worked:
                    self._stopping.wait(_IDLE_SECONDS)

    def _announce(self, answering: ServingIndex, publisher: Publisher) -> bool:
        """Tell of some videos; whether there was one. What nobody foresaw costs one video's match."""
        staging = answering.index.staging
        due = [one for one in staging.unmatched() if _is_due(answering, *one[:2])]
        for one in due:
            video_id, _, trace_id = one
            span = open_span(
                "match new video", trace_id=trace_id, attributes={"storyhash.video_id": video_id}
            )
            with log_context(video_id=video_id, trace_id=trace_id), spanned(span):
                self._announce_one(answering, publisher, one)
        publisher.flush()
        for video_id, version, _ in due:
            staging.matched(video_id, version)
            self._in_hand.done(f"{video_id}@v{version}")
        return bool(due)

    def _announce_one(self, answering: ServingIndex, publisher: Publisher, one: _New) -> None:
        video_id, version, _ = one
        name = f"{video_id}@v{version}"
        if self._in_hand.is_set_aside(name):
            self._passed_over("set_aside")
            _log.error(
                "the matches of %r are not published: this process crashed three times while matching it",
                video_id,
            )
            return
        try:
            with self._in_hand.holding([name]):
                self._tell(answering, publisher, one)
        except DependencyError:
            raise
        except Exception:
            self._passed_over("failed")
            _log.exception("the matches of %r are not published", video_id)

    def _passed_over(self, outcome: str) -> None:
        self._metrics.videos_total.labels(STAGE, outcome).inc()

    def _tell(self, answering: ServingIndex, publisher: Publisher, one: _New) -> None:
        video_id, version, trace_id = one
        video = answering.index.videos.get(video_id)
        if video is not None and video.version == version:
            self._reviews.tell_indexed(answering, video_id, video.bank, version)
        report = match_new_video(
            answering, video_id, version, self._metrics, self._reviews, self._transforms
        )
        if report is None:
            return
        while True:
            event = MatchEvent(video_id, version, report)
            envelope = Envelope(event, trace_id=trace_id or new_trace(), traceparent=traceparent())
            try:
                publisher.publish(to_message(self._topic, envelope))
            except MessageTooLargeError:
                # They come best first.
                matches = report["matches"]
                if not report["candidates"]:
                    matches = matches[: len(matches) // 2]
                    if not matches:
                        raise
                    _log.warning(
                        "%s has too many matches for one message: publishing only the best",
                        video_id,
                    )
                report = {**report, "matches": matches, "candidates": []}
            else:
                return


def _is_due(answering: ServingIndex, video_id: str, version: int) -> bool:
    """Whether the second opinion has a new video too, is not needed, or has had the time to get it."""
    second, video = answering.second, answering.index.videos.get(video_id)
    if second is None or video is None or video.version != version:
        return True
    if second.covers(video_id, video.bank):
        return True
    age = datetime.now(UTC) - datetime.fromisoformat(video.indexed_at)
    # The clock may have been set back.
    return not 0.0 <= age.total_seconds() < _SECOND_SECONDS
