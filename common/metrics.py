"""All Prometheus metrics. Base units, prefix `storyhash_`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

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
_PROBABILITY_BUCKETS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Metrics:
    """One service's metrics. Label values: `stage` is ingest, embed or search; `outcome` of a segment
    is done, failed, stale or duplicate; `state` of vectors is live or dead."""

    registry: CollectorRegistry
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
    expired_messages_total: Counter
    index_vectors: Gauge
    index_waiting_vectors: Gauge
    index_recall_ratio: Gauge
    index_search_candidates: Gauge
    mirror_divergence_ratio: Gauge
    match_probability: Histogram
    staged_videos: Gauge
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

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(f"storyhash_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"storyhash_{name}", text, labels, registry=registry)

        metrics = cls(
            registry=registry,
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
        for measured in (metrics.index_recall_ratio, metrics.mirror_divergence_ratio):
            measured.set(math.nan)
        return metrics

    @contextmanager
    def time_stage(self, stage: str) -> Iterator[None]:
        """Observe how long the block took as one batch of a stage."""
        with _observed(self.stage_duration_seconds.labels(stage).observe):
            yield


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
