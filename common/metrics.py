"""All Prometheus metrics. Base units, prefix `storyhash_`."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


@dataclass(frozen=True)
class Metrics:
    """One service's metrics. Label values: `stage` is ingest, embed or search; `outcome` of a segment
    is done, failed, stale or duplicate; `state` of vectors is live or dead; `queue` is match, search,
    embed or upload. `route` is a template, and banks beyond the first few share one label: callers cannot
    make the number of series grow without bound."""

    registry: CollectorRegistry
    bank_labels: BoundedLabels
    search_duration_seconds: Histogram
    query_duration_seconds: Histogram
    stage_duration_seconds: Histogram
    encode_duration_seconds: Histogram
    segments_total: Counter
    videos_total: Counter
    dead_letters_total: Counter
    retries_total: Counter
    freshness_seconds: Histogram
    consumer_lag_messages: Gauge
    consumer_lag_seconds: Gauge
    expired_messages_total: Counter
    index_vectors: Gauge
    index_waiting_vectors: Gauge
    index_recall_ratio: Gauge
    index_search_candidates: Gauge
    mirror_divergence_ratio: Gauge
    match_probability: Histogram
    staged_videos: Gauge
    http_requests_total: Counter
    http_request_duration_seconds: Histogram
    http_requests_in_progress: Gauge
    queue_running_requests: Gauge
    queue_waiting_requests: Gauge
    queue_refused_requests_total: Counter
    upload_bytes_total: Counter
    decisions_total: Counter
    judged_matches: Gauge
    judged_probability: Gauge
    jobs: Gauge
    pending_videos: Gauge
    webhook_deliveries_total: Counter
    webhook_pending_deliveries: Gauge
    data_free_bytes: Gauge
    data_size_bytes: Gauge
    last_backup_timestamp_seconds: Gauge
    background_thread_up: Gauge
    background_thread_deaths_total: Counter
    ready: Gauge

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

        def histogram(
            name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
        ) -> Histogram:
            return Histogram(f"storyhash_{name}", text, labels, buckets=buckets, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"storyhash_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"storyhash_{name}", text, labels, registry=registry)

        metrics = cls(
            registry=registry,
            bank_labels=BoundedLabels(_MAX_BANKS),
            search_duration_seconds=histogram(
                "search_duration_seconds", "Duration of one index search.", _SEARCH_BUCKETS
            ),
            query_duration_seconds=histogram(
                "query_duration_seconds", "Duration of one /v1/search request.", _SEARCH_BUCKETS
            ),
            stage_duration_seconds=histogram(
                "stage_duration_seconds",
                "Processing time of one batch, by stage.",
                _STAGE_BUCKETS,
                ("stage",),
            ),
            encode_duration_seconds=histogram(
                "encode_duration_seconds",
                "Inference time of one batch, by model.",
                _STAGE_BUCKETS,
                ("model",),
            ),
            segments_total=counter(
                "segments_total", "Segments processed, by stage and outcome.", ("stage", "outcome")
            ),
            videos_total=counter(
                "videos_total", "Videos processed, by stage and outcome.", ("stage", "outcome")
            ),
            dead_letters_total=counter(
                "dead_letters_total", "Dead letters, by reason.", ("stage", "reason")
            ),
            retries_total=counter(
                "retries_total",
                "Retries after a dependency failed, by component.",
                ("stage", "dependency"),
            ),
            freshness_seconds=histogram(
                "freshness_seconds",
                "Time from the production of a segment until it is searchable.",
                _FRESHNESS_BUCKETS,
            ),
            consumer_lag_messages=gauge(
                "consumer_lag_messages", "Consumer lag, in messages.", ("stage", "topic")
            ),
            consumer_lag_seconds=gauge(
                "consumer_lag_seconds",
                "Age of the messages that are read now, while more wait; 0 if none wait.",
                ("stage", "topic"),
            ),
            expired_messages_total=counter(
                "expired_messages_total",
                "Messages that expired before they were consumed.",
                ("topic",),
            ),
            index_vectors=gauge("index_vectors", "Vectors in the index.", ("state",)),
            index_waiting_vectors=gauge(
                "index_waiting_vectors",
                "Vectors not merged into the HNSW graph; searches compare every one of them.",
            ),
            index_recall_ratio=gauge(
                "index_recall_ratio", "Recall of the index against exact search, 0 to 1."
            ),
            index_search_candidates=gauge(
                "index_search_candidates",
                "Candidates kept while the HNSW graph is searched, as the recall target needs.",
            ),
            mirror_divergence_ratio=gauge(
                "mirror_divergence_ratio",
                "Fraction of videos whose data differ between the index and the mirror, 0 to 1.",
            ),
            match_probability=histogram(
                "match_probability", "Best match probability per query.", _PROBABILITY_BUCKETS
            ),
            staged_videos=gauge(
                "staged_videos",
                "Incomplete videos, by hours since their last segment arrived.",
                ("age",),
            ),
            http_requests_total=counter(
                "http_requests_total",
                "HTTP requests without health and metrics, by route template and status.",
                ("method", "route", "status"),
            ),
            http_request_duration_seconds=histogram(
                "http_request_duration_seconds",
                "Duration of HTTP requests from their first byte to the end of the response.",
                _REQUEST_BUCKETS,
                ("method", "route"),
            ),
            http_requests_in_progress=gauge(
                "http_requests_in_progress", "HTTP requests that are not answered yet."
            ),
            queue_running_requests=gauge(
                "queue_running_requests", "Requests that have a thread or a place.", ("queue",)
            ),
            queue_waiting_requests=gauge(
                "queue_waiting_requests", "Requests that wait for a thread.", ("queue",)
            ),
            queue_refused_requests_total=counter(
                "queue_refused_requests_total",
                "Requests refused because the queue was full.",
                ("queue",),
            ),
            upload_bytes_total=counter("upload_bytes_total", "Bytes of uploaded videos."),
            decisions_total=counter(
                "decisions_total",
                "Queries matched, by decision (copy, review, no_match) and bank of the best match.",
                ("bank", "decision"),
            ),
            judged_matches=gauge(
                "judged_matches",
                "Stored matches by their latest verdict (right, wrong, unsure) and bank; right / "
                "(right + wrong) is the precision.",
                ("bank", "verdict"),
            ),
            judged_probability=gauge(
                "judged_probability",
                "Mean probability of the stored matches that people judged right or wrong, by bank.",
                ("bank",),
            ),
            jobs=gauge("jobs", "Matching jobs in the state database, by state.", ("state",)),
            pending_videos=gauge(
                "pending_videos",
                "Videos that wait to be indexed, by time since they were queued.",
                ("age",),
            ),
            webhook_deliveries_total=counter(
                "webhook_deliveries_total",
                "Webhook deliveries, by outcome: delivered, failed (an attempt) or dead (given up).",
                ("outcome",),
            ),
            webhook_pending_deliveries=gauge(
                "webhook_pending_deliveries",
                "Webhook deliveries that are not accepted yet, by time since they were queued.",
                ("age",),
            ),
            data_free_bytes=gauge(
                "data_free_bytes", "Free disk space for the data folder, in bytes."
            ),
            data_size_bytes=gauge(
                "data_size_bytes", "Size of the disk of the data folder, in bytes."
            ),
            last_backup_timestamp_seconds=gauge(
                "last_backup_timestamp_seconds",
                "Unix time of the newest complete backup; 0 if the folder for backups has none.",
            ),
            background_thread_up=gauge(
                "background_thread_up",
                "1 while a background thread runs, 0 after it died.",
                ("thread",),
            ),
            background_thread_deaths_total=counter(
                "background_thread_deaths_total", "Background threads that died.", ("thread",)
            ),
            ready=gauge("ready", "1 if /readyz reports ready, else 0."),
        )
        # Until it is measured it is no number, least of all 0.
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

    @contextmanager
    def time_stage(self, stage: str) -> Iterator[None]:
        """Observe how long the block took as one batch of a stage."""
        with _observed(self.stage_duration_seconds.labels(stage).observe):
            yield

    def watch_data_folder(self, folder: Path) -> None:
        """Report, at each scrape, the free and the whole space of the folder's disk."""

        def told(part: int) -> float:
            try:
                return float(shutil.disk_usage(folder)[part])
            except OSError:
                # The other metrics are told all the same.
                return math.nan

        self.data_size_bytes.set_function(partial(told, 0))
        self.data_free_bytes.set_function(partial(told, 2))


@contextmanager
def _observed(observe: Callable[[float], None]) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        observe(time.perf_counter() - started)


def _version() -> str:
    try:
        return version("storyhash")
    except PackageNotFoundError:
        return "unknown"
