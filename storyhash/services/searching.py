"""`storyhash search`: the log of embeddings into the index, and answers over HTTP."""

from __future__ import annotations

import logging
import threading

from common.health import Health
from common.http import HttpServer
from common.kafka_topics import require_topics
from common.kafka_transport import KafkaTransport
from common.metrics import Metrics
from common.settings import Settings
from common.topics import TopicNames
from searcher.api.app import api_app
from searcher.generations import known_generations
from storyhash.remote_embedding import RemoteEmbedding
from storyhash.services.announcing import MatchAnnouncer
from storyhash.services.catalogue import FollowedCatalogue
from storyhash.services.following import Follower, generation_settings

_log = logging.getLogger("storyhash.search")
_TICK_SECONDS = 0.5


def run_searcher(settings: Settings, stopping: threading.Event) -> None:
    """Follow every generation there is and answer, until stopped. Raises BrokerError, what opening an
    index raises, and what no retry mends."""
    metrics = Metrics.create("search")
    catalogue = FollowedCatalogue(settings.data_dir)
    names = {
        catalogue.current_name,
        settings.kafka.generation,
        *known_generations(settings.data_dir),
    }
    for name in sorted(names):
        require_topics(generation_settings(settings, name).kafka, settings.video)
    transport = KafkaTransport(settings.kafka, settings.video)
    for name in sorted(names):
        catalogue.add(_follower(name, settings, transport, metrics, catalogue))
    announcer = MatchAnnouncer(catalogue, transport, TopicNames.of(settings.kafka).matches, metrics)
    health = CatalogueHealth(metrics, catalogue)
    embedding = RemoteEmbedding(
        settings.service.embedder_urls, timeout_seconds=settings.service.embed_timeout_seconds
    )
    app = api_app(catalogue, embedding, health, metrics, settings.http)
    server = HttpServer(app, settings.http)
    server.start()
    _log.info("answering at %s", server.url)
    for follower in catalogue:
        follower.start()
    announcer.start()
    try:
        _wait(settings, catalogue, stopping)
    finally:
        announcer.stop()
        for follower in catalogue:
            follower.stop()
        for follower in catalogue:
            follower.join()
        server.stop()
        embedding.close()
        transport.close()
    for follower in catalogue:
        if follower.error is not None:
            raise follower.error


class CatalogueHealth(Health):
    """As well as the generation that answers."""

    def __init__(self, metrics: Metrics, catalogue: FollowedCatalogue) -> None:
        super().__init__(metrics, (), 0.0)
        self._catalogue = catalogue

    def reasons(self) -> dict[str, str]:
        return self._catalogue.follower().health.reasons()

    def stuck(self) -> str:
        return next(filter(None, (follower.health.stuck() for follower in self._catalogue)), "")


def _follower(
    name: str,
    settings: Settings,
    transport: KafkaTransport,
    metrics: Metrics,
    catalogue: FollowedCatalogue,
) -> Follower:
    def answers() -> bool:
        return settings.service.match_new_videos and name == catalogue.current_name

    return Follower(name, settings, transport, metrics, match_new_videos=answers)


def _wait(settings: Settings, catalogue: FollowedCatalogue, stopping: threading.Event) -> None:
    """Until stopped, or until a follower has ended by itself; snapshots meanwhile."""
    ticks = 0.0
    while not stopping.wait(_TICK_SECONDS):
        if any(not follower.running for follower in catalogue):
            return
        ticks += _TICK_SECONDS
        if ticks >= settings.service.snapshot_seconds:
            ticks = 0.0
            for follower in catalogue:
                follower.save_snapshot()
