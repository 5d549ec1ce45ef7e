"""What `serve` does with a video that has become searchable: it sends an event to webhooks, and matches
the video with the others."""

from __future__ import annotations

import logging

from common.errors import StateError
from common.metrics import Metrics
from common.work_in_progress import WorkInProgress
from searcher.review.reviews import Reviews
from searcher.serving import ServingIndex
from searcher.transform.finder import TransformFinder
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.pipeline.videos_in_progress import video_of
from storyhash.services.match_new_video import STAGE, in_words, match_new_video

_log = logging.getLogger("storyhash.serve")


class IndexedVideos:
    """Use it from one thread."""

    def __init__(
        self,
        answering: ServingIndex,
        reviews: Reviews,
        metrics: Metrics,
        transforms: TransformFinder | None,
        *,
        match: bool,
    ) -> None:
        """transforms: None if matches get no field `transform`. match: whether videos are matched."""
        self._answering = answering
        self._reviews = reviews
        self._metrics = metrics
        self._transforms = transforms
        self._match = match

    def tell(self, outcome: VideoOutcome) -> None:
        """A video has become searchable. Raises StateError while the state database is down."""
        item = outcome.item
        name = item.entry.video_id
        seconds = outcome.duration_seconds
        found = self._follow_up(name, item.entry.bank, item.version, seconds, match=self._match)
        _log.info(
            "%r: indexed, %.1f s, segments: %d%s",
            name,
            outcome.duration_seconds,
            outcome.segments,
            found,
        )
        if outcome.damaged:
            _log.warning("%r: %s", name, outcome.damaged)
        if outcome.notes:
            _log.info("%r: %s", name, outcome.notes)

    def recover(self, in_hand: WorkInProgress) -> None:
        """Follow up videos that became searchable just before the process ended. A receiver may get an
        event again, with the same id. Raises StateError."""
        for name in in_hand.left():
            video = self._answering.index.videos.get(video_of(name))
            if video is None or video.state != "ready":
                # It is indexed again, or gone.
                continue
            # After three crashes the event is sent, but the video is not matched once more.
            match = self._match and not in_hand.is_set_aside(name)
            with in_hand.holding([name]):
                found = self._follow_up(
                    *(video.video_id, video.bank, video.version, video.duration_seconds),
                    match=match,
                )
            in_hand.done(name)
            _log.info("%r: indexed before the last end of the process%s", video.video_id, found)

    def _follow_up(self, name: str, bank: str, version: int, seconds: float, *, match: bool) -> str:
        """What was found, for the log. Raises StateError; the next call counts nothing twice, and a
        receiver may get an event again, with the same id."""
        self._reviews.state.quotas.charge_video(name, seconds)
        self._reviews.tell_indexed(self._answering, name, bank, version)
        if not match:
            return ""
        try:
            report = match_new_video(
                self._answering, name, version, self._metrics, self._reviews, self._transforms
            )
        except StateError:
            raise
        except Exception:
            # It is indexed all the same; only its matches are missing.
            self._metrics.videos_total.labels(STAGE, "failed").inc()
            _log.exception("%r could not be matched with the other videos", name)
            return ""
        return "" if report is None else f"; {in_words(report)}"
