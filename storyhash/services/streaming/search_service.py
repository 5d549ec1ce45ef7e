"""`storyhash search`: reads the log of embeddings into the index, and answers over HTTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from common.errors import SettingsError, StoryHashError
from common.http.health import Health
from common.http.server import HttpServer
from common.kafka.broker_watch import BrokerWatch
from common.kafka.topics import require_topics
from common.kafka.transport import KafkaTransport
from common.messaging.topics import TopicNames
from common.metrics import Metrics
from common.runtime_tuning import hand_over_soon, keep_what_is_there
from common.settings import Settings
from common.state.files import JOBS_FOLDER
from common.work_in_progress import WorkInProgress
from searcher.api.app import api_app
from searcher.api.match.routes import AT_WORK
from searcher.deletion.notes import DeletionNotes
from searcher.jobs.jobs import Jobs
from searcher.jobs.runner import JobRunner
from searcher.metrics import begin_second_opinions, watch_staged, watch_vectors
from searcher.review.matching import MatchQueries
from searcher.review.reviews import Reviews
from searcher.second_folder import second_folder
from searcher.storage.data_dir import read_manifest
from storyhash.query.pictures import PictureReader
from storyhash.query.remote import RemoteQueries
from storyhash.query.transforms import transform_finder
from storyhash.services.background import Background, ThreadWatch, end_all
from storyhash.services.backup_source import backups_of
from storyhash.services.curation_reader import CurationReader
from storyhash.services.index_auditor import IndexAuditor
from storyhash.services.job_worker import JobWorker
from storyhash.services.key_access import new_access, opened_access
from storyhash.services.store_watch import StoreWatch
from storyhash.services.streaming.followed_catalogue import FollowedCatalogue
from storyhash.services.streaming.index_follower import IndexFollower, generation_settings
from storyhash.services.streaming.interrupted_deletions import InterruptedDeletions
from storyhash.services.streaming.match_publisher import MatchPublisher
from storyhash.services.webhook_worker import WebhookWorker

_log = logging.getLogger("storyhash.search")
_TICK_SECONDS = 0.5


def run_searcher(settings: Settings, stopping: threading.Event) -> None:
    """Follow every generation there is and answer, until stopped. Raises BrokerError, what opening an
    index raises, and what no retry mends."""
    _check_second_opinion(settings)
    metrics = Metrics.create("search")
    metrics.watch_data_folder(settings.data_dir)
    transport = KafkaTransport(settings.kafka, settings.video)
    answers_only = settings.searcher.read_only
    catalogue = _followed_catalogue(settings, transport, metrics)
    if catalogue.second() is not None:
        begin_second_opinions(metrics)
    access = new_access(settings.http)
    reviews, jobs = Reviews(lambda: access.state), Jobs(lambda: access.state)
    in_hand = WorkInProgress.open(settings.data_dir, "match")
    reader = PictureReader(settings.video, AT_WORK)
    transforms = transform_finder(reader, settings.matching)
    announcer = MatchPublisher(
        *(catalogue, transport, TopicNames.of(settings.kafka).matches, metrics),
        reviews=reviews,
        in_hand=in_hand,
        transforms=transforms,
    )
    watch_vectors(metrics, catalogue.answering_index)
    watch_staged(metrics, catalogue.answering_index)
    auditor = IndexAuditor(catalogue.answering_indexes, metrics, settings.service.audit_seconds)
    queries = RemoteQueries(
        settings.service.embedder_urls,
        timeout_seconds=settings.service.embed_timeout_seconds,
        key=settings.service.embedder_api_key,
    )
    runner = JobRunner(
        jobs, MatchQueries(queries.open, metrics, reviews, transforms), catalogue.current
    )
    job_worker = JobWorker(jobs, runner)
    webhooks = WebhookWorker(lambda: access.state, settings.webhooks, metrics)
    curation = CurationReader(lambda: access.state, metrics)
    deletions = DeletionNotes()
    ending = InterruptedDeletions(deletions, catalogue.caught_up, lambda: access.state)
    threads: list[Background] = [auditor, job_worker, curation, webhooks]
    if not answers_only:
        threads += [announcer, ending]
    health = CatalogueHealth(metrics, catalogue)
    if settings.searcher.backend == "qdrant":
        threads.append(StoreWatch(catalogue.answering_indexes, health))
    watch = ThreadWatch(metrics, health)
    watch.add(*threads)
    watch.tell_merges(catalogue.answering_indexes)
    catalogue.watched_by(watch)
    backups = backups_of(settings, catalogue.current, metrics)
    app = api_app(
        catalogue,
        queries.open,
        health,
        metrics,
        settings.http,
        describe_video=catalogue.describe_video,
        generations=catalogue,
        staged=catalogue,
        access=access,
        transforms=transforms,
        jobs=jobs,
        backups=None if answers_only else backups,
        webhooks=settings.webhooks,
        deletions=deletions,
    )
    server = HttpServer(app, settings.http, protected=True)
    server.start()
    keys = ExitStack()
    try:
        keys.enter_context(opened_access(access, settings))
        jobs.open(settings.data_dir / JOBS_FOLDER)
        if not answers_only:
            deletions.open(WorkInProgress.open(settings.data_dir, "delete"))
            keys.callback(deletions.close)
            health.watch("broker", keys.enter_context(BrokerWatch(settings.kafka)).reason)
    except BaseException:
        server.stop()
        raise
    _log.info("listening on %s", server.url)
    for one in catalogue:
        one.start()
    for thread in threads:
        thread.start()
    keep_what_is_there()
    hand_over_soon()
    try:
        until_stopped(settings, catalogue, server, stopping)
    finally:
        # Those that look into the indexes end before the indexes are closed.
        backups.close()
        end_all(threads)
        in_hand.close()
        end_all(list(catalogue))
        server.stop()
        keys.close()
        reader.close()
        queries.close()
        transport.close()
    error = catalogue.follower().error
    if error is not None:
        raise error


def _check_second_opinion(settings: Settings) -> None:
    """Raises SettingsError for a second opinion of the kind that `serve` has."""
    opinion = settings.second_opinion
    there = read_manifest(second_folder(settings.data_dir)) is not None
    if opinion.enabled and (opinion.profile is not None or there):
        raise SettingsError(
            "STORYHASH_SECOND_OPINION__PROFILE and the folder second-opinion are for `storyhash index` "
            "and `storyhash serve`; set STORYHASH_SECOND_OPINION__GENERATION instead, or "
            "STORYHASH_SECOND_OPINION__ENABLED=false"
        )


def _followed_catalogue(
    settings: Settings, transport: KafkaTransport, metrics: Metrics
) -> FollowedCatalogue:
    """The generations, each with what follows its log; nothing runs yet."""

    def check(name: str) -> None:
        if not settings.searcher.read_only:
            require_topics(generation_settings(settings, name).kafka, settings.video)

    def follower(name: str, answers: Callable[[], bool]) -> IndexFollower:
        def matched() -> bool:
            return settings.service.match_new_videos and answers()

        return IndexFollower(
            name, settings, transport, metrics, match_new_videos=matched, check=partial(check, name)
        )

    opinion = settings.second_opinion
    return FollowedCatalogue(
        *(settings.data_dir, follower),
        also=settings.kafka.generation,
        second=opinion.generation if opinion.enabled else None,
        check=check,
    )


class CatalogueHealth(Health):
    """The health of the generation that answers; problems of other generations are only warnings."""

    def __init__(self, metrics: Metrics, catalogue: FollowedCatalogue) -> None:
        super().__init__(metrics, (), 0.0)
        self._catalogue = catalogue

    def reasons(self) -> dict[str, str]:
        return super().reasons() | self._catalogue.reasons()

    def warnings(self) -> dict[str, str]:
        needed = (self._catalogue.follower(), self._catalogue.second())
        others = {
            f"generation {follower.generation or '(first)'}: {condition}": reason
            for follower in self._catalogue
            if follower not in needed
            for condition, reason in follower.health.reasons().items()
        }
        return super().warnings() | others

    def stuck(self) -> str:
        return self._catalogue.follower().health.stuck()


def until_stopped(
    settings: Settings, catalogue: FollowedCatalogue, server: HttpServer, stopping: threading.Event
) -> None:
    """Until stopped, or until the follower of the generation that answers has ended by itself; snapshots
    meanwhile. Raises StoryHashError when nothing answers any more, DataFolderError if the folder was
    replaced."""
    ticks = 0.0
    while not stopping.wait(_TICK_SECONDS):
        if catalogue.follower().ended:
            return
        if not server.running:
            raise StoryHashError("the HTTP server stopped unexpectedly; see its log")
        opened = catalogue.follower().opened
        if opened is not None:
            opened.index.check_folder()
        ticks += _TICK_SECONDS
        if not settings.searcher.read_only and ticks >= settings.service.snapshot_seconds:
            ticks = 0.0
            for follower in catalogue:
                follower.save_snapshot()
