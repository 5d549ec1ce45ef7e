"""The API of a service as methods, with and without asyncio. A method and its arguments are those of the
function in `calls` that it is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from searcher.jobs.schemas import JobItem
from storyhash.client.call import Call
from storyhash.client.calls import admin, banks, embedder, jobs, review, service, videos
from storyhash.client.method import documented
from storyhash.client.transport import AsyncTransport, SyncTransport

Params = ParamSpec("Params")
Result = TypeVar("Result")
Item = TypeVar("Item", covariant=True)


class Page(Protocol[Item]):
    """A page of a list."""

    @property
    def items(self) -> Sequence[Item]: ...

    @property
    def next_cursor(self) -> str | int | None: ...


def _method(
    make: Callable[Params, Call[Result]],
) -> Callable[Concatenate[Client, Params], Result]:
    def method(self: Client, /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return self.send(make(*args, **kwargs))

    return documented(method, make)


def _all(
    make: Callable[Params, Call[Page[Item]]],
) -> Callable[Concatenate[Client, Params], Iterator[Item]]:
    def method(self: Client, /, *args: Params.args, **kwargs: Params.kwargs) -> Iterator[Item]:
        while True:
            page = self.send(make(*args, **kwargs))
            yield from page.items
            if page.next_cursor is None:
                return
            kwargs["cursor"] = page.next_cursor

    return documented(method, make, "Every item of all pages; `limit` is the size of a page.")


def _coroutine(
    make: Callable[Params, Call[Result]],
) -> Callable[Concatenate[AsyncClient, Params], Awaitable[Result]]:
    async def method(self: AsyncClient, /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return await self.send(make(*args, **kwargs))

    return documented(method, make)


def _all_async(
    make: Callable[Params, Call[Page[Item]]],
) -> Callable[Concatenate[AsyncClient, Params], AsyncIterator[Item]]:
    async def method(
        self: AsyncClient, /, *args: Params.args, **kwargs: Params.kwargs
    ) -> AsyncIterator[Item]:
        while True:
            page = await self.send(make(*args, **kwargs))
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            kwargs["cursor"] = page.next_cursor

    return documented(method, make, "Every item of all pages; `limit` is the size of a page.")


class Client(SyncTransport):
    """A client of one service. Thread-safe."""

    match = _method(jobs.match)
    create_job = _method(jobs.create_job)
    list_jobs = _method(jobs.list_jobs)
    all_jobs = _all(jobs.list_jobs)
    show_job = _method(jobs.show_job)
    cancel_job = _method(jobs.cancel_job)
    search = _method(jobs.search)

    list_videos = _method(videos.list_videos)
    all_videos = _all(videos.list_videos)
    add_video = _method(videos.add_video)
    show_video = _method(videos.show_video)
    change_video = _method(videos.change_video)
    delete_video = _method(videos.delete_video)
    video_content = _method(videos.video_content)
    video_thumbnail = _method(videos.video_thumbnail)
    erasure_of_video = _method(videos.erasure_of_video)
    video_states = _method(videos.video_states)
    list_staged = _method(videos.list_staged)
    all_staged = _all(videos.list_staged)
    drop_staged = _method(videos.drop_staged)
    list_generations = _method(videos.list_generations)
    follow_generation = _method(videos.follow_generation)
    activate_generation = _method(videos.activate_generation)
    drop_generation = _method(videos.drop_generation)
    list_snapshots = _method(videos.list_snapshots)
    create_snapshot = _method(videos.create_snapshot)

    list_matches = _method(review.list_matches)
    all_matches = _all(review.list_matches)
    show_match = _method(review.show_match)
    evidence_of_match = _method(review.evidence_of_match)
    evidence_as_html = _method(review.evidence_as_html)
    list_matches_of_video = _method(review.list_matches_of_video)
    all_matches_of_video = _all(review.list_matches_of_video)
    list_verdicts = _method(review.list_verdicts)
    all_verdicts = _all(review.list_verdicts)
    add_verdict = _method(review.add_verdict)
    add_verdicts = _method(review.add_verdicts)
    matches_as_csv = _method(review.matches_as_csv)
    list_feedback = _method(review.list_feedback)
    all_feedback = _all(review.list_feedback)
    list_exceptions = _method(review.list_exceptions)
    all_exceptions = _all(review.list_exceptions)
    show_exception = _method(review.show_exception)
    add_exception = _method(review.add_exception)
    delete_exception = _method(review.delete_exception)

    list_banks = _method(banks.list_banks)
    all_banks = _all(banks.list_banks)
    show_bank = _method(banks.show_bank)
    put_bank = _method(banks.put_bank)
    delete_bank = _method(banks.delete_bank)

    create_key = _method(admin.create_key)
    list_keys = _method(admin.list_keys)
    all_keys = _all(admin.list_keys)
    limit_key = _method(admin.limit_key)
    revoke_key = _method(admin.revoke_key)
    list_changes = _method(admin.list_changes)
    all_changes = _all(admin.list_changes)
    create_webhook = _method(admin.create_webhook)
    list_webhooks = _method(admin.list_webhooks)
    all_webhooks = _all(admin.list_webhooks)
    show_webhook = _method(admin.show_webhook)
    delete_webhook = _method(admin.delete_webhook)
    list_deliveries = _method(admin.list_deliveries)
    all_deliveries = _all(admin.list_deliveries)
    show_delivery = _method(admin.show_delivery)
    redeliver = _method(admin.redeliver)

    liveness = _method(service.liveness)
    readiness = _method(service.readiness)
    metrics = _method(service.metrics)
    model = _method(embedder.model)
    embed = _method(embedder.embed)
    delete_query = _method(embedder.delete_query)

    def wait_for_job(
        self,
        job_id: str,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[JobItem], None] | None = None,
    ) -> JobItem:
        """The job when it is done, failed or cancelled. on_progress: called with the job after each
        look. Raises DependencyError at the time-out."""
        return self.run(self._exchange.ended_job(job_id, timeout_seconds, on_progress))


class AsyncClient(AsyncTransport):
    """A client of one service for asyncio or trio."""

    match = _coroutine(jobs.match)
    create_job = _coroutine(jobs.create_job)
    list_jobs = _coroutine(jobs.list_jobs)
    all_jobs = _all_async(jobs.list_jobs)
    show_job = _coroutine(jobs.show_job)
    cancel_job = _coroutine(jobs.cancel_job)
    search = _coroutine(jobs.search)

    list_videos = _coroutine(videos.list_videos)
    all_videos = _all_async(videos.list_videos)
    add_video = _coroutine(videos.add_video)
    show_video = _coroutine(videos.show_video)
    change_video = _coroutine(videos.change_video)
    delete_video = _coroutine(videos.delete_video)
    video_content = _coroutine(videos.video_content)
    video_thumbnail = _coroutine(videos.video_thumbnail)
    erasure_of_video = _coroutine(videos.erasure_of_video)
    video_states = _coroutine(videos.video_states)
    list_staged = _coroutine(videos.list_staged)
    all_staged = _all_async(videos.list_staged)
    drop_staged = _coroutine(videos.drop_staged)
    list_generations = _coroutine(videos.list_generations)
    follow_generation = _coroutine(videos.follow_generation)
    activate_generation = _coroutine(videos.activate_generation)
    drop_generation = _coroutine(videos.drop_generation)
    list_snapshots = _coroutine(videos.list_snapshots)
    create_snapshot = _coroutine(videos.create_snapshot)

    list_matches = _coroutine(review.list_matches)
    all_matches = _all_async(review.list_matches)
    show_match = _coroutine(review.show_match)
    evidence_of_match = _coroutine(review.evidence_of_match)
    evidence_as_html = _coroutine(review.evidence_as_html)
    list_matches_of_video = _coroutine(review.list_matches_of_video)
    all_matches_of_video = _all_async(review.list_matches_of_video)
    list_verdicts = _coroutine(review.list_verdicts)
    all_verdicts = _all_async(review.list_verdicts)
    add_verdict = _coroutine(review.add_verdict)
    add_verdicts = _coroutine(review.add_verdicts)
    matches_as_csv = _coroutine(review.matches_as_csv)
    list_feedback = _coroutine(review.list_feedback)
    all_feedback = _all_async(review.list_feedback)
    list_exceptions = _coroutine(review.list_exceptions)
    all_exceptions = _all_async(review.list_exceptions)
    show_exception = _coroutine(review.show_exception)
    add_exception = _coroutine(review.add_exception)
    delete_exception = _coroutine(review.delete_exception)

    list_banks = _coroutine(banks.list_banks)
    all_banks = _all_async(banks.list_banks)
    show_bank = _coroutine(banks.show_bank)
    put_bank = _coroutine(banks.put_bank)
    delete_bank = _coroutine(banks.delete_bank)

    create_key = _coroutine(admin.create_key)
    list_keys = _coroutine(admin.list_keys)
    all_keys = _all_async(admin.list_keys)
    limit_key = _coroutine(admin.limit_key)
    revoke_key = _coroutine(admin.revoke_key)
    list_changes = _coroutine(admin.list_changes)
    all_changes = _all_async(admin.list_changes)
    create_webhook = _coroutine(admin.create_webhook)
    list_webhooks = _coroutine(admin.list_webhooks)
    all_webhooks = _all_async(admin.list_webhooks)
    show_webhook = _coroutine(admin.show_webhook)
    delete_webhook = _coroutine(admin.delete_webhook)
    list_deliveries = _coroutine(admin.list_deliveries)
    all_deliveries = _all_async(admin.list_deliveries)
    show_delivery = _coroutine(admin.show_delivery)
    redeliver = _coroutine(admin.redeliver)

    liveness = _coroutine(service.liveness)
    readiness = _coroutine(service.readiness)
    metrics = _coroutine(service.metrics)
    model = _coroutine(embedder.model)
    embed = _coroutine(embedder.embed)
    delete_query = _coroutine(embedder.delete_query)

    async def wait_for_job(
        self,
        job_id: str,
        *,
        timeout_seconds: float | None = None,
        on_progress: Callable[[JobItem], None] | None = None,
    ) -> JobItem:
        """See Client."""
        return await self.run(self._exchange.ended_job(job_id, timeout_seconds, on_progress))
