"""Services on a broker as a scenario sees them: what lies in their topics, and what is searchable."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from kafka import KafkaConsumer, TopicPartition

from common.errors import StoryHashError, WireError
from common.kafka.transport import KafkaTransport
from common.messaging.events import Event, MatchEvent
from common.messaging.topics import TopicNames
from common.messaging.transport import ReceivedMessage
from common.messaging.wire import from_message
from common.settings import KafkaSettings, VideoSettings
from common.types import Embedding, Float32Array
from tests.support.background import Background
from tests.support.searcher import client_of
from tests.support.services import Deployment, Service

# Small clips: what is tried is delivery, not pictures. A wide beam and few rows before the graph takes
# them: builds happen in every run, and answers are still exact enough to compare.
SETTINGS = {
    "STORYHASH_VIDEO__SHORT_SIDE": "128",
    "STORYHASH_VIDEO__FRAMES_PER_SECOND": "4",
    "STORYHASH_INGEST__WORKERS": "1",
    # Where everything shares a few cores a decoder may have to wait for its turn.
    "STORYHASH_VIDEO__STALL_SECONDS": "300",
    "STORYHASH_SEARCHER__DELTA_ROWS": "400",
    "STORYHASH_SEARCHER__EF_SEARCH": "512",
    "STORYHASH_SERVICE__SNAPSHOT_SECONDS": "5",
    "STORYHASH_SERVICE__AUDIT_SECONDS": "5",
}
_SAME = 1e-4
# The most that may be asked for.
_WIDE = 1000


class Topics:
    """What lies in the topics of a deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._servers = deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
        self._kafka = KafkaSettings(bootstrap_servers=self._servers, topic_prefix=deployment.prefix)
        self.names = TopicNames.of(self._kafka)

    @property
    def transport(self) -> KafkaTransport:
        return KafkaTransport(self._kafka, VideoSettings())

    def messages(self, topic: str) -> Iterator[ReceivedMessage]:
        """Everything that lies there, tombstones included."""
        yield from self.transport.scan(topic)

    def events(self, topic: str) -> Iterator[Event]:
        """Every event; what is none of ours is passed over."""
        for received in self.messages(topic):
            if received.value is not None:
                with contextlib.suppress(WireError):
                    yield from_message(received).event

    def embeddings(self) -> dict[str, Embedding]:
        """What the log holds of segments by id, the newest version of each."""
        found: dict[str, Embedding] = {}
        for event in self.events(self.names.embeddings):
            if isinstance(event, Embedding):
                held = found.get(event.ref.segment_id)
                if held is None or held.ref.version <= event.ref.version:
                    found[event.ref.segment_id] = event
        return found

    def matches(self) -> Counter[str]:
        """How often each video's match was published."""
        told = self.events(self.names.matches)
        return Counter(event.video_id for event in told if isinstance(event, MatchEvent))

    def written(self, topic: str) -> int:
        """Messages ever written to a topic."""
        consumer = KafkaConsumer(bootstrap_servers=self._servers.split(","))
        try:
            places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
            return sum(consumer.end_offsets(places).values())
        finally:
            consumer.close()


def rows(service: Service) -> dict[str, dict[str, Any]]:
    """The searcher's catalogue; empty while it does not answer."""
    try:
        with client_of(service) as client:
            return {
                row.video_id: row.model_dump(exclude_unset=True)
                for row in client.all_videos(limit=500)
            }
    except (StoryHashError, RuntimeError):
        return {}


def settled(service: Service, names: Collection[str]) -> bool:
    """Whether all of these have become what they will be."""
    found = rows(service)
    return all(found.get(name, {}).get("state") in ("ready", "failed") for name in names)


def all_ready(service: Service, names: Collection[str]) -> bool:
    """Whether all of these are searchable."""
    found = rows(service)
    return all(found.get(name, {}).get("state") == "ready" for name in names)


def delete(service: Service, name: str) -> int:
    """Ask for a deletion; the status, or 0 when the service died over it."""
    try:
        return httpx.delete(f"{service.url}/v1/videos/{name}", timeout=300).status_code
    except httpx.TransportError:
        return 0


def searchable_segments(service: Service) -> int:
    """Segments of whole videos, as the catalogue counts them."""
    return sum(row["segments"] for row in rows(service).values())


def query_vectors(log: dict[str, Embedding], most: int = 300) -> Float32Array:
    """Different vectors of the log, in an order that depends on nothing but them."""
    distinct = {one.vector.tobytes(): one.vector for one in log.values() if one.informative}
    chosen = [distinct[key] for key in sorted(distinct)]
    return np.stack(chosen[:most])


def not_once(service: Service, log: dict[str, Embedding]) -> list[str]:
    """How it is not so that every informative segment of the log is found exactly once by its vector,
    and nothing else is as near."""
    groups: dict[bytes, set[str]] = defaultdict(set)
    for segment_id, one in log.items():
        if one.informative:
            groups[one.vector.tobytes()].add(segment_id)
    largest = max(map(len, groups.values()))
    wrong = []
    with client_of(service) as client:
        keys = sorted(groups)
        for start in range(0, len(keys), 100):
            part = keys[start : start + 100]
            vectors = np.stack([np.frombuffer(key, dtype=np.float32) for key in part])
            for key, hits in zip(part, client.search(vectors, k=largest + 20).items, strict=True):
                found = [hit.segment_id for hit in hits if hit.score > 1 - _SAME]
                if groups[key] - {*found}:
                    # A graph whose every link leads to the same vector again is searched more widely.
                    own = np.frombuffer(key, dtype=np.float32)[None]
                    (hits,) = client.search(own, k=_WIDE).items
                    found = [hit.segment_id for hit in hits if hit.score > 1 - _SAME]
                wrong += [f"{name} is found twice" for name in {*found} if found.count(name) > 1]
                wrong += [f"{name} is not found" for name in groups[key] - {*found}]
                # Other segments may be as near; those the log does not hold may not be there at all.
                wrong += [f"{name} is found and is not in the log" for name in {*found} - {*log}]
    return wrong


def mended(service: Service) -> list[str]:
    """What a searcher's audits found to differ between index and mirror since it was first started."""
    lines = service.log.read_text(errors="replace").splitlines()
    return [line for line in lines if " storyhash.audit: " in line]


@dataclass
class Watch(Background):
    """Samples how many segments are searchable, in a thread: (seconds since the start, count)."""

    service: Service
    samples: list[tuple[float, int]] = field(default_factory=list)
    unready: dict[str, float] = field(default_factory=dict)

    @property
    def longest_interruption_seconds(self) -> float:
        """The longest time in which nothing became searchable, from the first to the last that did."""
        moments = []
        most = 0
        for at, count in self.samples:
            if count > most:
                moments.append(at)
                most = count
        return max((b - a for a, b in itertools.pairwise(moments)), default=0.0)

    def run(self) -> None:
        began = time.monotonic()
        while not self.stopping.wait(0.25):
            count = searchable_segments(self.service)
            self.samples.append((time.monotonic() - began, count))
            for reason in unready(self.service).values():
                self.unready.setdefault(reason, time.monotonic() - began)


def unready(service: Service) -> dict[str, str]:
    """Why a service says it is not ready; empty when it is or when it does not answer."""
    try:
        answer = httpx.get(f"{service.url}/readyz", timeout=5)
        return {} if answer.status_code == 200 else dict(answer.json()["reasons"])
    except (httpx.HTTPError, RuntimeError):
        return {}


def start_all(deployment: Deployment, embedders: int = 2) -> None:
    """Topics, embedders and the searcher; the producer is the scenario's own."""
    deployment.create_topics()
    for number in range(embedders):
        deployment.embedder(number + 1)
    deployment.searcher()


def deployment_of(
    folder: Path, servers: str, prefix: str, *, preloaded: bool = False, **settings: str
) -> Deployment:
    """One with the settings of all scenarios, and these."""
    return Deployment(
        folder / prefix, servers, prefix, {**SETTINGS, **settings}, preloaded=preloaded
    )
