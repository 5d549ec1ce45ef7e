"""A catalogue's segments onto a topic: decoded in children, published, noted once acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from common.errors import MessageTooLargeError, VideoError
from common.http.health import Health
from common.messaging.events import Event, VideoEnd, segments_digest
from common.messaging.spans import publish_traced
from common.messaging.transport import Publisher
from common.messaging.wire import new_trace
from common.metrics import Metrics
from common.tracing import Span, open_span
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from ingest.ledger import ProducerLedger
from ingest.metrics import STAGE, observe_decoded
from ingest.sending_plan import SendTask
from storyhash.run_report import RunReport
from storyhash.services.streaming.backpressure import EmbedderLag

# Ends of videos are acknowledged and noted together, this many or this often.
_ENDS_AT_ONCE = 32
_SECONDS_BETWEEN = 1.0

OnSent = Callable[[SendTask, VideoError | None], None]


@dataclass(slots=True)
class SendReport(RunReport):
    """clip_bytes: of all segments. stopped: the run ended before everything was sent."""

    clip_bytes: int = 0
    stopped: bool = False


class SegmentPublisher:
    """Sends videos to one topic. The ledger records acknowledged videos. A video that was unfinished at
    the end of the run is sent again by the next one, as the same version, so duplicates have no
    effect."""

    def __init__(
        self,
        pool: DecoderPool,
        publisher: Publisher,
        ledger: ProducerLedger,
        topic: str,
        metrics: Metrics,
        health: Health,
        lag: EmbedderLag | None = None,
    ) -> None:
        """lag: checked before each segment; it waits for slow embedders."""
        self._health = health
        self._lag = lag
        self._pool = pool
        self._publisher = publisher
        self._ledger = ledger
        self._topic = topic
        self._metrics = metrics
        # From the first event of a video to its end.
        self._spans: dict[str, Span] = {}
        self._segment_ids: dict[str, set[str]] = {}
        self._too_large: dict[str, MessageTooLargeError] = {}
        self._ended: list[SendTask] = []

    def run(
        self, work: Sequence[SendTask], on_sent: OnSent, stopping: threading.Event
    ) -> SendReport:
        """Send everything; `on_sent` is called for each video when it is acknowledged or has failed.
        Stops early if `stopping` is set, with acknowledged videos recorded. Raises BrokerError."""
        report = SendReport()
        items = {one.entry.video_id: one for one in work}
        started = noted = time.monotonic()
        events = self._pool.run([(one.entry, one.version) for one in work], stopping)
        try:
            for event in events:
                self._health.beat()
                # A decoder that dies now was told to stop as well, and its video has not failed.
                if stopping.is_set():
                    break
                if self._lag is not None and isinstance(event, SegmentReady):
                    self._lag.wait(stopping, lambda: self._settle(on_sent))
                self._publish(items[event.entry.video_id], event, report, on_sent)
                late = time.monotonic() - noted > _SECONDS_BETWEEN
                if len(self._ended) >= _ENDS_AT_ONCE or (late and self._ended):
                    self._settle(on_sent)
                    noted = time.monotonic()
        finally:
            events.close()
            for span in self._spans.values():
                span.end()
        report.stopped = stopping.is_set()
        self._settle(on_sent)
        report.elapsed_seconds = time.monotonic() - started
        return report

    def _publish(
        self, one: SendTask, event: VideoEvent, report: SendReport, on_sent: OnSent
    ) -> None:
        video_id = one.entry.video_id
        if video_id not in self._spans:
            self._spans[video_id] = open_span(
                "send video", trace_id=new_trace(), attributes={"storyhash.video_id": video_id}
            )
        span = self._spans[video_id]
        if isinstance(event, SegmentReady):
            self._segment_ids.setdefault(video_id, set()).add(event.segment.ref.segment_id)
            self._send_segment(event, span, report)
            return
        refused = self._too_large.pop(video_id, None)
        if refused is None:
            refused = self._send_end(one, event, span)
        if refused is not None:
            event = VideoFailed(one.entry, _too_much(refused))
            shorter = replace(one, entry=replace(one.entry, title="", metadata={}))
            refused = self._send_end(shorter, event, span)
        if refused is not None:
            raise refused
        if isinstance(event, VideoFailed):
            span.fail(event.error)
        del self._spans[video_id]
        span.end()
        if isinstance(event, VideoFailed):
            self._publisher.flush()
            self._ledger.failed(self._topic, one, event.error.code, str(event.error))
            self._metrics.videos_total.labels(STAGE, "failed").inc()
            report.failed.append((one.entry, event.error))
            on_sent(one, event.error)
            return
        self._ended.append(one)
        observe_decoded(self._metrics, event)
        report.add(one.entry, event.duration_seconds, event.damaged, event.notes)

    def _send_segment(self, event: SegmentReady, span: Span, report: SendReport) -> None:
        video_id = event.entry.video_id
        if video_id in self._too_large:
            return
        try:
            self._send(event.segment, span)
        except MessageTooLargeError as refused:
            # Its other segments are worth nothing without this one.
            self._too_large[video_id] = refused
            return
        observe_decoded(self._metrics, event)
        report.segments += 1
        report.clip_bytes += len(event.segment.clip)

    def _send_end(
        self, one: SendTask, event: VideoDone | VideoFailed, span: Span
    ) -> MessageTooLargeError | None:
        """Publish the end of a video; returns why this is not possible, or an empty string."""
        if one.whole and isinstance(event, VideoFailed):
            return None
        try:
            digest = segments_digest(self._segment_ids.pop(one.entry.video_id, ()))
            self._send(_end(one, event, digest, self._ledger.origin), span)
        except MessageTooLargeError as refused:
            return refused
        return None

    def _send(self, event: Event, span: Span) -> None:
        publish_traced(self._publisher, self._topic, event, span)

    def _settle(self, on_sent: OnSent) -> None:
        """Flush all messages, then record the finished videos."""
        self._publisher.flush()
        ended, self._ended = self._ended, []
        self._ledger.done(self._topic, ended)
        self._metrics.videos_total.labels(STAGE, "done").inc(len(ended))
        for one in ended:
            on_sent(one, None)


def _too_much(refused: MessageTooLargeError) -> VideoError:
    error = VideoError(f"its description is too large for a message: {refused}")
    error.code = refused.code
    return error


def _end(one: SendTask, event: VideoDone | VideoFailed, digest: str, origin: str) -> VideoEnd:
    if isinstance(event, VideoFailed):
        return VideoEnd(
            one.entry,
            one.version,
            "failed",
            error_code=event.error.code,
            error_message=str(event.error),
            origin=origin,
        )
    return VideoEnd(
        one.entry,
        one.version,
        "complete",
        event.duration_seconds,
        event.segments,
        "damaged" if event.damaged else "",
        event.damaged or "",
        digest,
        origin,
    )
