"""One trace over all services: from the producer to the embedder, the searcher and the matches."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from opentelemetry.sdk.trace import ReadableSpan

from common.http.health import Health
from common.messaging.handler import Handler
from common.messaging.priority_consumers import PriorityConsumer
from common.messaging.wire import from_message
from common.messaging.worker import Worker
from common.metrics import Metrics
from common.settings import ServiceSettings
from common.types import CatalogEntry
from embedder.handler import EmbedHandler
from embedder.stage import EmbedderStage
from ingest.decoder_pool import DecoderPool, VideoEvent
from ingest.ledger import ProducerLedger
from searcher.local_index import LocalIndex
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.calibration import load_calibration
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.serving import ServingIndex
from searcher.storage.data_dir import FolderManifest
from storyhash.services.background import end_all
from storyhash.services.streaming.match_publisher import MatchPublisher
from storyhash.services.streaming.segment_publisher import SegmentPublisher
from tests.support.memory_transport import MemoryTransport
from tests.support.services import wait_until
from tests.support.spans import id_of, recorded_spans, trace_of
from tests.unit.embedder.test_handler import FakeStage
from tests.unit.searcher.log.test_consumer import SETTINGS, handler_of
from tests.unit.storyhash.services.streaming.test_match_publisher import opened_reviews
from tests.unit.storyhash.services.streaming.test_segment_publisher import FakePool, ready, script

SEGMENTS, LOG, MATCHES = "segments", "log", "matches"


def send(transport: MemoryTransport, folder: Path, *names: str) -> None:
    """What a producer does with videos of two segments."""

    def with_axes(entry: CatalogEntry, version: int) -> Iterator[VideoEvent]:
        *_, end = script(entry, version)
        yield ready(entry, version, 0, b"0")
        yield ready(entry, version, 1, b"1")
        yield end

    ledger = ProducerLedger(folder, lambda: time.time_ns() // 1_000_000)
    sender = SegmentPublisher(
        cast(DecoderPool, FakePool(with_axes)),
        *(transport.publisher(), ledger, SEGMENTS),
        *(Metrics.create("ingest"), Health(None, (), 60.0)),
    )
    work = ledger.plan(SEGMENTS, [CatalogEntry(name, f"/films/{name}") for name in names]).work
    sender.run(work, lambda *_: None, threading.Event())
    ledger.close()


def work_off(transport: MemoryTransport, topic: str, handler: Handler) -> None:
    """What an embedder or searcher does with a topic."""
    consumer = transport.group_consumer([topic], handler.stage)
    worker = Worker(
        handler,
        [PriorityConsumer(topic, consumer)],
        *(transport.publisher(), "dead-letters"),
        health=Health(None, (), 60.0),
        metrics=Metrics.create(handler.stage),
        settings=ServiceSettings(),
    )
    worker.run(idle=lambda: True)
    worker.close()


def announce(transport: MemoryTransport, index: LocalIndex) -> None:
    """What a searcher does with new videos."""
    calibration = load_calibration("offline")
    matcher = Matcher(index, "sscd-1", calibration, Policies(default_policy(calibration)))
    catalogue = SimpleNamespace(answering=lambda: ServingIndex("", index, matcher))
    with opened_reviews() as reviews:
        announcer = MatchPublisher(
            catalogue,  # type: ignore[arg-type]
            *(transport, MATCHES, Metrics.create("search"), reviews),
        )
        announcer.start()
        try:
            wait_until(lambda: not index.staging.unmatched(), "every match", 300, 0.01)
        finally:
            end_all([announcer])


def test_a_video_is_one_trace_through_every_service(tmp_path: Path) -> None:
    transport = MemoryTransport(partitions=2)
    stage = EmbedHandler(cast(EmbedderStage, FakeStage()), LOG, Metrics.create("embed"))
    manifest = FolderManifest("test", "sscd-1")
    with (
        recorded_spans() as spans,
        LocalIndex.open_writer(tmp_path / "data", manifest, SETTINGS) as index,
    ):
        send(transport, tmp_path, "a", "b")
        work_off(transport, SEGMENTS, stage)
        work_off(transport, LOG, handler_of(index))
        announce(transport, index)
        finished = spans.finished()
    topics = (SEGMENTS, LOG, MATCHES)
    sent = [from_message(one) for topic in topics for one in transport.scan(topic) if one.value]
    traces = {envelope.trace_id for envelope in sent}
    assert len(traces) == 2
    assert {trace_of(span) for span in finished} == traces
    for trace_id in traces:
        names = Counter(path_of(one, finished) for one in finished if trace_of(one) == trace_id)
        arrived = f"send video > send {SEGMENTS} > embed {SEGMENTS} > search {LOG}"
        # Two segments and the end of the video.
        assert names[arrived] == 3
        assert names["send video"] == names["match new video"] == 1
        compare = "match new video > compare with the catalogue > search candidates"
        assert names[compare] == names["match new video > store matches"] == 1
    assert all(span.status.is_ok for span in finished)


def test_without_a_collector_messages_have_no_span(tmp_path: Path) -> None:
    transport = MemoryTransport(partitions=2)
    send(transport, tmp_path, "a")
    headers = [dict(message.headers) for message in transport.scan(SEGMENTS)]
    assert len({one["trace-id"] for one in headers}) == 1
    assert all("traceparent" not in one for one in headers)


def path_of(span: ReadableSpan, spans: tuple[ReadableSpan, ...]) -> str:
    """Its name after those of its parents."""
    if span.parent is None:
        return span.name
    (parent,) = [one for one in spans if id_of(one) == span.parent.span_id]
    return f"{path_of(parent, spans)} > {span.name}"
