"""Two generations on a real broker: the second one is asked where the active one finds no copy."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.kafka.topics import create_topics
from common.kafka.transport import KafkaTransport
from common.messaging.events import MatchEvent
from common.messaging.topics import TopicNames
from common.messaging.wire import from_message
from common.settings import Settings, load_settings
from ingest.catalogue import list_catalog
from storyhash.open_state import open_state
from storyhash.services.streaming import match_publisher
from storyhash.services.streaming.embed_service import run_embedder
from storyhash.services.streaming.ingest_service import run_ingest
from storyhash.services.streaming.search_service import run_searcher
from tests.e2e.conftest import draw
from tests.kafka_broker.broker import free_ports
from tests.support.plain_backend import plain_sscd
from tests.support.services import wait_until

SECONDS = 600.0


class Streaming:
    """An embedder of either profile and a searcher, in threads of this process."""

    def __init__(self, servers: str, folder: Path) -> None:
        self._folder = folder
        ports = self._ports = free_ports(3)
        embedders = [f"http://127.0.0.1:{port}" for port in ports[:2]]
        self.url = f"http://127.0.0.1:{ports[2]}"
        self._kafka = {
            "bootstrap_servers": servers,
            "topic_prefix": f"second-{uuid.uuid4().hex[:8]}",
            "partitions": 1,
        }
        first = self._settings("first", ports[0], profile="sscd-motion")
        second = self._settings("second", ports[1], generation="offline", profile="offline")
        self.searcher = self._settings(
            *("search", ports[2]),
            service={"embedder_urls": embedders},
            second_opinion={"generation": "offline"},
        )
        for settings in (first, second):
            create_topics(settings.kafka, settings.video)
        for settings in (first, second, self.searcher):
            # Two threads cannot make the tables of two state databases at once; processes can.
            with open_state(settings):
                pass
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=run, args=(settings, self._stopping))
            for run, settings in (
                (run_embedder, first),
                (run_embedder, second),
                (run_searcher, self.searcher),
            )
        ]
        for thread, port in zip(self._threads, ports, strict=True):
            thread.start()
            # Pydantic cannot build the models of two applications at once; processes can.
            self.until(partial(_answers, port), "a service to start")

    def _settings(self, name: str, port: int, generation: str = "", **more: Any) -> Settings:
        kafka = {**self._kafka, "generation": generation}
        data = self._folder / name
        return load_settings(data_dir=data, kafka=kafka, http={"port": port}, **more)

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait, for as long as all services run."""

        def holds() -> bool:
            started = [thread for thread in self._threads if thread.ident is not None]
            assert all(thread.is_alive() for thread in started), "a service has ended"
            return true()

        wait_until(holds, what, SECONDS, 0.2)

    def ready(self) -> bool:
        return _answers(self._ports[2], "readyz")

    def send(self, folder: Path) -> None:
        """Have a producer send the videos of a folder."""
        run_ingest(
            self._settings("ingest", 0),
            list_catalog([str(folder)]).videos,
            backfill=False,
            again=False,
            on_plan=lambda _: lambda *_: None,
            stopping=threading.Event(),
        )

    def videos(self) -> dict[str, int]:
        """Searchable videos by generation."""
        items = httpx.get(f"{self.url}/v1/generations", timeout=60).json()["items"]
        return {one["generation"]: one["videos"] for one in items}

    def match(self, film: Path) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/v1/match", content=film.read_bytes(), timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def published(self) -> dict[str, dict[str, Any]]:
        """The report of each new video in the topic of matches."""
        transport = KafkaTransport(self.searcher.kafka, self.searcher.video)
        topic = TopicNames.of(self.searcher.kafka).matches
        try:
            events = [from_message(one).event for one in transport.scan(topic)]
        finally:
            transport.close()
        return {one.video_id: dict(one.report) for one in events if isinstance(one, MatchEvent)}


def _answers(port: int, route: str = "livez") -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/{route}", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def streaming(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streaming]:
    # On a busy machine one embedder may be minutes behind the other.
    monkeypatch.setattr(match_publisher, "_SECOND_SECONDS", 1e9)
    with plain_sscd():
        made = Streaming(kafka, tmp_path)
        try:
            yield made
        finally:
            made.close()


def test_queries_and_new_videos_are_matched_by_both_generations(
    streaming: Streaming, tmp_path: Path
) -> None:
    for folder in ("films", "later"):
        (tmp_path / folder).mkdir()
    for seed in (1, 2):
        draw(tmp_path / "films" / f"{seed}.mp4", seed)
    streaming.send(tmp_path / "films")
    streaming.until(streaming.ready, "the searcher")
    streaming.until(lambda: streaming.videos() == {"": 2, "offline": 2}, "both generations")

    copy = streaming.match(tmp_path / "films" / "2.mp4")
    assert (copy["decision"], copy["matches"][0]["video_id"]) == ("copy", "2.mp4")
    assert copy["matches"][0]["evidence"]["model_id"] == copy["model_id"]
    mirrored = draw(tmp_path / "later" / "mirrored.mp4", 1, mirrored=True)
    found = streaming.match(mirrored)
    assert (found["decision"], found["matches"][0]["video_id"]) == ("copy", "1.mp4")
    assert found["model_id"] == copy["model_id"]
    assert found["matches"][0]["evidence"]["model_id"].startswith("offline-")

    streaming.send(tmp_path / "later")
    streaming.until(lambda: "mirrored.mp4" in streaming.published(), "its match")
    told = streaming.published()
    assert (told["mirrored.mp4"]["decision"], told["2.mp4"]["decision"]) == ("copy", "no_match")
    assert told["mirrored.mp4"]["matches"][0]["video_id"] == "1.mp4"

    for name in ("1.mp4", "mirrored.mp4"):
        httpx.delete(f"{streaming.url}/v1/videos/{name}", timeout=60).raise_for_status()
    assert streaming.match(mirrored)["decision"] == "no_match"
