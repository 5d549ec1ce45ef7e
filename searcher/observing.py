"""What a change of the index tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable

from common.metrics import Metrics
from searcher.shard import ShardStats

STAGE = "search"


def observe_searchable(metrics: Metrics, produced_at: Iterable[float]) -> None:
    """These segments, told by when each was produced (Unix seconds), can be found from now on."""
    now = time.time()
    for moment in produced_at:
        metrics.freshness_seconds.observe(max(0.0, now - moment))
        metrics.segments_total.labels(STAGE, "done").inc()


def observe_vectors(metrics: Metrics, stats: ShardStats) -> None:
    """How many vectors the shard holds."""
    metrics.index_vectors.labels("live").set(stats.live)
    metrics.index_vectors.labels("dead").set(stats.dead)
