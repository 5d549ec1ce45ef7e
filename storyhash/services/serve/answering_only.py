"""`storyhash serve` with `searcher.read_only`: answers from the index in Qdrant, and changes nothing."""

from __future__ import annotations

import logging
import threading

from common.errors import StoryHashError
from common.http.errors import not_here
from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.runtime_tuning import hand_over_soon, keep_what_is_there
from common.settings import Settings
from searcher.api.app import api_app
from searcher.api.match.routes import AT_WORK
from searcher.metrics import begin_second_opinions
from searcher.serving import ServingIndex
from storyhash.query.pictures import PictureReader
from storyhash.query.transforms import transform_finder
from storyhash.services.background import ThreadWatch, end_all
from storyhash.services.curation_reader import CurationReader
from storyhash.services.key_access import new_access, opened_access
from storyhash.services.serve.opened_catalogue import Opened, OpenedCatalogue
from storyhash.services.store_watch import StoreWatch
from storyhash.services.webhook_worker import WebhookWorker
from storyhash.wiring import open_for_queries

_log = logging.getLogger("storyhash.serve")
_STUCK_SECONDS = 1800.0
_TICK_SECONDS = 0.5


class AnsweringCatalogue(OpenedCatalogue[Opened]):
    """The catalogue behind the API, opened by another process."""

    def delete_video(self, video_id: str) -> bool:
        raise not_here(
            f"{video_id!r} is not deleted: this process only answers; delete it at the process that "
            "indexes"
        )


def run_answering(settings: Settings, stopping: threading.Event) -> None:
    """Answer until stopped. Raises errors of opening an index."""
    metrics = Metrics.create("serve")
    health = Health(metrics, ("index",), _STUCK_SECONDS)
    catalogue = AnsweringCatalogue()
    access = new_access(settings.http)
    reader = PictureReader(settings.video, AT_WORK)
    app = api_app(
        *(catalogue, catalogue.embed, health, metrics, settings.http),
        access=access,
        transforms=transform_finder(reader, settings.matching),
        webhooks=settings.webhooks,
    )
    # Its matches are sent to webhooks too.
    threads = [
        WebhookWorker(lambda: access.state, settings.webhooks, metrics),
        CurationReader(lambda: access.state, metrics),
        StoreWatch(lambda: [catalogue.current().index], health),
    ]
    health.unmet("index", "it is being opened")
    with (
        reader,
        HttpServer(app, settings.http, protected=True) as server,
        open_for_queries(settings, decoders=AT_WORK) as services,
        opened_access(access, settings),
    ):
        for notice in services.index.notices:
            _log.warning("%s", notice)
        answering = ServingIndex("", services.index, services.matcher, services.second)
        if services.second is not None:
            begin_second_opinions(metrics)
        catalogue.open(Opened(answering, services.queries))
        health.met("index")
        keep_what_is_there()
        hand_over_soon()
        _log.info("listening on %s", server.url)
        ThreadWatch(metrics, health).add(*threads)
        for thread in threads:
            thread.start()
        try:
            while not stopping.wait(_TICK_SECONDS):
                health.beat()
                if not server.running:
                    raise StoryHashError("the HTTP server stopped unexpectedly; see its log")
            _log.info("stopping")
            server.stop()
        finally:
            end_all(threads)
