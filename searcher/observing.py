"""What a change of the index tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from common.metrics import Metrics
from searcher.index import LocalIndex
from searcher.shard import ShardStats

STAGE = "search"


def observe_searchable(metrics: Metrics, produced_at: Iterable[float]) -> None:
    """These segments, told by when each was produced (Unix seconds), can be found from now on."""
    now = time.time()
    moments = list(produced_at)
    for moment in moments:
        metrics.freshness_seconds.observe(max(0.0, now - moment))
    metrics.segments_total.labels(STAGE, "done").inc(len(moments))


def observe_vectors(metrics: Metrics, stats: ShardStats) -> None:
    """How many vectors the shard holds."""
    metrics.index_vectors.labels("live").set(stats.live)
    metrics.index_vectors.labels("dead").set(stats.dead)


def watch_waiting(metrics: Metrics, answering: Callable[[], LocalIndex | None]) -> None:
    """Tell, whenever it is asked for, how many vectors of the index that answers wait for the graph: they
    get fewer without any change."""

    def waiting() -> float:
        index = answering()
        return 0.0 if index is None else float(index.waiting)

    metrics.index_waiting_vectors.set_function(waiting)
