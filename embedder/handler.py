"""The embedder as a handler of messages: embeds segments, and passes on the ends of videos."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import WireError
from common.messaging.dead_letters import reason_of
from common.messaging.events import SegmentFailed, VideoEnd
from common.messaging.handler import Item
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.unreadable import stand_in
from common.messaging.wire import Envelope, to_message
from common.metrics import Metrics
from common.types import Segment
from embedder.metrics import observe_encoders
from embedder.stage import EmbedderStage


class EmbedHandler:
    """One stage. Embeddings keep the order of the segments in the video's partition."""

    stage = "embed"

    def __init__(self, stage: EmbedderStage, log_topic: str, metrics: Metrics) -> None:
        self._embedder = stage
        self._log_topic = log_topic
        self._metrics = metrics
        observe_encoders(stage, metrics)

    @property
    def batch_messages(self) -> int:
        return self._embedder.segments_at_once

    def process(self, items: Sequence[Item]) -> list[Message]:
        """Raises VideoError for a clip that does not decode, WireError for an event out of place."""
        for item in items:
            if not isinstance(item.envelope.event, (Segment, VideoEnd)):
                raise WireError(
                    f"{type(item.envelope.event).__name__} does not belong in the segments topic"
                )
        segments = [
            item.envelope.event for item in items if isinstance(item.envelope.event, Segment)
        ]
        embeddings = iter(self._embedder.process(segments) if segments else ())
        envelopes = [
            item.envelope.about(next(embeddings))
            if isinstance(item.envelope.event, Segment)
            else item.envelope
            for item in items
        ]
        self._metrics.segments_total.labels(self.stage, "done").inc(len(segments))
        return [to_message(self._log_topic, envelope) for envelope in envelopes]

    def refused(self, item: Item, error: Exception) -> list[Message]:
        """The event that tells the searcher to complete the video without this segment."""
        event = item.envelope.event
        if not isinstance(event, Segment):
            return []
        self._metrics.segments_total.labels(self.stage, "failed").inc()
        failed = SegmentFailed(event.ref, reason_of(error))
        return [to_message(self._log_topic, item.envelope.about(failed))]

    def unreadable(self, received: ReceivedMessage, error: WireError) -> list[Message]:
        """The same for an unreadable message."""
        failed = stand_in(received, error)
        if failed is None:
            return []
        if isinstance(failed, SegmentFailed):
            self._metrics.segments_total.labels(self.stage, "failed").inc()
        return [to_message(self._log_topic, Envelope(failed))]
