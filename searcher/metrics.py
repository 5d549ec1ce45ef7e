"""Prometheus metrics of the index."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from common.errors import StoryHashError
from common.metrics import Metrics
from common.types import DEFAULT_BANK
from searcher.video_index import VideoIndex

if TYPE_CHECKING:
    # SQLAlchemy is slow to import, and `storyhash index` does not need it.
    from common.state.feedback import BankFeedback

STAGE = "search"
_NO_BANK = "(none)"


def begin_decisions(metrics: Metrics) -> None:
    """Begin the counters of decisions at 0, so that a rate sees the first query too."""
    metrics.decisions_total.labels(_NO_BANK, "no_match")
    for decision in ("copy", "review"):
        metrics.decisions_total.labels(metrics.bank_labels.of(DEFAULT_BANK), decision)


def observe_decision(metrics: Metrics, answer: Mapping[str, Any], probability: float) -> None:
    """Count the decision of the JSON of a report, under the bank of the best match that led to it, and
    observe the probability of the report."""
    metrics.match_probability.observe(probability)
    bank, decision = _NO_BANK, answer["decision"]
    if decision != "no_match":
        bank = next(one["bank"] for one in answer["matches"] if one["decision"] == decision)
    metrics.decisions_total.labels(metrics.bank_labels.of(bank), decision).inc()


def begin_second_opinions(metrics: Metrics) -> None:
    """Begin the counters of second opinions at 0; only where there is a second index."""
    for outcome in ("copy", "review", "unchanged", "not_indexed"):
        metrics.second_opinions_total.labels(outcome)
    for query in ("sent", "indexed"):
        metrics.second_opinion_duration_seconds.labels(query)


def observe_feedback(metrics: Metrics, banks: Iterable[BankFeedback]) -> None:
    """Tell how many matches of each bank people judged right, wrong or unsure. Banks beyond the limit on
    labels are counted together."""
    # A dashboard shows the default bank before its first verdict too.
    default = metrics.bank_labels.of(DEFAULT_BANK)
    counts = Counter({(default, verdict): 0 for verdict in ("right", "wrong", "unsure")})
    for one in banks:
        label = metrics.bank_labels.of(one.bank)
        counts[label, "right"] += one.right
        counts[label, "wrong"] += one.wrong
        counts[label, "unsure"] += one.unsure
    for (label, verdict), count in counts.items():
        metrics.judged_matches.labels(label, verdict).set(count)


def observe_judged(metrics: Metrics, probability: Mapping[str, float]) -> None:
    """Tell how probable the judged matches of each bank were, without banks that share a label: a mean of
    means says nothing."""
    metrics.judged_probability.clear()
    # Without a verdict there is no number.
    metrics.judged_probability.labels(metrics.bank_labels.of(DEFAULT_BANK)).set(math.nan)
    for bank, mean in probability.items():
        if metrics.bank_labels.of(bank) == bank:
            metrics.judged_probability.labels(bank).set(mean)


def observe_jobs(metrics: Metrics, numbers: Mapping[str, int]) -> None:
    """Tell how many jobs there are, by state."""
    for state, number in numbers.items():
        metrics.jobs.labels(state).set(number)


def observe_searchable(metrics: Metrics, produced_at: Iterable[float]) -> None:
    """Observe the freshness of segments that just became searchable; produced_at: Unix seconds."""
    now = time.time()
    moments = list(produced_at)
    for moment in moments:
        metrics.freshness_seconds.observe(max(0.0, now - moment))
    metrics.segments_total.labels(STAGE, "done").inc(len(moments))


def watch_vectors(metrics: Metrics, answering: Callable[[], VideoIndex | None]) -> None:
    """Report, at each scrape, the number of vectors in the index that answers, of vectors that wait for
    the graph, which decreases during a merge, and of candidates that a search keeps."""

    def of_index(count: Callable[[VideoIndex], int]) -> Callable[[], float]:
        def read() -> float:
            index = answering()
            return 0.0 if index is None else float(count(index))

        return read

    live, dead = (metrics.index_vectors.labels(state) for state in ("live", "dead"))
    live.set_function(of_index(lambda index: index.stats.live))
    dead.set_function(of_index(lambda index: index.stats.dead))
    metrics.index_waiting_vectors.set_function(of_index(lambda index: index.waiting))
    metrics.index_search_candidates.set_function(of_index(lambda index: index.candidates))


# By label, the seconds that something waits at most: a video that is not complete since its last segment,
# one that is queued, and an event for a webhook, since then.
AGES = {"under_10m": 600.0, "under_1h": 3600.0, "under_1d": 86_400.0}
OLDEST = "over_1d"


def watch_staged(metrics: Metrics, answering: Callable[[], VideoIndex | None]) -> None:
    """Report, at each scrape, the number of incomplete videos of the index that answers, by the time
    since their last message."""

    def count(at: int) -> float:
        index = answering()
        if index is None:
            return 0.0
        try:
            return float(index.staging.idle(list(AGES.values()))[at])
        except StoryHashError:
            # It is being closed, or its disk is failing; the other metrics are told all the same.
            return math.nan

    for at, age in enumerate((*AGES, OLDEST)):
        metrics.staged_videos.labels(age).set_function(partial(count, at))


def watch_pending(metrics: Metrics, waiting_seconds: Callable[[], Sequence[float]]) -> None:
    """Report, at each scrape, the number of videos that wait to be indexed, by age."""

    def count(least: float, below: float) -> float:
        return float(sum(least <= seconds < below for seconds in waiting_seconds()))

    bounds = [0.0, *AGES.values(), math.inf]
    for age, least, below in zip((*AGES, OLDEST), bounds, bounds[1:], strict=False):
        metrics.pending_videos.labels(age).set_function(partial(count, least, below))
