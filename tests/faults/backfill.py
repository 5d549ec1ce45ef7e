"""Live videos are sent while a long backlog lies in the backfill lane: none waits for more than the one
batch that was in work when it came."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from common.messaging.events import VideoEnd
from common.messaging.wire import Envelope, to_message
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment, SegmentRef
from ingest.clip_packer import produce
from tests.faults.command_variants import JOURNAL, SLOWNESS
from tests.faults.compare_catalogues import SECONDS
from tests.faults.harness import Trial, run
from tests.faults.network_delay import Distance
from tests.faults.stream import SETTINGS, Topics, all_ready, deployment_of
from tests.faults.videos import draw, manifest, sources
from tests.kafka_broker import KafkaBroker
from tests.kafka_broker.broker import free_ports
from tests.support.services import Deployment, wait_until

_DISTANCE_SECONDS = 0.04


@dataclass(frozen=True)
class Live:
    """One live video: when it was acknowledged by the broker, and how long until it was searchable."""

    name: str
    acknowledged_at: float
    seconds: float


def backfill(trial: Trial) -> None:
    """The scenario."""
    # A graphics card takes large batches for long, and its broker is seldom on the same machine.
    near, far = Lanes(trial, "near", 1200, 300, 0.0), Lanes(trial, "far", 160, 60, 0.6)
    if trial.wants("near"):
        with KafkaBroker(trial.folder / "kafka-near") as broker:
            near.run(broker)
    if trial.wants("far"):
        ports = free_ports(3)
        listeners = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports[2]}"}
        broker = KafkaBroker(
            trial.folder / "kafka-far", ports=(ports[0], ports[1]), config=listeners
        )
        with broker, Distance(ports[2], ports[0], _DISTANCE_SECONDS):
            far.run(broker)


class Lanes:
    """A backlog of segments in one lane while live videos come on the other. slowness: seconds that a
    batch takes longer than it needs."""

    def __init__(self, trial: Trial, name: str, full: int, quick: int, slowness: float) -> None:
        self.trial = trial
        self.name = name
        self._segments = trial.size(full, quick)
        self._slowness = slowness

    def run(self, broker: KafkaBroker) -> None:
        with deployment_of(self.trial.folder, broker.bootstrap_servers, self.name) as deployment:
            self._run(deployment)

    def _run(self, deployment: Deployment) -> None:
        trial, name = self.trial, self.name
        work = manifest(trial.folder / f"{name}.jsonl", sources(trial), self._segments)
        deployment.create_topics()
        producer = deployment.service(
            *("producer", "ingest", work.path, "--backfill"),
            *("--data", deployment.folder / "producer", "--json"),
        )
        if producer.wait(SECONDS):
            raise RuntimeError(producer.text())
        topics = Topics(deployment)
        backlog = topics.written(topics.names.backfill)
        journal = deployment.folder / "journal.jsonl"
        embedder = deployment.service(
            *("embedder-1", "embed"),
            module=("tests.faults.command_variants", "watched"),
            **{JOURNAL: str(journal), SLOWNESS: str(self._slowness)},
        )
        searcher = deployment.searcher().ready()
        embedder.ready()
        wait_until(journal.exists, "a first batch", 60)
        segment = _segment(trial.folder)
        count = trial.size(40, 15)
        busy = _send(deployment, segment, "busy", count)
        trial.promise(
            f"{name}: the backlog lasted while live videos were sent",
            all_ready(searcher, work.names),
        )
        wait_until(lambda: all_ready(searcher, work.names), "the backlog", SECONDS, 0.5)
        idle = _send(deployment, segment, "idle", count)
        batches = [json.loads(line) for line in journal.read_text().splitlines()]
        waited = _batches_before(topics, batches, busy)
        trial.promise(
            f"{name}: no live video waits for more than one batch of the backlog",
            [f"{video}: {count}" for video, count in waited.items() if count > 1],
        )
        slow = [one["ended"] - one["began"] for one in batches if _is_backfill(topics, one)]
        trial.figures[name] = {
            "backlog_messages": backlog,
            "backfill_batches": len(slow),
            "backfill_batch_seconds": _quantiles(slow),
            "produced_to_searchable_seconds": {
                "with a backlog": _quantiles([one.seconds for one in busy]),
                "without": _quantiles([one.seconds for one in idle]),
            },
            "batches_waited_for": {
                str(count): list(waited.values()).count(count)
                for count in sorted({*waited.values()})
            },
        }


def _segment(folder: Path) -> Segment:
    """A clip as a producer makes it."""
    settings = VideoSettings(
        short_side=int(SETTINGS["STORYHASH_VIDEO__SHORT_SIDE"]),
        frames_per_second=float(SETTINGS["STORYHASH_VIDEO__FRAMES_PER_SECOND"]),
    )
    film = draw(folder / "live.mp4", 99, 4.0)
    made = produce(CatalogEntry("live", str(film)), film, 1, settings, IngestSettings())
    (segment,) = (one for one in made if isinstance(one, Segment))
    return segment


def _send(deployment: Deployment, segment: Segment, kind: str, count: int) -> list[Live]:
    """Videos of one segment, each sent once the one before is searchable."""
    topics = Topics(deployment)
    publisher = topics.transport.publisher()
    client = httpx.Client(base_url=deployment.services["searcher"].url, timeout=60)
    sent = []
    for number in range(count):
        name = f"{kind}-{number:03d}"
        ref = SegmentRef(name, 0.0, 4.0, time.time_ns() // 1_000_000)
        end = VideoEnd(CatalogEntry(name, "/live"), ref.version, "complete", 4.0, 1)
        began = time.time()
        for event in (Segment(ref, segment.clip), end):
            publisher.publish(to_message(topics.names.segments, Envelope(event)))
        publisher.flush()
        acknowledged = time.time()
        while client.get(f"/v1/videos/{name}").status_code != 200:
            time.sleep(0.005)
        sent.append(Live(name, acknowledged, time.time() - began))
        # Not in step with the batches.
        time.sleep(0.05 * (number % 7))
    publisher.close()
    client.close()
    return sent


def _batches_before(
    topics: Topics, batches: Sequence[dict[str, Any]], sent: Sequence[Live]
) -> dict[str, int]:
    """Batches of the backlog that were in work between the arrival of each live video and its own."""
    lies = {
        (one.topic, one.partition, one.offset): one.key.decode().partition("@")[0]
        for one in topics.messages(topics.names.segments)
    }
    began: dict[str, float] = {}
    for batch in batches:
        for place in batch["lies"]:
            name = lies.get(tuple(place))
            if name is not None:
                began.setdefault(name, batch["began"])
    return {
        one.name: sum(
            _is_backfill(topics, batch)
            and batch["ended"] > one.acknowledged_at
            and batch["began"] < began[one.name]
            for batch in batches
        )
        for one in sent
    }


def _is_backfill(topics: Topics, batch: dict[str, Any]) -> bool:
    return any(place[0] == topics.names.backfill for place in batch["lies"])


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(float(np.median(seconds)), 3),
        "p99": round(float(np.quantile(seconds, 0.99)), 3),
        "max": round(max(seconds), 3),
    }


if __name__ == "__main__":
    run("backfill", __doc__, backfill)
