"""Prometheus metrics of decoding."""

from __future__ import annotations

from common.metrics import Metrics
from ingest.decoder_pool import SegmentReady, VideoDone

STAGE = "ingest"


def observe_decoded(metrics: Metrics, event: SegmentReady | VideoDone) -> None:
    """Record how long a segment, or the end of a video, kept a decoder busy."""
    if isinstance(event, SegmentReady):
        metrics.segments_total.labels(STAGE, "done").inc()
    else:
        spent = sum(event.stage_seconds.values())
        metrics.stage_duration_seconds.labels(STAGE).observe(spent)
