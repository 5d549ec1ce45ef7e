"""What decoding tells Prometheus, whichever way the segments go from there."""

from __future__ import annotations

from common.metrics import Metrics
from ingest.decoder_pool import SegmentReady, VideoDone

STAGE = "ingest"


def observe_decoded(metrics: Metrics, event: SegmentReady | VideoDone) -> None:
    """A segment was cut, or a video was read to its end: how long that kept a decoder busy."""
    if isinstance(event, SegmentReady):
        metrics.segments_total.labels(STAGE, "done").inc()
    else:
        spent = sum(event.stage_seconds.values())
        metrics.stage_duration_seconds.labels(STAGE).observe(spent)
