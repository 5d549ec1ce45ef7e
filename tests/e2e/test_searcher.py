"""A searcher over a real Kafka: a damaged generation beside the one that answers ends nothing, and a log
that is deleted and created again is read from its beginning."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from kafka import KafkaAdminClient

from common.messaging.events import Event, LogModel
from common.messaging.transport import Message
from common.messaging.wire import Envelope, to_message
from searcher.storage.data_dir import FolderManifest, write_manifest
from tests.faults.stream import Topics, deployment_of, rows
from tests.support.embeddings import video
from tests.support.services import Deployment, Service, wait_until
from tests.unit.searcher.log.test_consumer import end

MODEL = "offline-0123456789ab"
_SECONDS = 600.0


def videos(rng: np.random.Generator, *names: str) -> list[Event]:
    """Whole videos of three segments each, as an embedder tells of them."""
    events: list[Event] = [LogModel(MODEL)]
    for name in names:
        events += [replace(one, model_id=MODEL) for one in video(rng, name, 3)]
        events.append(end(name, 3))
    return events


def publish(deployment: Deployment, events: Iterable[Event]) -> None:
    topics = Topics(deployment)
    publisher = topics.transport.publisher()
    for event in events:
        publisher.publish(to_message(topics.names.embeddings, Envelope(event)))
    # Its key names a segment, and that is all that can be read of it.
    bad = Message(topics.names.embeddings, b"bad@4000-8000#1", b"\xc1", partition_key=b"bad")
    publisher.publish(bad)
    publisher.flush()
    publisher.close()


def has(searcher: Service, *names: str) -> bool:
    found = rows(searcher)
    return all(found.get(name, {}).get("state") == "ready" for name in names)


def recreate(deployment: Deployment, servers: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.delete_topics([topic])
    deadline = time.monotonic() + _SECONDS
    while topic in {one["name"] for one in admin.describe_topics()}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic} is not deleted")
        time.sleep(0.1)
    admin.close()
    deployment.create_topics()


def test_a_searcher_outlives_a_damaged_generation_and_a_log_that_is_made_anew(
    kafka: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    with deployment_of(tmp_path, kafka, f"s{uuid.uuid4().hex[:12]}", preloaded=True) as deployment:
        deployment.create_topics()
        deployment.create_topics(STORYHASH_KAFKA__GENERATION="clip")
        publish(deployment, videos(rng, "a", "b"))
        searcher = deployment.searcher().ready()
        wait_until(lambda: has(searcher, "a", "b"), "both videos", _SECONDS)
        # The folder of a generation that was followed once, and is damaged.
        folder = deployment.folder / "data" / "generations" / "clip"
        folder.mkdir(parents=True)
        write_manifest(folder, FolderManifest("offline", MODEL, "edge"))
        (folder / "videos.sqlite").write_bytes(b"no database" * 1000)
        told = httpx.post(f"{searcher.url}/v1/generations", json={"generation": "clip"})
        assert told.status_code == 201, told.text

        def error() -> str:
            items = httpx.get(f"{searcher.url}/v1/generations").json()["items"]
            return next(one["error"] or "" for one in items if one["generation"] == "clip")

        wait_until(lambda: "videos.sqlite" in error(), "its error", _SECONDS)
        assert searcher.metric("storyhash_background_thread_up", thread="follow-clip") == 0
        ready = httpx.get(f"{searcher.url}/readyz")
        assert ready.status_code == 200
        assert "videos.sqlite" in ready.json()["warnings"]["generation clip: thread"]
        assert has(searcher, "a", "b")
        assert httpx.delete(f"{searcher.url}/v1/generations/clip").status_code == 204
        # While nobody looks, the log is made anew, and is longer than it was.
        searcher.kill()
        searcher.gone()
        recreate(deployment, kafka, Topics(deployment).names.embeddings)
        names = [f"new-{number}" for number in range(12)]
        publish(deployment, videos(rng, *names))
        searcher.start().ready()
        wait_until(lambda: has(searcher, "a", "b", *names), "all of the new log", _SECONDS)
        # Of the video that cannot be read something is known, and it is told.
        staged = httpx.get(f"{searcher.url}/v1/staged").json()["items"]
        assert [(one["video_id"], one["segments"]) for one in staged] == [("bad", 1)]


def test_a_deletion_that_a_crash_interrupts_is_told_after_the_next_start(
    kafka: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    prefix = f"s{uuid.uuid4().hex[:12]}"
    loopback = {"STORYHASH_WEBHOOKS__PRIVATE_HOSTS": '["127.0.0.1"]'}
    with deployment_of(tmp_path, kafka, prefix, preloaded=True, **loopback) as deployment:
        deployment.create_topics()
        publish(deployment, videos(rng, "a", "b"))
        searcher = deployment.service(
            *("searcher", "search", "--data", deployment.folder / "data"),
            module=("tests.faults.die_at_point", "deleted-in-the-index", "1"),
        ).ready()
        wait_until(lambda: has(searcher, "a", "b"), "both videos", _SECONDS)
        # Nobody listens there: what is to be delivered is listed all the same.
        hook = httpx.post(f"{searcher.url}/v1/webhooks", json={"url": "http://127.0.0.1:1/"})
        assert hook.status_code == 201, hook.text
        with pytest.raises(httpx.TransportError):
            httpx.delete(f"{searcher.url}/v1/videos/a", timeout=300)
        assert searcher.wait(_SECONDS) == -signal.SIGKILL
        searcher.gone()
        searcher.start().ready()
        deliveries = f"{searcher.url}/v1/webhooks/{hook.json()['id']}/deliveries"

        def told() -> list[object]:
            items = httpx.get(deliveries, timeout=300).json()["items"]
            events = [one["event"] for one in items]
            return [one["data"]["video_id"] for one in events if one["type"] == "video.deleted"]

        wait_until(lambda: told() == ["a"], "the event", _SECONDS)
        assert has(searcher, "b")
        assert not has(searcher, "a")
