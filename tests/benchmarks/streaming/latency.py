"""From produced to searchable while little is under way: segments through embedder and searcher, and
embeddings that are published directly.

Every video is sent on time at a rate well below capacity and asked for until it is ready, so its time is
exact to a few milliseconds; the searcher's own histogram of all segments stands beside it. The bound is a
message's way through the broker alone.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from kafka import KafkaConsumer, KafkaProducer

from common.messaging.log_model import claim_log_model
from common.messaging.transport import Message, Publisher
from tests.benchmarks.streaming.broker import Topics
from tests.benchmarks.streaming.films import Film
from tests.benchmarks.streaming.synthetic import MODEL_ID, Catalogue
from tests.support.background import Background
from tests.support.services import Deployment, Service

_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 120.0
_TRIPS = 200
_HISTOGRAM = "storyhash_freshness_seconds_bucket"

# The messages of a video under a name.
Video = Callable[[str], Iterable[Message]]


def measure(
    servers: str, films: Sequence[Film], videos: int, capacity: float, folder: Path
) -> dict[str, Any]:
    """Figures of so many videos each way. capacity: segments a second an embedder can do; the pace is a
    quarter of it."""
    bound = _broker_alone(servers)
    segments = sum(len(film.segments) for film in films) / len(films)
    through = _through_all(servers, films, videos, 0.25 * capacity / segments, folder / "all")
    direct = _direct(servers, videos, folder / "direct")
    return {
        "broker_alone_milliseconds": bound,
        "segments through embedder and searcher": through,
        "embeddings through the searcher": direct,
        "ratios": {
            "embeddings, p50 over the broker's p50": round(
                direct["video_milliseconds"]["p50"] / bound["p50"], 1
            ),
            "segments, p50 over embedding its segments alone": round(
                through["video_milliseconds"]["p50"] / (1000 * segments / capacity), 2
            ),
        },
    }


def _through_all(
    servers: str, films: Sequence[Film], videos: int, videos_per_second: float, folder: Path
) -> dict[str, Any]:
    with (
        Topics(servers) as topics,
        Deployment(folder, servers, topics.kafka.topic_prefix, topics.settings) as deployment,
    ):
        deployment.embedder().ready()
        searcher = deployment.searcher().ready()
        turns = iter(range(10**9))

        def film(name: str) -> Iterable[Message]:
            return films[next(turns) % len(films)].messages(topics.names.segments, name)

        with contextlib.closing(topics.transport.publisher()) as publisher:
            return _paced(searcher, publisher, film, videos, videos_per_second)


def _direct(servers: str, videos: int, folder: Path) -> dict[str, Any]:
    catalogue = Catalogue(100 * (videos + _warm(videos)))
    with (
        Topics(servers) as topics,
        Deployment(folder, servers, topics.kafka.topic_prefix, topics.settings) as deployment,
        contextlib.closing(topics.transport.publisher()) as publisher,
    ):
        topic = topics.names.embeddings
        claim_log_model(topics.transport, publisher, topic, MODEL_ID)
        searcher = deployment.searcher().ready()
        turns = iter(range(len(catalogue)))

        def made(name: str) -> Iterable[Message]:
            return catalogue.messages_of(topic, next(turns), name)

        return _paced(searcher, publisher, made, videos, 4.0)


def _paced(
    searcher: Service, publisher: Publisher, video: Video, videos: int, videos_per_second: float
) -> dict[str, Any]:
    """Send videos on time; the first tenth warms up and is not counted."""
    warm = _warm(videos)
    with _Watch(searcher) as watch:
        before: dict[float, float] = {}
        start = time.monotonic()
        for number in range(warm + videos):
            if number == warm:
                watch.wait_for_all()
                before = _buckets(searcher)
                start = time.monotonic() - number / videos_per_second
            time.sleep(max(0.0, start + number / videos_per_second - time.monotonic()))
            name = f"video-{uuid.uuid4().hex}"
            for message in video(name):
                publisher.publish(message)
            publisher.flush()
            watch.expect(name)
        watch.wait_for_all()
        after = _buckets(searcher)
    spent = np.array(watch.spent[warm:]) * 1000
    counted = {edge: after[edge] - before.get(edge, 0.0) for edge in after}
    return {
        "videos": videos,
        "videos_per_second": round(videos_per_second, 2),
        "segments": round(counted[float("inf")]),
        "video_milliseconds": _quantiles(spent),
        "segment_milliseconds_by_the_histogram": {
            "p50": round(1000 * _interpolated(counted, 0.5)),
            "p99": round(1000 * _interpolated(counted, 0.99)),
        },
    }


class _Watch(Background):
    """Asks a searcher for videos from the moment they are sent until they are ready."""

    def __init__(self, searcher: Service) -> None:
        self.spent: list[float] = []
        self._client = httpx.Client(base_url=searcher.url, timeout=30)
        self._expected: dict[str, float] = {}
        self._lock = threading.Lock()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._client.close()

    def expect(self, name: str) -> None:
        """It was sent just now."""
        with self._lock:
            self._expected[name] = time.monotonic()

    def wait_for_all(self) -> None:
        """Raises TimeoutError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with self._lock:
                if not self._expected:
                    return
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"never ready: {list(self._expected)[:3]}")

    def run(self) -> None:
        while not self.stopping.wait(_POLL_SECONDS):
            with self._lock:
                asked = list(self._expected.items())
            for name, since in asked:
                answer = self._client.get(f"/v1/videos/{name}")
                if answer.is_success and answer.json()["state"] == "ready":
                    self.spent.append(time.monotonic() - since)
                    with self._lock:
                        del self._expected[name]


def _buckets(searcher: Service) -> dict[float, float]:
    """The freshness histogram: how many took at most so many seconds."""
    found = {}
    for line in httpx.get(f"{searcher.url}/metrics", timeout=30).text.splitlines():
        if line.startswith(_HISTOGRAM):
            name, _, value = line.rpartition(" ")
            found[float(name.partition('le="')[2].rstrip('"}'))] = float(value)
    return found


def _interpolated(buckets: dict[float, float], quantile: float) -> float:
    """As Prometheus' histogram_quantile."""
    total = buckets[float("inf")]
    below, last = 0.0, 0.0
    for edge, count in sorted(buckets.items()):
        if count >= quantile * total:
            if edge == float("inf") or count == below:
                return last
            return last + (edge - last) * (quantile * total - below) / (count - below)
        below, last = count, edge
    return last


def _quantiles(values: Any) -> dict[str, float]:
    return {
        "p50": round(float(np.quantile(values, 0.5)), 1),
        "p99": round(float(np.quantile(values, 0.99)), 1),
    }


def _broker_alone(servers: str) -> dict[str, float]:
    """One message after another, acknowledged by all, until a bare consumer has it."""
    with Topics(servers, 1) as topics:
        topic = topics.names.embeddings
        producer = KafkaProducer(bootstrap_servers=servers.split(","), acks="all")
        consumer = KafkaConsumer(
            topic, bootstrap_servers=servers.split(","), auto_offset_reset="earliest"
        )
        with contextlib.closing(producer), contextlib.closing(consumer):
            spent = []
            for number in range(_TRIPS + 20):
                began = time.perf_counter()
                producer.send(topic, bytes(2300), str(number).encode())
                next(consumer)
                spent.append(time.perf_counter() - began)
    return _quantiles(np.array(spent[20:]) * 1000)


def _warm(videos: int) -> int:
    return max(2, videos // 10)
