"""The API of a service as methods, with and without asyncio. A method and its arguments are those of the
function in `calls` that it is made of."""

from __future__ import annotations

from collections.abc import Callable

from searcher.api.jobs.schemas import JobItem
from storyhash.client.calls import admin, banks, embedder, jobs, review, service, videos
from storyhash.client.method import Method, Pages
from storyhash.client.transport import AsyncTransport, SyncTransport


class _Calls:
    """The methods that both clients have."""

    match = Method(jobs.match)
    create_job = Method(jobs.create_job)
    list_jobs = Method(jobs.list_jobs)
    all_jobs = Pages(jobs.list_jobs)
    show_job = Method(jobs.show_job)
    cancel_job = Method(jobs.cancel_job)
    search = Method(jobs.search)

    list_videos = Method(videos.list_videos)
    all_videos = Pages(videos.list_videos)
    add_video = Method(videos.add_video)
    show_video = Method(videos.show_video)
    change_video = Method(videos.change_video)
    delete_video = Method(videos.delete_video)
    video_content = Method(videos.video_content)
    video_thumbnail = Method(videos.video_thumbnail)
    erasure_of_video = Method(videos.erasure_of_video)
    video_states = Method(videos.video_states)
    list_staged = Method(videos.list_staged)
    all_staged = Pages(videos.list_staged)
    drop_staged = Method(videos.drop_staged)
    list_generations = Method(videos.list_generations)
    follow_generation = Method(videos.follow_generation)
    activate_generation = Method(videos.activate_generation)
    drop_generation = Method(videos.drop_generation)
    list_snapshots = Method(videos.list_snapshots)
    create_snapshot = Method(videos.create_snapshot)

    list_matches = Method(review.list_matches)
    all_matches = Pages(review.list_matches)
    show_match = Method(review.show_match)
    evidence_of_match = Method(review.evidence_of_match)
    evidence_as_html = Method(review.evidence_as_html)
    list_matches_of_video = Method(review.list_matches_of_video)
    all_matches_of_video = Pages(review.list_matches_of_video)
    list_verdicts = Method(review.list_verdicts)
    all_verdicts = Pages(review.list_verdicts)
    add_verdict = Method(review.add_verdict)
    add_verdicts = Method(review.add_verdicts)
    matches_as_csv = Method(review.matches_as_csv)
    list_feedback = Method(review.list_feedback)
    all_feedback = Pages(review.list_feedback)
    list_exceptions = Method(review.list_exceptions)
    all_exceptions = Pages(review.list_exceptions)
    show_exception = Method(review.show_exception)
    add_exception = Method(review.add_exception)
    delete_exception = Method(review.delete_exception)

    list_banks = Method(banks.list_banks)
    all_banks = Pages(banks.list_banks)
    show_bank = Method(banks.show_bank)
    put_bank = Method(banks.put_bank)
    delete_bank = Method(banks.delete_bank)

    create_key = Method(admin.create_key)
    list_keys = Method(admin.list_keys)
    all_keys = Pages(admin.list_keys)
    limit_key = Method(admin.limit_key)
    revoke_key = Method(admin.revoke_key)
    list_changes = Method(admin.list_changes)
    all_changes = Pages(admin.list_changes)
    create_webhook = Method(admin.create_webhook)
    list_webhooks = Method(admin.list_webhooks)
    all_webhooks = Pages(admin.list_webhooks)
    show_webhook = Method(admin.show_webhook)
    delete_webhook = Method(admin.delete_webhook)
    list_deliveries = Method(admin.list_deliveries)
    all_deliveries = Pages(admin.list_deliveries)
    show_delivery = Method(admin.show_delivery)
    redeliver = Method(admin.redeliver)

    liveness = Method(service.liveness)
    readiness = Method(service.readiness)
    metrics = Method(service.metrics)
    model = Method(embedder.model)
    embed = Method(embedder.embed)
    delete_query = Method(embedder.delete_query)


class Client(_Calls, SyncTransport):
    """A client of one service. Thread-safe."""

    def wait_for_job(
        self,
        job_id: str,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[JobItem], None] | None = None,
    ) -> JobItem:
        """The job when it is done, failed or cancelled. on_progress: called with the job at once,
        after each change, and at least every 20 s. With a time-out it also waits while the service
        restarts. Raises DependencyError at the time-out."""
        return self.run(self._exchange.ended_job(job_id, timeout_seconds, on_progress))


class AsyncClient(_Calls, AsyncTransport):
    """A client of one service for asyncio or trio."""

    async def wait_for_job(
        self,
        job_id: str,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[JobItem], None] | None = None,
    ) -> JobItem:
        """See Client."""
        return await self.run(self._exchange.ended_job(job_id, timeout_seconds, on_progress))
