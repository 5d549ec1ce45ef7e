"""The API of a catalogue: search, match, videos, health and metrics; and the review page."""

from __future__ import annotations

from fastapi import FastAPI

from common.http.access import Access
from common.http.audit_routes import audit_router
from common.http.health import Health
from common.http.key_routes import key_router
from common.http.server import new_app
from common.http.upload import UploadStore
from common.metrics import Metrics
from common.settings import HttpSettings, WebhookSettings
from searcher.api.curation.bank_routes import bank_router
from searcher.api.curation.exception_routes import exception_router
from searcher.api.evidence.routes import evidence_router
from searcher.api.jobs.routes import jobs_router
from searcher.api.maintenance.generation_routes import Generations, generations_router
from searcher.api.maintenance.snapshot_routes import snapshots_router
from searcher.api.maintenance.staged_routes import Staged, staged_router
from searcher.api.match.routes import match_router
from searcher.api.page import page_files, page_router
from searcher.api.review.feedback_routes import feedback_router
from searcher.api.review.match_routes import match_store_router
from searcher.api.search.routes import add_search
from searcher.api.videos.bank_limits import BankLimits
from searcher.api.videos.changes import DescribeVideo, video_changes_router
from searcher.api.videos.content import content_router
from searcher.api.videos.erasure import erasure_router
from searcher.api.videos.new_videos import AddUpload, AddVideo, new_videos_router
from searcher.api.videos.routes import videos_router
from searcher.api.videos.states import states_router
from searcher.api.videos.thumbnails import thumbnail_router
from searcher.api.webhooks.routes import document_events, webhook_router
from searcher.backup.backups import Backups
from searcher.deletion.notes import DeletionNotes
from searcher.jobs.jobs import Jobs
from searcher.review.matching import MatchQueries
from searcher.review.reviews import Reviews
from searcher.serving import Catalogue, EmbedQuery
from searcher.transform.finder import TransformFinder


def api_app(
    catalogue: Catalogue,
    embed: EmbedQuery,
    health: Health,
    metrics: Metrics,
    settings: HttpSettings,
    *,
    add_video: AddVideo | None = None,
    add_upload: AddUpload | None = None,
    describe_video: DescribeVideo | None = None,
    generations: Generations | None = None,
    staged: Staged | None = None,
    access: Access | None = None,
    transforms: TransformFinder | None = None,
    jobs: Jobs | None = None,
    backups: Backups | None = None,
    webhooks: WebhookSettings | None = None,
    deletions: DeletionNotes | None = None,
) -> FastAPI:
    """The whole API. add_video, add_upload, describe_video: None if videos are added in another way;
    generations: None if there is only one; staged: None if no video waits for segments; access: None if
    there are no keys and nothing is kept beside the index; transforms: None if matches get no field
    `transform`; jobs, webhooks: None if there are none; backups: None if this process cannot make any;
    deletions: notes of them that outlive the process."""
    page = page_files()
    app = new_app("StoryHash", health, metrics, settings, access, page)
    app.add_routes(page_router(page))
    reviews = None if access is None else Reviews(lambda: access.state)
    queries = MatchQueries(embed, metrics, reviews, transforms)
    uploads = UploadStore(settings, metrics)
    add_search(app, catalogue, metrics, queries.curation)
    app.add_routes(match_router(catalogue, queries, metrics, uploads))
    if jobs is not None:
        app.add_routes(jobs_router(jobs, catalogue, uploads))
    if reviews is not None:
        app.add_routes(match_store_router(reviews, catalogue))
        app.add_routes(exception_router(reviews, catalogue))
        app.add_routes(evidence_router(reviews, catalogue))
        app.add_routes(feedback_router(reviews))
    # Before the videos' own routes, which take any id.
    app.add_routes(states_router(catalogue))
    app.add_routes(content_router(catalogue, settings))
    app.add_routes(thumbnail_router(catalogue))
    state = None if reviews is None else lambda: reviews.state
    folder = None if backups is None else backups.folder
    app.add_routes(erasure_router(catalogue, state, folder, only_answers=backups is None))
    limits = BankLimits(catalogue)
    app.add_routes(new_videos_router(catalogue, uploads, limits, add_video, add_upload, reviews))
    app.add_routes(videos_router(catalogue, limits, reviews, deletions))
    if reviews is not None:
        app.add_routes(video_changes_router(catalogue, describe_video, reviews, limits))
        app.add_routes(bank_router(catalogue, reviews))
    if generations is not None:
        app.add_routes(generations_router(generations))
    if staged is not None:
        app.add_routes(staged_router(staged))
    if backups is not None:
        app.add_routes(snapshots_router(backups))
    if access is not None:
        app.add_routes(key_router(access))
        app.add_routes(audit_router(access))
        if webhooks is not None:
            app.add_routes(webhook_router(access, webhooks))
            document_events(app)
    return app
