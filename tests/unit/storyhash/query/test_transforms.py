"""A searcher verifies an upload with the thumbnails of a video whose file is on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from common.http.server import HttpServer
from common.metrics import Metrics
from common.settings import IngestSettings, ThumbnailSettings, load_settings
from common.video import encode_video
from embedder.server import embed_app
from ingest.catalogue import list_catalog
from searcher.api.app import api_app
from searcher.serving import ServingIndex
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import plan_work
from storyhash.query.pictures import PictureReader
from storyhash.query.remote import RemoteQueries
from storyhash.query.transforms import transform_finder
from storyhash.samples import FRAMES_PER_SECOND, film, mirror
from storyhash.services.serve.local_catalogue import OpenedWithQueue, ServedCatalogue
from storyhash.wiring import open_for_indexing, open_for_queries
from tests.unit.storyhash.query.test_decoded_once import FREE, health, match


def test_a_searcher_verifies_an_upload_with_thumbnails(tmp_path: Path) -> None:
    path, upload = tmp_path / "film.mp4", tmp_path / "upload.mp4"
    encode_video(path, film(1, 6.0), FRAMES_PER_SECOND)
    encode_video(upload, map(mirror, film(1, 6.0)), FRAMES_PER_SECOND)
    settings = load_settings(
        data_dir=tmp_path / "data", profile="offline", thumbnails=ThumbnailSettings(enabled=True)
    )
    with open_for_indexing(settings) as services:
        work = plan_work(list_catalog([str(path)]), services.index.videos).work
        made = services.index, services.stage, services.pool, Metrics.create("test")
        Indexer(*made, thumbnails=services.thumbnails).index_all(work, lambda _: None)
        services.index.save_snapshot()
    path.unlink()
    with open_for_queries(settings) as services, PictureReader(settings.video) as reader:
        answering = ServingIndex("", services.index, services.matcher)
        catalogue = ServedCatalogue(Metrics.create("serve"), IngestSettings())
        catalogue.open(OpenedWithQueue(answering, services.queries, cast(Any, None)))
        metrics = Metrics.create("embed")
        embedder = embed_app(
            services.queries.open, answering.model_id, health(metrics), metrics, FREE
        )
        metrics = Metrics.create("search")
        transforms = transform_finder(reader, settings.matching)
        with HttpServer(embedder, FREE) as server:
            remote = RemoteQueries([server.url], timeout_seconds=300)
            app = api_app(
                *(catalogue, remote.open, health(metrics), metrics, FREE), transforms=transforms
            )
            answer = match(app, upload)
            remote.close()
    (found, *_) = answer["matches"]
    assert found["video_id"] == "film.mp4"
    assert found["transform"]["words"] == "mirrored"
    verification = found["evidence"]["verification"]
    assert (verification["outcome"], verification["pictures"]) == ("confirmed", "thumbnails")
