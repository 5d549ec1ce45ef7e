"""Prometheus metrics of the index."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial

from common.errors import StoryHashError
from common.metrics import Metrics
from searcher.local_index import LocalIndex

STAGE = "search"


def observe_searchable(metrics: Metrics, produced_at: Iterable[float]) -> None:
    """Observe the freshness of segments that just became searchable; produced_at: Unix seconds."""
    now = time.time()
    moments = list(produced_at)
    for moment in moments:
        metrics.freshness_seconds.observe(max(0.0, now - moment))
    metrics.segments_total.labels(STAGE, "done").inc(len(moments))


def watch_vectors(metrics: Metrics, answering: Callable[[], LocalIndex | None]) -> None:
    """Report, at each scrape, the number of vectors in the index that answers, of vectors that wait for
    the graph, which decreases during a merge, and of candidates that a search keeps."""

    def told(count: Callable[[LocalIndex], int]) -> Callable[[], float]:
        def tell() -> float:
            index = answering()
            return 0.0 if index is None else float(count(index))

        return tell

    live, dead = (metrics.index_vectors.labels(state) for state in ("live", "dead"))
    live.set_function(told(lambda index: index.stats.live))
    dead.set_function(told(lambda index: index.stats.dead))
    metrics.index_waiting_vectors.set_function(told(lambda index: index.waiting))
    metrics.index_search_candidates.set_function(told(lambda index: index.candidates))


# Of a video that is not complete yet: how long nothing has come of it, seconds.
_AGES = {"under_10m": 600.0, "under_1h": 3600.0, "under_1d": 86_400.0}
_OLDEST = "over_1d"


def watch_staged(metrics: Metrics, answering: Callable[[], LocalIndex | None]) -> None:
    """Report, at each scrape, the number of incomplete videos of the index that answers, by the time
    since their last message."""

    def count(at: int) -> float:
        index = answering()
        if index is None:
            return 0.0
        try:
            return float(index.staging.idle(list(_AGES.values()))[at])
        except StoryHashError:
            # It is being closed, or its disk is failing; the other metrics are told all the same.
            return math.nan

    for at, age in enumerate((*_AGES, _OLDEST)):
        metrics.staged_videos.labels(age).set_function(partial(count, at))
