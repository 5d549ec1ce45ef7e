"""A searcher verifies the matches of a new video though no file is on its machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from common.messaging.events import Event, MatchEvent, VideoEnd
from common.messaging.handler import Item
from common.messaging.wire import from_message
from common.metrics import Metrics
from common.settings import Settings, ThumbnailSettings, load_settings
from common.types import CatalogEntry, Segment
from common.video import encode_video
from embedder.handler import EmbedHandler
from ingest.clip_packer import produce
from searcher.local_index import LocalIndex
from searcher.serving import ServingIndex
from searcher.storage.data_dir import FolderManifest
from storyhash.profiles import build_stage, resolve_profile
from storyhash.query.matchers import matcher_over
from storyhash.query.pictures import PictureReader
from storyhash.query.transforms import transform_finder
from storyhash.samples import FRAMES_PER_SECOND, Edit, film, letterbox_and_caption, unchanged
from storyhash.services.background import end_all
from storyhash.services.streaming.match_publisher import MatchPublisher
from tests.support.memory_transport import MemoryTransport
from tests.support.services import wait_until
from tests.unit.searcher.log.test_consumer import handler_of, item
from tests.unit.storyhash.services.streaming.test_match_publisher import opened_reviews

LOG, MATCHES = "embeddings", "matches"


def produced(folder: Path, name: str, edit: Edit, settings: Settings) -> Iterator[Event]:
    """What a producer sends of an edit of one film; the file is gone afterwards."""
    path = folder / name
    encode_video(path, map(edit, film(1, 6.0)), FRAMES_PER_SECOND)
    entry = CatalogEntry(name, str(path))
    segments = [
        one
        for one in produce(entry, path, 1, settings.video, settings.ingest)
        if isinstance(one, Segment)
    ]
    path.unlink()
    yield from segments
    yield VideoEnd(entry, 1, "complete", 6.0, len(segments))


def test_an_edited_copy_that_arrives_is_verified_without_any_file(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path / "data", profile="offline", thumbnails=ThumbnailSettings(enabled=True)
    )
    stage = build_stage(resolve_profile(settings), settings)
    embedder = EmbedHandler(stage, LOG, Metrics.create("embed"))
    manifest = FolderManifest(stage.profile, stage.model_id)
    transport = MemoryTransport()
    publisher = transport.publisher()
    with (
        LocalIndex.open_writer(settings.data_dir, manifest, settings) as index,
        PictureReader(settings.video) as reader,
        opened_reviews() as reviews,
    ):
        for name, edit in (("film.mp4", unchanged), ("copy.mp4", letterbox_and_caption)):
            sent = produced(tmp_path, name, edit, settings)
            for message in embedder.process([item(one) for one in sent]):
                publisher.publish(message)
        received = list(transport.scan(LOG))
        handler_of(index).process([Item(from_message(one), one) for one in received])
        answering = ServingIndex(
            "", index, matcher_over(index, stage.visual.name, settings.matching)
        )
        announcer = MatchPublisher(
            SimpleNamespace(answering=lambda: answering),  # type: ignore[arg-type]
            *(transport, MATCHES, Metrics.create("search"), reviews, None),
            transform_finder(reader, settings.matching),
        )
        announcer.start()
        try:
            wait_until(lambda: not index.staging.unmatched(), "every match", 300, 0.01)
        finally:
            end_all([announcer])
    told = [from_message(one).event for one in transport.scan(MATCHES)]
    (report,) = (
        one.report for one in told if isinstance(one, MatchEvent) and one.video_id == "copy.mp4"
    )
    (found, *_) = report["matches"]
    assert found["video_id"] == "film.mp4"
    verification = found["evidence"]["verification"]
    assert (verification["outcome"], verification["pictures"]) == ("confirmed", "thumbnails")
    assert found["transform"]["words"] == "bars above and below"
