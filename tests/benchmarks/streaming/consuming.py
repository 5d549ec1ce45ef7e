"""A large log of embeddings taken in by a real searcher: rate, memory, and how long it takes to be back.

Bounds, measured in the same run: a bare kafka-python consumer that throws every message away, and the
mirror alone, written in the searcher's batches. Matching of new videos is off, as it is for replays.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from kafka import KafkaConsumer

from common.messaging.log_model import claim_log_model
from common.runtime_tuning import usable_cores
from common.settings import ServiceSettings
from common.types import Float32Array
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from tests.benchmarks.streaming.broker import Topics
from tests.benchmarks.streaming.synthetic import MODEL_ID, Catalogue
from tests.benchmarks.streaming.watching import Watch, cpu_seconds, memory_bytes, vectors
from tests.support.searcher import client_of
from tests.support.services import Deployment, Service

_PARTITIONS = 12
_CHECKED = 200
# The most that may be asked for: the whole neighbourhood, and a search as wide.
_WIDE = 1000
# As many come once the index is level, one for so many that were there.
_MORE = 20
_BOUND_MESSAGES = 50_000
_PATIENCE_SECONDS = 3600.0


def measure(servers: str, embeddings: int, folder: Path, fold_seconds: float) -> dict[str, Any]:
    """Every figure. fold_seconds: how long the graph may take to catch up after the log has."""
    catalogue = Catalogue(embeddings + embeddings // _MORE)
    first = range(len(catalogue) * _MORE // (_MORE + 1))
    more = range(first.stop, len(catalogue))
    with Topics(servers, _PARTITIONS) as topics:
        began = time.perf_counter()
        with contextlib.closing(topics.transport.publisher()) as publisher:
            claim_log_model(topics.transport, publisher, topics.names.embeddings, MODEL_ID)
            catalogue.publish(publisher, topics.names.embeddings, first)
        published = time.perf_counter() - began
        count = catalogue.segments(first)
        _say(f"{count} embeddings of {len(first)} videos published in {published:.0f} s")
        bounds = {
            "bare consumer, messages": _bare_consumer(servers, topics.names.embeddings),
            "mirror alone, embeddings": _mirror_alone(catalogue, folder / "bound"),
        }
        settings = {
            **topics.settings,
            "OMP_NUM_THREADS": str(usable_cores()),
            "STORYHASH_SERVICE__MATCH_NEW_VIDEOS": "false",
        }
        with Deployment(folder, servers, topics.kafka.topic_prefix, settings) as deployment:
            run = _Run(deployment.searcher(), catalogue, first, folder / "data")
            return {
                "embeddings": count,
                "videos": len(first),
                "bounds_per_second": bounds,
                **run.take_in(bounds),
                "folding": run.merge(fold_seconds),
                "queries while more come": run.more(topics, more),
                "recovery": run.recoveries(),
            }


class _Run:
    """One searcher through its life."""

    def __init__(self, service: Service, catalogue: Catalogue, videos: range, data: Path) -> None:
        self._service = service
        self._catalogue = catalogue
        self._count = catalogue.segments(videos)
        self._data = data
        rng = np.random.default_rng(17)
        chosen = rng.integers(0, len(videos), _CHECKED).tolist()
        self._checked: list[str] = []
        rows = []
        for number in chosen:
            part = int(rng.integers(len(made := catalogue.vectors(number))))
            self._checked.append(catalogue.segment_id(number, part))
            rows.append(made[part])
        self._vectors: Float32Array = np.stack(rows)

    def take_in(self, bounds: dict[str, int]) -> dict[str, Any]:
        """The whole log, from the start of the process to the last vector searchable."""
        began = time.monotonic()
        with Watch(self._service, self._vectors[:1]) as watch:
            self._until_ready()
            spent = time.monotonic() - began
            cpu = cpu_seconds(self._service.pid)
        nearest = self._check()
        count = self._count
        rate = count / spent
        memory = memory_bytes(self._service.pid)
        base = watch.anonymous[0]
        _say(f"taken in: {rate:.0f} a second, {watch.waiting[-1]:.0f} wait for the graph")
        return {
            "embeddings_per_second": round(rate),
            "of_which_in_the_last_tenth": round(watch.rate(0.9 * count, count)),
            "own_vector_nearest": round(nearest, 4),
            "processor_seconds": round(cpu, 1),
            "waiting_for_the_graph_at_the_end": round(watch.waiting[-1]),
            "memory": {
                "peak_resident_megabytes": round(memory["VmHWM"] / 1e6),
                "peak_own_megabytes": round(max(watch.anonymous) / 1e6),
                "own_bytes_a_vector_at_the_peak": round((max(watch.anonymous) - base) / count),
                "bytes_of_a_vector": self._vectors.shape[1] * 4,
            },
            "ratios": {
                "over the goal of 5,000 a second": round(rate / 5000, 2),
                "over the bare consumer": round(rate / bounds["bare consumer, messages"], 2),
                "over the mirror alone": round(rate / bounds["mirror alone, embeddings"], 2),
            },
        }

    def merge(self, patience_seconds: float) -> dict[str, Any]:
        """Until the graph has what it is to have, or patience ends; and queries then."""
        began = time.monotonic()
        with Watch(self._service, self._vectors[:1]) as watch:
            while time.monotonic() - began < patience_seconds:
                time.sleep(1)
                recent = watch.waiting[-5:]
                if len(recent) == 5 and len(set(recent)) == 1 and recent[0] < 5000:
                    break
            else:
                _say(f"after {patience_seconds:.0f} s {watch.waiting[-1]:.0f} still wait")
        nearest = self._check()
        memory = memory_bytes(self._service.pid)
        return {
            "own_vector_nearest": round(nearest, 4),
            "seconds": round(time.monotonic() - began),
            "waiting_at_the_end": round(watch.waiting[-1]),
            "query_milliseconds": watch.query_milliseconds(),
            "peak_own_megabytes": round(max(watch.anonymous) / 1e6),
            "own_megabytes_at_the_end": round(memory["RssAnon"] / 1e6),
        }

    def more(self, topics: Topics, videos: range) -> dict[str, Any]:
        """Queries one after another while further videos come, as fast as one producer can."""
        count = self._catalogue.segments(videos)
        with (
            contextlib.closing(topics.transport.publisher()) as publisher,
            Watch(self._service, self._vectors[:1], pause_seconds=0.02) as watch,
        ):
            began = time.monotonic()
            self._catalogue.publish(publisher, topics.names.embeddings, videos)
            while not watch.live or watch.live[-1] < self._count + count:
                time.sleep(0.05)
            spent = time.monotonic() - began
        return {
            "embeddings": count,
            "embeddings_per_second": round(count / spent),
            "waiting_at_the_most": round(max(watch.waiting)),
            "query_milliseconds": watch.query_milliseconds(),
        }

    def recoveries(self) -> dict[str, Any]:
        """From the start of a process that was killed to the moment it is ready."""
        self._service.stop()
        self._service.start()
        self._until_ready()
        return {
            "with a snapshot": self._recovery(lambda: None),
            "from the mirror, without a snapshot": self._recovery(
                lambda: shutil.rmtree(self._data / "snapshots")
            ),
            "from the log alone": self._recovery(lambda: shutil.rmtree(self._data)),
        }

    def _recovery(self, harm: Callable[[], None]) -> dict[str, float]:
        self._service.kill()
        self._service.gone()
        harm()
        began = time.monotonic()
        self._service.start()
        self._until_ready()
        spent = time.monotonic() - began
        self._check()
        with httpx.Client(base_url=self._service.url, timeout=60) as client:
            _, waiting = vectors(client)
        _say(f"back in {spent:.1f} s, {waiting:.0f} wait for the graph")
        return {"seconds": round(spent, 1), "waiting_for_the_graph": round(waiting)}

    def _until_ready(self) -> None:
        """Until it is level with the log and says so. Raises RuntimeError when it ends before."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with httpx.Client(base_url=self._service.url, timeout=60) as client:
            while time.monotonic() < deadline and self._service.running:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").is_success:
                        return
                time.sleep(0.1)
        raise RuntimeError(f"the searcher is not ready:\n{self._service.text()[-3000:]}")

    def _check(self) -> float:
        """The share of the segments asked for that are the nearest to their own vector; the graph is
        approximate. Raises RuntimeError for one that is not there at all."""
        with client_of(self._service) as client:
            found = client.search(self._vectors, k=1).items
            missed = [
                number
                for number, (name, hits) in enumerate(zip(self._checked, found, strict=True))
                if not hits or hits[0].segment_id != name
            ]
            for number in missed:
                (hits,) = client.search(self._vectors[number : number + 1], k=_WIDE).items
                if self._checked[number] not in {hit.segment_id for hit in hits}:
                    raise RuntimeError(
                        f"{self._checked[number]} is not found by its own vector: {hits[:1]}"
                    )
        return 1 - len(missed) / len(self._checked)


def _bare_consumer(servers: str, topic: str) -> int:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=servers.split(","),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=2000,
    )
    with contextlib.closing(consumer):
        next(consumer)
        began = time.perf_counter()
        count = 0
        for _ in consumer:
            count += 1
            if count == _BOUND_MESSAGES:
                break
            last = time.perf_counter()
    return round(count / (last - began))


def _mirror_alone(catalogue: Catalogue, folder: Path) -> int:
    size = ServiceSettings().batch_messages
    points = [one for number in range(min(len(catalogue), 800)) for one in catalogue.video(number)]
    mirror = QdrantEmbeddedMirror(folder, MODEL_ID)
    began = time.perf_counter()
    for start in range(0, len(points), size):
        mirror.upsert(points[start : start + size])
        mirror.flush()
    spent = time.perf_counter() - began
    mirror.close()
    shutil.rmtree(folder)
    return round(len(points) / spent)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
