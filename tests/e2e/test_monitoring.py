"""A real Prometheus scrapes services that really run: every panel shows something, every alert is
evaluated, and no expression asks for what nobody tells."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from common.kafka.transport import KafkaTransport
from common.messaging.transport import Message
from common.settings import KafkaSettings, VideoSettings
from common.types import VECTOR_DIMENSION
from scripts.dashboards.board import QDRANT, SERVE, Panel, Query
from storyhash.client import Client
from tests.conftest import skip_or_fail
from tests.deploy.files import (
    metric_names,
    panel_expressions,
    rule_expressions,
    services,
    settings_of,
)
from tests.e2e.conftest import draw
from tests.kafka_broker import KafkaBroker, can_run
from tests.support.http_server import Answer, content, serving
from tests.support.monitoring import Watched, grew, serve_watched, wait_for_recorded, wait_to_see
from tests.support.prometheus import Prometheus, prometheus
from tests.support.qdrant_cluster import QdrantCluster
from tests.support.services import Deployment, Service, write_manifest

JOBS = {"searcher", "embedder", "producer"}
# More than the producer sends while everything else happens. It gets one film at a time, each after a
# pause, so that it has work to the end, and leaves the processor to what is waited for.
COPIES = 400
FILM_SECONDS = 1.0
ONE_AT_A_TIME = {
    "STORYHASH_INGEST__WORKERS": "1",
    "STORYHASH_INGEST__ALLOWED_HOSTS": json.dumps(["127.0.0.1"]),
}
# A Qdrant server is not everywhere; an audit is to be seen, not waited for.
HERE = {"STORYHASH_SEARCHER__MIRROR": "edge", "STORYHASH_SERVICE__AUDIT_SECONDS": "1"}
SERVER = {"STORYHASH_SEARCHER__MIRROR": "server"}
# Longer than the embedder waits for a delivery, and than Prometheus waits to the next scrape.
PAUSE_SECONDS = 6.0
# A silent broker is given up on soon, so that the embedder tries again.
IMPATIENT = {
    "STORYHASH_KAFKA__REQUEST_TIMEOUT_SECONDS": "2",
    "STORYHASH_KAFKA__DELIVERY_TIMEOUT_SECONDS": "3",
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Services started as compose.yaml has them, while all that can happen to them happens once."""
    prometheus()
    if not can_run():
        skip_or_fail("kafka", "install Java 17 and Maven; the broker is paused in the middle")
    with kafka_watched(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@contextmanager
def kafka_watched(folder: Path) -> Iterator[Watched]:
    """The services over Kafka under Prometheus, until it has seen all that can happen to them."""
    films = [draw(folder / f"{seed}.mp4", seed, 2.0) for seed in range(4)]
    with (
        serving({f"/{film.name}": slowly(film) for film in films}) as address,
        KafkaBroker(folder / "kafka") as broker,
        Deployment(
            folder / "services", broker.bootstrap_servers, "watched", preloaded=True
        ) as deployment,
        ExitStack() as opened,
    ):
        qdrant = opened.enter_context(qdrant_server(folder / "qdrant"))
        mirror = HERE if qdrant is None else HERE | SERVER | {"STORYHASH_QDRANT__URL": qdrant}
        catalogue = folder / "films.jsonl"
        addresses = [f"{address}/{film.name}" for film in films]
        names = write_manifest(catalogue, addresses, COPIES)
        deployment.create_topics()
        # Before the films: behind their segments it would wait for as long as those take to embed.
        set_aside(deployment, b"this is no message of ours")
        run = {"embedder": started(deployment, "embedder", **IMPATIENT)}
        embedder = run["embedder"].url
        run["searcher"] = started(deployment, "searcher", **mirror, **asks(embedder))
        run["producer"] = started(deployment, "producer", catalogue, **ONE_AT_A_TIME)
        targets = {job: [urlsplit(service.url).netloc] for job, service in run.items()}
        if qdrant is not None:
            targets[QDRANT] = [urlsplit(qdrant).netloc]
        run["searcher"].ready()
        with Prometheus(folder / "prometheus", targets) as scraper:
            start = time.time()
            make_it_all_happen(scraper, run, broker, names[0])
            ended = [name for name, service in run.items() if not service.running]
            assert ended == [], "a service ended too early"
            yield Watched(scraper, start, time.time())


def slowly(film: Path) -> Answer:
    """A film that a server sends after a pause."""
    send = content(film.read_bytes())

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(FILM_SECONDS)
        send(handler)

    return answer


@contextmanager
def qdrant_server(folder: Path) -> Iterator[str | None]:
    """The address of a Qdrant server, from the executable that STORYHASH_TEST_QDRANT_SERVER names; None
    without one."""
    executable = os.environ.get("STORYHASH_TEST_QDRANT_SERVER")
    if not executable:
        yield None
        return
    folder.mkdir()
    with QdrantCluster(Path(executable), folder) as server:
        yield server.url


def make_it_all_happen(
    scraper: Prometheus, run: dict[str, Service], broker: KafkaBroker, video_id: str
) -> None:
    """One thing after another, each until Prometheus has seen it."""
    for job in run:
        wait_to_see(scraper, f'up{{job="{job}"}} == 1')
    wait_to_see(scraper, 'ALERTS{alertname="StoryHashDeadLetters", alertstate="firing"}')
    wait_to_see(scraper, grew('segments_total{stage="search", outcome="done"}'))
    interrupt(broker, scraper)
    with asking(run["searcher"].url, video_id):
        wait_to_see(scraper, grew("query_duration_seconds_count"))
        wait_to_see(scraper, grew("match_probability_count"))
        wait_to_see(scraper, grew('http_requests_total{route="/v1/match"}'))
        wait_to_see(scraper, "storyhash_index_recall_ratio >= 0")
        wait_for_recorded(scraper)


def interrupt(broker: KafkaBroker, scraper: Prometheus) -> None:
    """Pause the broker until the embedder has tried again. If it has nothing in hand at a pause, nothing
    fails; after it, what the producer had to keep back arrives at once."""
    deadline = time.monotonic() + 600
    while not scraper.now(grew("retries_total")):
        assert time.monotonic() < deadline, "no embedder tried again"
        broker.pause()
        try:
            time.sleep(PAUSE_SECONDS)
        finally:
            broker.resume()
        time.sleep(FILM_SECONDS)


def started(deployment: Deployment, job: str, *arguments: str | Path, **settings: str) -> Service:
    """One service with the command and the settings compose.yaml has for it, on this machine."""
    command, *_ = services()[job]["command"]
    elsewhere = ("KAFKA__BOOTSTRAP", "QDRANT__")
    own = {
        name: value
        for name, value in settings_of(job).items()
        if not any(part in name for part in elsewhere)
    }
    own["STORYHASH_DATA_DIR"] = str(deployment.folder / job)
    return deployment.service(job, command, *arguments, **(own | settings))


def asks(embedder: str) -> dict[str, str]:
    return {"STORYHASH_SERVICE__EMBEDDER_URLS": json.dumps([embedder])}


def set_aside(deployment: Deployment, value: bytes) -> None:
    """Send what no embedder can read."""
    kafka = KafkaSettings(
        bootstrap_servers=deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"],
        topic_prefix=deployment.prefix,
    )
    transport = KafkaTransport(kafka, VideoSettings())
    publisher = transport.publisher()
    publisher.publish(Message(f"{deployment.prefix}.segments", b"poison", value))
    publisher.flush()
    publisher.close()
    transport.close()


@contextmanager
def asking(url: str, video_id: str) -> Iterator[None]:
    """Queries of vectors and of a video, again and again meanwhile."""
    vectors = np.random.default_rng(7).standard_normal((2, VECTOR_DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    enough = threading.Event()

    def ask() -> None:
        with Client(url, timeout_seconds=300) as client:
            # The pause leaves the processor to what is waited for.
            while not enough.wait(2.0):
                client.search(vectors)
                client.match(video_id=video_id)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            yield
        finally:
            enough.set()
            asked.result()


def test_every_service_is_reached(watched: Watched) -> None:
    targets = watched.prometheus.ask("targets", state="active")["activeTargets"]
    assert watched.jobs() - {QDRANT} == JOBS
    assert [one["lastError"] for one in targets if one["health"] != "up"] == []


def test_every_metric_that_is_asked_for_is_told(watched: Watched) -> None:
    told = set(watched.prometheus.ask("label/__name__/values"))
    asked = {
        name
        for one in [*panel_expressions(), *rule_expressions()]
        for name in metric_names(one.text)
    }
    # They wait in `serve` alone; here is no second opinion.
    assert {name for name in asked - told if "second_opinion" not in name} == {
        "storyhash_pending_videos"
    }


def test_every_panel_and_every_rule_shows_what_it_should(watched: Watched) -> None:
    findings = watched.findings(watched.jobs())
    assert len(findings) > len(panel_expressions())
    assert [one for one in findings if one.problem] == []
    # All that can happen has happened here once: so these have something to show too.
    shown = {one.where.split(": ")[2] for one in findings if one.shows.startswith("nothing")}
    assert shown.isdisjoint({"Dead letters", "Retries per second"})


def test_a_metric_nobody_tells_would_leave_its_panel_empty(watched: Watched) -> None:
    nobody = Panel("x", "x", "s", (Query("rate(storyhash_no_such_total[1m])", ""),), ("searcher",))
    (found,) = watched.panel_findings("board", nobody, JOBS)
    assert found.problem == "empty"
    (elsewhere,) = watched.panel_findings("board", nobody, {"serve"})
    assert elsewhere.problem == ""
    broken = replace(nobody, shown=(Query("rate(storyhash_retries_total[", ""),))
    (found,) = watched.panel_findings("board", broken, JOBS)
    assert "parse error" in found.problem


def test_the_dead_letter_fires_its_alert_with_its_stage_and_reason(watched: Watched) -> None:
    firing = [
        one["labels"]
        for one in watched.prometheus.ask("alerts")["alerts"]
        if one["labels"]["alertname"] == "StoryHashDeadLetters" and one["state"] == "firing"
    ]
    assert [one["stage"] for one in firing] == ["embed"]
    assert all(one["reason"] for one in firing)


def test_nothing_else_fires(watched: Watched) -> None:
    assert watched.firing() == {"StoryHashDeadLetters"}


def test_serve_alone_shows_all_that_it_should_and_fires_no_alert(tmp_path: Path) -> None:
    prometheus()
    with serve_watched(tmp_path, partial(draw, seconds=2.0)) as alone:
        findings = alone.findings({SERVE})
        assert [one for one in findings if one.problem] == []
        assert alone.firing() == set()
        # What a person asked for is seen, not only /v1/search.
        (matched,) = alone.prometheus.now('storyhash_decisions_total{decision="copy"} > 0')
        assert matched >= 1
        routes = alone.prometheus.now(
            'sum by (status) (storyhash_http_requests_total{route="/v1/match"}) > 0'
        )
        assert len(routes) == 2
