"""`/v1/jobs`: matches that a caller does not wait for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.etag import is_newer, tagged_response
from common.http.fair_turns import sender_of
from common.http.idempotency import IDEMPOTENCY_KEY, made_response, once_of
from common.http.load_shedding import LoadShedder
from common.http.paging import Cursor, Limit, StateThreads, page_json
from common.http.request_body import no_body
from common.http.request_facts import Caller, facts_of
from common.http.roles import needs
from common.http.upload import MatchRequest, UploadStore
from common.state.idempotency import Once
from common.state.job_rows import OPEN_STATES, Job, NewJob, new_job_id
from common.state.keys import iso
from common.state.roles import Role
from common.state.text import dump
from common.state.video_names import videos_named, without_video
from searcher.api.banks import banks_of, check_banks
from searcher.api.jobs.schemas import JobItem, JobPage
from searcher.api.match.routes import ALLOWED, MATCH_DOCUMENTED, flag
from searcher.curation.match_detail import QueryIdentity
from searcher.index.state import Banks
from searcher.jobs.jobs import Jobs, key_of_jobs
from searcher.serving import Catalogue
from searcher.storage.video_store import VideoStore
from searcher.visible_video import visible_video

# Requests that wait for a job at one time. They hold no thread.
_MAX_WAITS = 100
# Proxies usually end a request without an answer after 60 s.
MAX_WAIT_SECONDS = 30
_WAIT = (
    "Wait until the job changes, at most this long. With `If-None-Match`: until it differs from that "
    "version. If too many requests wait, the answer comes at once."
)
_DOCUMENTED = {**MATCH_DOCUMENTED, "parameters": [*MATCH_DOCUMENTED["parameters"], IDEMPOTENCY_KEY]}


def jobs_router(jobs: Jobs, catalogue: Catalogue, uploads: UploadStore) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["jobs"])
    run, waits = StateThreads().run, LoadShedder(0, _MAX_WAITS)

    def shown(job_id: str, caller: Caller) -> dict[str, Any]:
        """Raises ApiError (404) for an unknown job."""
        job = jobs.get(job_id, caller)
        if job is None:
            raise _unknown(job_id)
        value = job_to_json(job, jobs)
        if value["result"] is not None and caller.banks is not None:
            value["result"] = visible_result(
                value["result"], catalogue.current().index.videos, caller
            )
        return value

    @router.post(
        "/v1/jobs",
        status_code=202,
        dependencies=needs(Role.READER, quota="upload"),
        openapi_extra=_DOCUMENTED,
        responses={202: {"model": JobItem}, **ERRORS},
    )
    async def create_job(request: Request) -> Response:
        """Queue a match of an uploaded video, of the video at an address, or of a video of the catalogue.
        The queue is kept when the service restarts."""
        banks, thorough = banks_of(request), flag(request, "thorough")
        caller = facts_of(request.scope).caller
        answering = catalogue.current()
        await check_banks(request, banks, answering.index.videos, jobs.state.curation.current)
        # A long body is refused before it is sent.
        owner, key_id = jobs.files.owner, caller.key_id or ""
        await run(lambda: jobs.store.check_capacity(owner, key_id))
        async with uploads.asked(request, ALLOWED) as given:
            identity = await run(lambda: _identity(catalogue, given, caller))
            wanted = _wanted(given, identity, banks, caller, thorough=thorough)
            once = once_of(request, dump(wanted))
            job_id, replayed = await run(lambda: _add(jobs, given, wanted, caller, once))
        jobs.added.set()
        value = await run(lambda: shown(job_id, caller))
        return made_response(value, 202, f"/v1/jobs/{job_id}", replayed=replayed)

    @router.get(
        "/v1/jobs", dependencies=needs(Role.READER), responses={200: {"model": JobPage}, **ERRORS}
    )
    async def list_jobs(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List the jobs of the key, newest first, without their results. An admin sees all jobs."""
        key_id = key_of_jobs(facts_of(request.scope).caller)
        found, following, total = await run(lambda: jobs.store.page(key_id, cursor, limit))
        items = [job_to_json(job, jobs) for job in found]
        for item in items:
            del item["result"]
        return json_response(page_json(items, following, total))

    @router.get(
        "/v1/jobs/{job_id}",
        dependencies=needs(Role.READER),
        responses={200: {"model": JobItem}, **ERRORS},
    )
    async def show_job(
        job_id: str,
        request: Request,
        wait_seconds: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description=_WAIT)] = 0,
    ) -> Response:
        """Get a job: its state, and its result when it is done."""
        caller = facts_of(request.scope).caller

        async def read() -> dict[str, Any]:
            return await run(lambda: shown(job_id, caller))

        first = await read()
        if wait_seconds and first["state"] in OPEN_STATES and not is_newer(request, first):
            await no_body(request)
            async with waits.parked(sender_of(request)) as room_needed:
                latest = await jobs.watch.until(
                    job_id,
                    read,
                    lambda value: value != first,
                    wait_seconds,
                    request.receive,
                    room_needed,
                )
                return tagged_response(request, latest)
        return tagged_response(request, first)

    @router.delete(
        "/v1/jobs/{job_id}",
        status_code=204,
        dependencies=needs(Role.READER, change="jobs.delete"),
        responses={204: _CANCELLED, **ERRORS},
    )
    async def cancel_job(job_id: str, request: Request) -> Response:
        """Cancel a job. One that is done or has failed is deleted with its result."""
        await no_body(request)
        caller = facts_of(request.scope).caller
        if not await run(lambda: jobs.cancel(job_id, caller)):
            raise _unknown(job_id)
        return Response(status_code=204)

    return router


_CANCELLED: dict[str, Any] = {
    "description": "A queued job is cancelled, a running one ends within a second or as soon as its step "
    "allows, a cancelled one stays until it expires, one that is done or has failed is deleted."
}


def job_to_json(job: Job, jobs: Jobs) -> dict[str, Any]:
    """The JSON of a job."""
    ended = job.finished_at
    return {
        "id": job.id,
        "state": job.state,
        "query": job.request["query"],
        "position": job.position,
        "progress": job.progress,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(ended),
        "expires_at": None if ended is None else iso(ended + jobs.store.kept_milliseconds),
        "error": job.error,
        "result": job.result,
    }


def _identity(catalogue: Catalogue, given: MatchRequest, caller: Caller) -> QueryIdentity:
    """Raises ApiError (404) for an unknown video."""
    if given.path is not None:
        return QueryIdentity.of_upload(given.sha256)
    video_id = given.fields.get("video_id")
    if video_id is None:
        return QueryIdentity.of_uri(given.fields["uri"])
    return QueryIdentity.of_video(visible_video(catalogue.current().index.videos, video_id, caller))


def _wanted(
    given: MatchRequest, identity: QueryIdentity, banks: Banks, caller: Caller, *, thorough: bool
) -> dict[str, Any]:
    """The stored request."""
    return {
        "name": given.name,
        "upload": given.path is not None,
        **given.fields,
        "banks": None if banks is None else sorted(banks),
        "caller_banks": None if caller.banks is None else sorted(caller.banks),
        "thorough": thorough,
        "query": {"kind": identity.kind, "fingerprint": identity.fingerprint, "uri": given.name},
    }


def _add(
    jobs: Jobs, given: MatchRequest, wanted: dict[str, Any], caller: Caller, once: Once | None
) -> tuple[str, bool]:
    """Keep the upload and queue the job; returns its id, and whether it was queued before."""
    job_id, files = new_job_id(), jobs.files
    size = 0 if given.path is None else files.keep(given.path, job_id)
    try:
        new = NewJob(job_id, files.owner, caller.key_id or "", size, wanted)
        added = jobs.store.add(new, once)
    except BaseException:
        files.delete(job_id)
        raise
    if added[0] != job_id:
        files.delete(job_id)
    return added


def visible_result(result: dict[str, Any], videos: VideoStore, caller: Caller) -> dict[str, Any]:
    """The result without what it says of videos that the caller may not see any more: they were moved to
    another bank, or deleted, since the job ended."""
    for video_id in videos_named(result):
        video = videos.get(video_id)
        if video is None or not caller.may_see(video.bank):
            result = without_video(result, video_id)
    return result


def _unknown(job_id: str) -> ApiError:
    return ApiError(404, "unknown_job", f"no job {job_id[:100]!r}; /v1/jobs lists those of the key")
