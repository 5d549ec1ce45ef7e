"""A catalogue's segments onto a topic: decoded in children, published, noted once acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from common.errors import VideoError
from common.events import VideoEnd
from common.health import Health
from common.metrics import Metrics
from common.transport import Publisher
from common.wire import Envelope, to_message
from ingest.ledger import ProducerLedger, Sending
from ingest.pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed

# Ends of videos are acknowledged and noted together, this many or this often.
_ENDS_AT_ONCE = 32
_SECONDS_BETWEEN = 1.0

OnSent = Callable[[Sending, VideoError | None], None]


@dataclass(slots=True)
class SendReport:
    """What a run did. Seconds are of video; `elapsed_seconds` of the clock."""

    sent: int = 0
    segments: int = 0
    clip_bytes: int = 0
    video_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    failed: list[tuple[Sending, VideoError]] = field(default_factory=list)
    damaged: list[tuple[Sending, str]] = field(default_factory=list)
    stopped: bool = False


class Sender:
    """Sends videos to one topic. What is acknowledged is noted in the ledger; what was under way when the
    run ended is sent again by the next, as the same version, which changes nothing at the other end."""

    def __init__(
        self,
        pool: DecoderPool,
        publisher: Publisher,
        ledger: ProducerLedger,
        topic: str,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._health = health
        self._pool = pool
        self._publisher = publisher
        self._ledger = ledger
        self._topic = topic
        self._metrics = metrics
        self._traces: dict[str, Envelope] = {}
        self._ended: list[Sending] = []

    def run(
        self,
        lane: str,
        work: Sequence[Sending],
        on_sent: OnSent,
        stopping: threading.Event,
    ) -> SendReport:
        """Send everything; `on_sent` is told of each as it is acknowledged or failed. Stops early, with
        what is acknowledged noted, once `stopping` is set. Raises BrokerError."""
        report = SendReport()
        items = {one.entry.video_id: one for one in work}
        started = noted = time.monotonic()
        events = self._pool.run([(one.entry, one.version) for one in work])
        try:
            for event in events:
                self._health.beat()
                self._publish(items[event.entry.video_id], event, lane, report, on_sent)
                if stopping.is_set():
                    report.stopped = True
                    break
                late = time.monotonic() - noted > _SECONDS_BETWEEN
                if len(self._ended) >= _ENDS_AT_ONCE or (late and self._ended):
                    self._settle(lane, on_sent)
                    noted = time.monotonic()
        finally:
            events.close()
        self._settle(lane, on_sent)
        report.elapsed_seconds = time.monotonic() - started
        return report

    def _publish(
        self, one: Sending, event: VideoEvent, lane: str, report: SendReport, on_sent: OnSent
    ) -> None:
        video_id = one.entry.video_id
        trace = self._traces.get(video_id)
        if isinstance(event, SegmentReady):
            envelope = Envelope(event.segment) if trace is None else _fresh(trace, event)
            self._traces[video_id] = envelope
            self._publisher.publish(to_message(self._topic, envelope))
            self._metrics.segments_total.labels("ingest", "done").inc()
            report.segments += 1
            report.clip_bytes += len(event.segment.clip)
            return
        self._traces.pop(video_id, None)
        if isinstance(event, VideoDone):
            end = VideoEnd(
                one.entry,
                one.version,
                "complete",
                event.duration_seconds,
                event.segments,
                "damaged" if event.damaged else "",
                event.damaged or "",
            )
            self._metrics.stage_duration_seconds.labels("ingest").observe(
                sum(event.stage_seconds.values())
            )
            report.video_seconds += event.duration_seconds
            if event.damaged:
                report.damaged.append((one, event.damaged))
        elif isinstance(event, VideoFailed):
            error = event.error
            end = VideoEnd(
                one.entry, one.version, "failed", error_code=error.code, error_message=str(error)
            )
        self._publisher.publish(to_message(self._topic, _about(trace, end)))
        if isinstance(event, VideoFailed):
            self._publisher.flush()
            self._ledger.failed(lane, one, event.error.code, str(event.error))
            self._metrics.videos_total.labels("ingest", "failed").inc()
            report.failed.append((one, event.error))
            on_sent(one, event.error)
        else:
            self._ended.append(one)
            report.sent += 1

    def _settle(self, lane: str, on_sent: OnSent) -> None:
        """Have everything acknowledged, then note the videos that ended."""
        self._publisher.flush()
        ended, self._ended = self._ended, []
        self._ledger.done(lane, ended)
        self._metrics.videos_total.labels("ingest", "done").inc(len(ended))
        for one in ended:
            on_sent(one, None)


def _fresh(trace: Envelope, event: SegmentReady) -> Envelope:
    """A later segment of the same trace, produced now."""
    return Envelope(event.segment, trace_id=trace.trace_id)


def _about(trace: Envelope | None, end: VideoEnd) -> Envelope:
    return Envelope(end) if trace is None else Envelope(end, trace_id=trace.trace_id)
