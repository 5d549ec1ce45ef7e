"""`storyhash embed`: segments from Kafka to embeddings in Kafka, and queries over HTTP."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack

from fastapi import FastAPI

from common.errors import StoryHashError
from common.http.access import Access
from common.http.health import Health
from common.http.server import HttpServer
from common.kafka.broker_watch import BrokerWatch
from common.kafka.topics import require_topics
from common.kafka.transport import KafkaTransport
from common.messaging.log_model import claim_log_model, log_model
from common.messaging.priority_consumers import PriorityConsumer
from common.messaging.topics import TopicNames
from common.messaging.transport import Transport
from common.messaging.worker import Worker
from common.metrics import Metrics
from common.settings import Settings
from common.work_in_progress import WorkInProgress
from embedder.handler import EmbedHandler
from embedder.query.embedder import QueryEmbedder
from embedder.server import AT_WORK, embed_app
from embedder.stage import EmbedderStage
from ingest.query_decoder import QueryDecoder
from storyhash.profiles import AUTO, Profile, build_stage, resolve_profile
from storyhash.query.local import LocalQueries
from storyhash.services.key_access import new_access, opened_access

_log = logging.getLogger("storyhash.embed")
# Longer than any batch: SAM 2 on a CPU needs most of a minute per segment.
_STUCK_SECONDS = 1800.0
_TICK_SECONDS = 0.5


def run_embedder(settings: Settings, stopping: threading.Event) -> None:
    """Embed until stopped. Raises BrokerError, ModelMismatchError, WeightsMissingError and their
    subclasses."""
    require_topics(settings.kafka, settings.video)
    transport = KafkaTransport(settings.kafka, settings.video)
    topics = TopicNames.of(settings.kafka)
    metrics = Metrics.create("embed")
    metrics.watch_data_folder(settings.data_dir)
    health = Health(metrics, ("broker",), _STUCK_SECONDS)
    stage = build_stage(_profile(settings, transport, topics), settings)
    publisher = transport.publisher()
    claim_log_model(transport, publisher, topics.embeddings, stage.model_id)
    in_hand = WorkInProgress.open(settings.data_dir, "embed")
    worker = Worker(
        EmbedHandler(stage, topics.embeddings, metrics),
        _sources(transport, topics),
        publisher,
        topics.dead_letters,
        health=health,
        metrics=metrics,
        settings=settings.service,
        in_hand=in_hand,
    )
    with (
        QueryDecoder(settings.video, settings.ingest, AT_WORK) as decoder,
        BrokerWatch(settings.kafka) as broker,
    ):
        health.watch("broker", broker.reason)
        # Beyond loopback alone: an embedder has no videos, and its searcher is on this machine.
        access = new_access(settings.http, once_a_key_exists=False)
        app = _app(stage, decoder, health, metrics, settings, access)
        server = HttpServer(app, settings.http, protected=True)
        server.start()
        keys = ExitStack()
        try:
            keys.enter_context(opened_access(access, settings))
        except BaseException:
            server.stop()
            raise
        _log.info(
            "embedding with %s (model %s), listening on %s",
            stage.profile,
            stage.model_id,
            server.url,
        )
        threading.Thread(target=_stop_with, args=(stopping, worker, server), daemon=True).start()
        try:
            worker.run()
            if not server.running:
                raise StoryHashError("the HTTP server stopped unexpectedly; see its log")
        finally:
            server.stop()
            keys.close()
            in_hand.close()
            worker.close()
            publisher.close()
            transport.close()


def _profile(settings: Settings, transport: Transport, topics: TopicNames) -> Profile:
    """The profile of the setting; for `auto` the one whose vectors the log has."""
    if settings.profile == AUTO:
        model_id = log_model(transport, topics.embeddings)
        if model_id is not None:
            settings = settings.model_copy(update={"profile": model_id.rpartition("-")[0]})
    return resolve_profile(settings)


def _sources(transport: Transport, topics: TopicNames) -> list[PriorityConsumer]:
    """The consumers in order of priority: live segments, then the backfill."""
    return [
        PriorityConsumer(
            topics.segments, transport.group_consumer([topics.segments], topics.embedders)
        ),
        PriorityConsumer(
            topics.backfill, transport.group_consumer([topics.backfill], topics.backfill_embedders)
        ),
    ]


def _app(
    stage: EmbedderStage,
    decoder: QueryDecoder,
    health: Health,
    metrics: Metrics,
    settings: Settings,
    access: Access,
) -> FastAPI:
    queries = LocalQueries(decoder, QueryEmbedder(stage))
    return embed_app(queries.open, stage.model_id, health, metrics, settings.http, access=access)


def _stop_with(stopping: threading.Event, worker: Worker, server: HttpServer) -> None:
    while server.running and not stopping.wait(_TICK_SECONDS):
        pass
    worker.stop()
