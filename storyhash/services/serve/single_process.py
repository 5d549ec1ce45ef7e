"""`storyhash serve`: the API, indexing and a watched folder in one process, without Kafka."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from common.errors import DependencyError, StoryHashError, UsageError
from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.runtime_tuning import hand_over_soon, keep_what_is_there
from common.settings import ServiceSettings, Settings
from common.state.files import JOBS_FOLDER
from common.work_in_progress import WorkInProgress
from embedder.metrics import observe_encoders
from embedder.query.embedder import QueryEmbedder
from ingest.exclusion import NOTHING, Exclusion
from ingest.folder_watch import FolderWatch
from ingest.query_decoder import QueryDecoder
from searcher.api.app import api_app
from searcher.api.match.routes import AT_WORK
from searcher.deletion.notes import DeletionNotes
from searcher.deletion.steps import end_interrupted
from searcher.jobs.jobs import Jobs
from searcher.jobs.runner import JobRunner
from searcher.metrics import begin_second_opinions, watch_pending, watch_vectors
from searcher.review.matching import MatchQueries
from searcher.review.reviews import Reviews
from searcher.serving import SecondIndex, ServingIndex
from searcher.storage.disk_reserve import DiskReserve
from searcher.transform.finder import TransformFinder
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.second_writer import SecondWriter
from storyhash.pipeline.snapshot_timer import SnapshotTimer
from storyhash.query.local import LocalQueries
from storyhash.query.matchers import check_banks, matcher_over
from storyhash.query.pictures import PictureReader
from storyhash.query.transforms import transform_finder
from storyhash.services.background import Background, ThreadWatch, end_all
from storyhash.services.backup_source import backups_of
from storyhash.services.curation_reader import CurationReader
from storyhash.services.index_auditor import IndexAuditor
from storyhash.services.job_worker import JobWorker
from storyhash.services.key_access import new_access, opened_access
from storyhash.services.serve.answering_only import run_answering
from storyhash.services.serve.folder_watcher import Watcher
from storyhash.services.serve.index_queue import IndexQueue
from storyhash.services.serve.index_worker import IndexWorker
from storyhash.services.serve.indexed_videos import IndexedVideos
from storyhash.services.serve.local_catalogue import OpenedWithQueue, ServedCatalogue
from storyhash.services.serve.second_index_worker import SecondIndexWorker
from storyhash.services.store_watch import StoreWatch
from storyhash.services.webhook_worker import WebhookWorker
from storyhash.wiring import (
    IndexServices,
    open_for_indexing,
    open_second_for_indexing,
    second_over,
    with_second_profile,
)

_log = logging.getLogger("storyhash.serve")
# Longer than any step: SAM 2 on a CPU needs most of a minute per segment.
_STUCK_SECONDS = 1800.0
_TICK_SECONDS = 0.5


def run_serve(
    settings: Settings,
    watched: Path | None,
    stopping: threading.Event,
    exclusion: Exclusion = NOTHING,
) -> None:
    """Answer and index until stopped. exclusion: of the watched folder.

    Raises UsageError, errors of opening an index, and errors that no retry can fix."""
    if settings.searcher.read_only:
        if watched is not None:
            raise UsageError("--watch: STORYHASH_SEARCHER__READ_ONLY is set, so nothing is indexed")
        run_answering(settings, stopping)
        return
    if watched is not None and not watched.is_dir():
        raise UsageError(f"{watched}: folder not found")
    settings = with_second_profile(settings)
    metrics = Metrics.create("serve")
    metrics.watch_data_folder(settings.data_dir)
    health = Health(metrics, ("index",), _STUCK_SECONDS)
    catalogue = ServedCatalogue(metrics, settings.ingest)
    access = new_access(settings.http)
    reader = PictureReader(settings.video, AT_WORK)
    transforms = transform_finder(reader, settings.matching)
    reviews, jobs = Reviews(lambda: access.state), Jobs(lambda: access.state)
    deletions = DeletionNotes()
    backups = backups_of(
        settings, catalogue.current, metrics, second=lambda: catalogue.opened.second
    )
    app = api_app(
        *(catalogue, catalogue.embed, health, metrics, settings.http),
        add_video=catalogue.add_video,
        add_upload=catalogue.add_upload,
        describe_video=catalogue.describe_video,
        access=access,
        transforms=transforms,
        jobs=jobs,
        backups=backups,
        webhooks=settings.webhooks,
        deletions=deletions,
    )
    health.unmet("index", "it is being opened")
    with (
        reader,
        HttpServer(app, settings.http, protected=True) as server,
        open_for_indexing(settings, answering=True) as services,
        open_second_for_indexing(settings, services.index, answering=True) as second,
        opened_access(access, settings),
        closing(deletions),
    ):
        check_banks(services.index, settings.matching)
        _log_notices(services)
        jobs.open(settings.data_dir / JOBS_FOLDER)
        notes = WorkInProgress.open(settings.data_dir, "delete")
        deletions.open(notes, DiskReserve(settings.data_dir))
        end_interrupted(deletions, services.index.videos, reviews.state)
        # Queries have decoders that indexing does not keep busy, and jobs have one of them.
        with QueryDecoder(settings.video, settings.ingest, AT_WORK + 1) as decoder:
            matcher = matcher_over(services.index, services.stage.visual.name, settings.matching)
            second_index = _second_index(services.index, second, settings)
            answering = ServingIndex("", services.index, matcher, second_index)
            queue = IndexQueue(services.index)
            if len(queue):
                _log.info("resuming %d pending videos", len(queue))
            workers = _workers(
                *(settings, watched, exclusion, services, answering, queue, metrics, health),
                reviews=reviews,
                transforms=transforms,
                second=second,
            )
            match_queries = MatchQueries(catalogue.embed, metrics, reviews, transforms)
            workers.append(JobWorker(jobs, JobRunner(jobs, match_queries, catalogue.current)))
            workers.append(CurationReader(lambda: access.state, metrics))
            workers.append(WebhookWorker(lambda: access.state, settings.webhooks, metrics))
            if settings.searcher.backend == "qdrant":
                workers.append(StoreWatch(lambda: [services.index], health))
            if second_index is not None:
                begin_second_opinions(metrics)
            if second is not None:
                workers.append(_second_worker(services.index, second, metrics))
            queries = LocalQueries(
                *(decoder, QueryEmbedder(services.stage), reader),
                None if second is None else QueryEmbedder(second.stage),
            )
            observe_encoders(services.stage, metrics)
            if second is not None:
                observe_encoders(second.stage, metrics)
            watch_vectors(metrics, lambda: services.index)
            watch_pending(metrics, queue.waiting_seconds)
            of_second = None if second is None else second.index
            catalogue.open(OpenedWithQueue(answering, queries, queue, of_second))
            health.met("index")
            keep_what_is_there()
            hand_over_soon()
            _log.info("listening on %s", server.url)
            indexes = [services.index, *([] if second is None else [second.index])]
            auditor = IndexAuditor(lambda: indexes, metrics, settings.service.audit_seconds)
            watch = ThreadWatch(metrics, health)
            watch.add(auditor, *workers)
            watch.tell_merges(lambda: indexes)
            auditor.start()
            housekeeping = [_Housekeeping(services.index, settings.service, health, "snapshot")]
            if second is not None:
                condition = "second-opinion snapshot"
                housekeeping.append(
                    _Housekeeping(second.index, settings.service, health, condition)
                )
            try:
                _run(workers, queue, housekeeping, server, stopping)
                for one in housekeeping:
                    one.finish()
            finally:
                backups.close()
                end_all([auditor])


def _run(
    workers: Sequence[Background],
    queue: IndexQueue,
    housekeeping: Sequence[_Housekeeping],
    server: HttpServer,
    stopping: threading.Event,
) -> None:
    """Run the threads until stopped, or until one ends by itself or the server dies; raises the
    reason."""
    for worker in workers:
        worker.start()
    try:
        while not stopping.wait(_TICK_SECONDS) and all(worker.running for worker in workers):
            if not server.running:
                raise StoryHashError("the HTTP server stopped unexpectedly; see its log")
            for one in housekeeping:
                one.turn()
    finally:
        _log.info("stopping")
        for worker in workers:
            worker.stop()
        server.stop()
        for worker in workers:
            worker.join()
    if len(queue):
        _log.info("%d videos are pending; they are indexed after the next start", len(queue))
    for worker in workers:
        if worker.error is not None:
            raise worker.error


class _Housekeeping:
    """Saves snapshots periodically, and soon after deletions. If saving fails, the condition says why."""

    def __init__(
        self, index: VideoIndex, settings: ServiceSettings, health: Health, condition: str
    ) -> None:
        self._index = index
        self._condition = condition
        self._health = health
        self._snapshots = SnapshotTimer(index, settings.snapshot_seconds)
        self._retry_seconds = settings.max_retry_seconds
        self._not_before = 0.0
        self._failed = False

    def turn(self) -> None:
        """Do the tasks that are due; after a disk error it retries later. Raises DataFolderError if the
        folder was replaced."""
        self._index.check_folder()
        if time.monotonic() < self._not_before:
            return
        try:
            self._index.finish_deletions()
            if self._failed:
                self._index.save_snapshot()
            else:
                self._snapshots.save_if_due()
        except DependencyError as error:
            self._not_before = time.monotonic() + self._retry_seconds
            self._failed = True
            self._health.unmet(self._condition, f"the snapshot could not be saved: {error}")
            _log.warning(
                "the snapshot could not be saved: %s; retrying in %.0f s",
                error,
                self._retry_seconds,
            )
        else:
            self._failed = False
            self._health.met(self._condition)

    def finish(self) -> None:
        """Do all tasks, even those that are not due."""
        self._index.finish_deletions()
        self._index.save_snapshot()


def _second_index(
    first: VideoIndex, second: IndexServices | None, settings: Settings
) -> SecondIndex | None:
    """What is asked where the first index finds no copy; None if nothing is."""
    if second is None:
        return None
    _log_notices(second)
    if not settings.second_opinion.enabled:
        return None
    return second_over(first, second.index, second.stage.visual.name, settings.matching)


def _second_worker(first: VideoIndex, second: IndexServices, metrics: Metrics) -> SecondIndexWorker:
    # The service counts what its first index does: a video that is indexed twice is one video.
    own = Metrics.create("serve")
    indexer = Indexer(second.index, second.stage, second.pool, own, second.in_hand)
    return SecondIndexWorker(first, second.index, indexer, metrics)


def _log_notices(services: IndexServices) -> None:
    """Print the notices of the data folder once, at the start of the process."""
    for notice in services.index.notices:
        _log.warning("%s", notice)
    services.index.notices.clear()
    if services.chosen:
        _log.info("%s", services.announcement)


def _workers(
    settings: Settings,
    watched: Path | None,
    exclusion: Exclusion,
    services: IndexServices,
    answering: ServingIndex,
    queue: IndexQueue,
    metrics: Metrics,
    health: Health,
    *,
    reviews: Reviews,
    transforms: TransformFinder,
    second: IndexServices | None,
) -> list[Background]:
    indexed = IndexedVideos(
        answering, reviews, metrics, transforms, match=settings.service.match_new_videos
    )
    writer = None
    if second is not None:
        writer = SecondWriter(services.index.videos, second.index, second.stage)
    indexer = Indexer(
        *(services.index, services.stage, services.pool, metrics),
        *(services.in_hand, services.thumbnails, writer),
    )
    workers: list[Background] = [
        IndexWorker(
            indexer,
            queue,
            indexed.tell,
            health=health,
            metrics=metrics,
            settings=settings.service,
            begin=lambda: indexed.recover(services.in_hand),
        )
    ]
    if watched is not None:
        watch = FolderWatch(watched, settings.ingest.quiet_seconds, exclusion=exclusion)
        pause = settings.ingest.watch_seconds
        workers.append(Watcher(watch, services.index.videos, queue, health, pause))
    return workers
