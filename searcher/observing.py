"""What a change of the index tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from common.metrics import Metrics
from searcher.index import LocalIndex

STAGE = "search"


def observe_searchable(metrics: Metrics, produced_at: Iterable[float]) -> None:
    """These segments, told by when each was produced (Unix seconds), can be found from now on."""
    now = time.time()
    moments = list(produced_at)
    for moment in moments:
        metrics.freshness_seconds.observe(max(0.0, now - moment))
    metrics.segments_total.labels(STAGE, "done").inc(len(moments))


def watch_vectors(metrics: Metrics, answering: Callable[[], LocalIndex | None]) -> None:
    """Tell, whenever it is asked for, how many vectors the index that answers holds, and how many of them
    wait for the graph: those get fewer without any change."""

    def told(count: Callable[[LocalIndex], int]) -> Callable[[], float]:
        def tell() -> float:
            index = answering()
            return 0.0 if index is None else float(count(index))

        return tell

    live, dead = (metrics.index_vectors.labels(state) for state in ("live", "dead"))
    live.set_function(told(lambda index: index.stats.live))
    dead.set_function(told(lambda index: index.stats.dead))
    metrics.index_waiting_vectors.set_function(told(lambda index: index.waiting))
