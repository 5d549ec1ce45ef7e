"""All Prometheus metrics. Base units, prefix `storyhash_`."""

from __future__ import annotations

import math
import shutil
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# 10 us to 100 ms with the promise, 1 ms, a boundary.
_SEARCH_BUCKETS = (
    *(1e-5, 2.5e-5, 5e-5, 1e-4, 1.5e-4, 2.5e-4, 5e-4, 7.5e-4, 1e-3),
    *(2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1),
)
_STAGE_BUCKETS = (1e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_FRESHNESS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600)
# From a search to the match of a long video.
_REQUEST_BUCKETS = (
    *(5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30, 60, 300, 1800),
)
_PROBABILITY_BUCKETS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

# Stages of each service.
_STAGES = {
    "serve": ("ingest", "embed", "search"),
    **{stage: (stage,) for stage in ("ingest", "embed", "search")},
}
# Banks beyond these share one label.
_MAX_BANKS = 32


class BoundedLabels:
    """The values of a label that users choose: the first `most` different ones, then one for all others.
    Thread-safe."""

    OTHER = "(other)"

    def __init__(self, most: int) -> None:
        self._most = most
        self._shown: set[str] = set()
        self._lock = threading.Lock()

    def of(self, value: str) -> str:
        """The label of a value."""
        with self._lock:
            if value not in self._shown and len(self._shown) >= self._most:
                return self.OTHER
            self._shown.add(value)
            return value


_MAKE = "make"


def _histogram(text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Any:
    make = partial(Histogram, documentation=text, labelnames=labels, buckets=buckets)
    return field(metadata={_MAKE: make})


def _counter(text: str, labels: tuple[str, ...] = ()) -> Any:
    return field(metadata={_MAKE: partial(Counter, documentation=text, labelnames=labels)})


def _gauge(text: str, labels: tuple[str, ...] = ()) -> Any:
    return field(metadata={_MAKE: partial(Gauge, documentation=text, labelnames=labels)})


@dataclass(frozen=True)
class Metrics:
    """One service's metrics. `route` is a template, and banks beyond the first few share one label, so
    that callers cannot make the number of series grow without bound."""

    registry: CollectorRegistry
    bank_labels: BoundedLabels
    search_duration_seconds: Histogram = _histogram(
        "Duration of one index search.", _SEARCH_BUCKETS
    )
    query_duration_seconds: Histogram = _histogram(
        "Duration of one /v1/search request.", _SEARCH_BUCKETS
    )
    stage_duration_seconds: Histogram = _histogram(
        "Processing time of one batch, by stage.", _STAGE_BUCKETS, ("stage",)
    )
    encode_duration_seconds: Histogram = _histogram(
        "Inference time of one batch, by model.", _STAGE_BUCKETS, ("model",)
    )
    segments_total: Counter = _counter(
        "Segments, by stage (ingest, embed, search) and outcome (done, failed, stale, duplicate).",
        ("stage", "outcome"),
    )
    videos_total: Counter = _counter(
        "Videos processed, by stage and outcome.", ("stage", "outcome")
    )
    dead_letters_total: Counter = _counter(
        "Dead letters, by stage and reason (an error code).", ("stage", "reason")
    )
    retries_total: Counter = _counter(
        "Retries after a dependency failed, by stage and dependency.", ("stage", "dependency")
    )
    freshness_seconds: Histogram = _histogram(
        "Time from the production of a segment until it is searchable.", _FRESHNESS_BUCKETS
    )
    consumer_lag_messages: Gauge = _gauge("Consumer lag, in messages.", ("stage", "topic"))
    consumer_lag_seconds: Gauge = _gauge(
        "Consumer lag, in seconds: age of the message that was read last; 0 if no message waits.",
        ("stage", "topic"),
    )
    expired_messages_total: Counter = _counter(
        "Messages that expired before they were consumed.", ("topic",)
    )
    index_vectors: Gauge = _gauge(
        "Vectors in the index, by state: live or dead (deleted, not yet removed).", ("state",)
    )
    index_waiting_vectors: Gauge = _gauge(
        "Vectors not merged into the HNSW graph; searches compare every one of them."
    )
    index_recall_ratio: Gauge = _gauge("Recall of the index against exact search, 0 to 1.")
    index_search_candidates: Gauge = _gauge(
        "Candidates kept while the HNSW graph is searched (chosen by the recall target)."
    )
    mirror_divergence_ratio: Gauge = _gauge(
        "Fraction of videos whose data differ between the index and the mirror, 0 to 1."
    )
    match_probability: Histogram = _histogram(
        "Best match probability per query.", _PROBABILITY_BUCKETS
    )
    staged_videos: Gauge = _gauge(
        "Incomplete videos, by hours since their last segment arrived.", ("age",)
    )
    http_requests_total: Counter = _counter(
        "HTTP requests without health and metrics, by route template and status.",
        ("method", "route", "status"),
    )
    http_request_duration_seconds: Histogram = _histogram(
        "Duration of HTTP requests from their first byte to the end of the response.",
        _REQUEST_BUCKETS,
        ("method", "route"),
    )
    http_requests_in_progress: Gauge = _gauge("HTTP requests that are not answered yet.")
    queue_running_requests: Gauge = _gauge(
        "Requests that run, by queue (match, search, embed, upload).", ("queue",)
    )
    queue_waiting_requests: Gauge = _gauge("Requests that wait, by queue.", ("queue",))
    queue_refused_requests_total: Counter = _counter(
        "Requests refused because the queue was full.", ("queue",)
    )
    upload_bytes_total: Counter = _counter("Bytes of uploaded videos.")
    decisions_total: Counter = _counter(
        "Queries matched, by decision (copy, review, no_match) and bank of the best match.",
        ("bank", "decision"),
    )
    second_opinions_total: Counter = _counter(
        "Queries without a copy about which the second opinion was asked, by outcome: copy or review (it "
        "alone led to this decision), unchanged, or not_indexed (it does not have the video yet).",
        ("outcome",),
    )
    second_opinion_duration_seconds: Histogram = _histogram(
        "Time of one second opinion, by query: sent (a file or an address, which is embedded again) or "
        "indexed (a video of the catalogue).",
        _REQUEST_BUCKETS,
        ("query",),
    )
    second_opinion_missing_videos: Gauge = _gauge(
        "Searchable videos that the second index of `serve` does not have, by state: waiting or failed.",
        ("state",),
    )
    judged_matches: Gauge = _gauge(
        "Stored matches by their latest verdict (right, wrong, unsure) and bank; the precision is "
        "right / (right + wrong).",
        ("bank", "verdict"),
    )
    judged_probability: Gauge = _gauge(
        "Mean probability of the stored matches that people judged right or wrong, by bank.",
        ("bank",),
    )
    jobs: Gauge = _gauge("Matching jobs in the state database, by state.", ("state",))
    pending_videos: Gauge = _gauge(
        "Videos that wait to be indexed, by time since they were queued.", ("age",)
    )
    webhook_deliveries_total: Counter = _counter(
        "Webhook deliveries, by outcome: delivered, failed (an attempt) or dead (given up).",
        ("outcome",),
    )
    webhook_pending_deliveries: Gauge = _gauge(
        "Webhook deliveries that are not accepted yet, by time since they were queued.", ("age",)
    )
    data_free_bytes: Gauge = _gauge("Free disk space for the data folder, in bytes.")
    data_size_bytes: Gauge = _gauge("Size of the disk of the data folder, in bytes.")
    last_backup_timestamp_seconds: Gauge = _gauge(
        "Unix time of the newest complete backup; 0 if the folder for backups has none."
    )
    background_thread_up: Gauge = _gauge(
        "1 while a background thread runs, 0 after it died.", ("thread",)
    )
    background_thread_deaths_total: Counter = _counter("Background threads that died.", ("thread",))
    ready: Gauge = _gauge("1 if /readyz reports ready, else 0.")

    @classmethod
    def create(cls, service: str) -> Metrics:
        """A registry of its own with every metric in it, and the process' own beside."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info(
            "storyhash_build",
            "Version and name of the running service; always 1.",
            registry=registry,
        ).info({"version": _version(), "service": service})

        made = {
            one.name: one.metadata[_MAKE](f"storyhash_{one.name}", registry=registry)
            for one in fields(cls)
            if _MAKE in one.metadata
        }
        metrics = cls(registry, BoundedLabels(_MAX_BANKS), **made)
        # NaN until measured, because 0 would be a value.
        for measured in (
            *(metrics.index_recall_ratio, metrics.mirror_divergence_ratio),
            *(metrics.data_free_bytes, metrics.data_size_bytes),
            metrics.last_backup_timestamp_seconds,
        ):
            measured.set(math.nan)
        # From 0, so that a rate sees the first one too.
        for stage in _STAGES.get(service, ()):
            for outcome in ("done", "failed"):
                metrics.segments_total.labels(stage, outcome)
                if stage != "embed":
                    metrics.videos_total.labels(stage, outcome)
        return metrics

    def time_stage(self, stage: str) -> AbstractContextManager[object]:
        """Observe how long the block took as one batch of a stage."""
        return self.stage_duration_seconds.labels(stage).time()

    def watch_data_folder(self, folder: Path) -> None:
        """Report, at each scrape, the free and the whole space of the folder's disk."""

        def measured(part: int) -> float:
            try:
                return float(shutil.disk_usage(folder)[part])
            except OSError:
                # The other metrics are still reported.
                return math.nan

        self.data_size_bytes.set_function(partial(measured, 0))
        self.data_free_bytes.set_function(partial(measured, 2))


def _version() -> str:
    try:
        return version("storyhash")
    except PackageNotFoundError:
        return "unknown"
