"""`storyhash ingest`: sends a catalogue's segments to Kafka."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from common.http.health import Health
from common.http.server import HttpServer, health_app
from common.kafka.broker_watch import BrokerWatch
from common.kafka.topics import require_topics
from common.kafka.transport import KafkaTransport
from common.messaging.topics import TopicNames
from common.metrics import Metrics
from common.settings import Settings
from ingest.catalogue import CatalogueItem
from ingest.decoder_pool import DecoderPool
from ingest.fingerprint import cut_of
from ingest.ledger import ProducerLedger
from ingest.sending_plan import SendingPlan
from storyhash.services.streaming.backpressure import EmbedderLag
from storyhash.services.streaming.reconcile import AskStates, known_videos
from storyhash.services.streaming.segment_publisher import OnSent, SegmentPublisher, SendReport

_log = logging.getLogger("storyhash.ingest")
_STUCK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class IngestRun:
    """The plan and the result of a run."""

    plan: SendingPlan
    report: SendReport


# Called with the plan before the work; returns a function that is called for each video.
PlanCallback: TypeAlias = Callable[[SendingPlan], OnSent]


def run_ingest(
    settings: Settings,
    videos: Sequence[CatalogueItem],
    *,
    backfill: bool,
    again: bool,
    on_plan: PlanCallback,
    stopping: threading.Event,
    states: AskStates | None = None,
) -> IngestRun:
    """Send new and changed videos. states: queries the catalogue, so that missing videos are sent again.

    Raises BrokerError, DataFolderError while another producer uses the ledger, StorageError, and errors
    of `states`.
    """
    there = require_topics(settings.kafka, settings.video)
    topics = TopicNames.of(settings.kafka)
    topic = topics.backfill if backfill else topics.segments
    metrics = Metrics.create("ingest")
    metrics.watch_data_folder(settings.data_dir)
    health = Health(metrics, (), _STUCK_SECONDS)
    server = HttpServer(health_app(health, metrics, settings.http), settings.http, health_only=True)
    transport = KafkaTransport(settings.kafka, settings.video)
    entries = [one.entry for one in videos]
    ledger = ProducerLedger(settings.data_dir, lambda: transport.moment(topics.clock))
    try:
        server.start()
        _log.info("sending to %s; health and metrics on %s", topic, server.url)
        cut = cut_of(settings.video, settings.ingest)
        lag = EmbedderLag(
            transport,
            topic,
            topics.backfill_embedders if backfill else topics.embedders,
            max_seconds=_max_lag_seconds(settings, there[topic].retention_ms),
            moment=transport.moment(topics.clock),
            health=health,
        )
        level = states is None or not lag.behind()
        known = None
        if states is not None:
            known = known_videos(states, [entry.video_id for entry in entries], stopping)
        plan = ledger.plan(
            topic,
            entries,
            again=again,
            cut=cut,
            known=known,
            level=level,
            chosen={one.entry.video_id for one in videos if one.chosen},
        )
        publisher = transport.publisher()
        with (
            DecoderPool(settings.video, settings.ingest) as pool,
            BrokerWatch(settings.kafka) as broker,
        ):
            health.watch("broker", broker.reason)
            sender = SegmentPublisher(pool, publisher, ledger, topic, metrics, health, lag)
            report = sender.run(plan.work, on_plan(plan), stopping)
        publisher.close()
        return IngestRun(plan, report)
    finally:
        server.stop()
        transport.close()
        ledger.close()


def _max_lag_seconds(settings: Settings, retention_ms: int) -> float:
    """How long a segment may wait for embedders, from the topic's retention."""
    if retention_ms < 0:
        return float("inf")
    return settings.kafka.max_lag_share * retention_ms / 1000
