"""`/v1/videos`: the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import to_json
from common.http.etag import IF_MATCH, check_if_match, tagged_response
from common.http.load_shedding import LoadShedder
from common.http.paging import LongLimit, TextCursor
from common.http.request_body import no_body
from common.http.request_facts import facts_of
from common.http.roles import banks_for, needs
from common.state.curation import NOTHING, Curation
from common.state.roles import Role
from searcher.api.video_path import VIDEO_ID
from searcher.api.videos.bank_limits import BankLimits
from searcher.api.videos.schemas import ChangedVideo, VideoItem, VideoPage
from searcher.deletion.notes import DeletionNotes
from searcher.deletion.steps import delete_in_service
from searcher.review.reviews import Reviews
from searcher.serving import Catalogue
from searcher.storage.selection import Selection
from searcher.storage.video import Video, VideoState
from searcher.storage.video_store import VideoStore
from searcher.visible_video import known_video, unknown_video, visible_video

# Metadata is the user's own; this much of it is data about a video.
MAX_VIDEO_JSON_BYTES = 1 << 18
# A page ends early where its videos have so much metadata.
_MAX_PAGE_BYTES = 1 << 23
_STEP_ROWS = 100
# Deleting writes: its threads are not those of reading or of health.
_AT_WORK, _WAITING = 4, 32


def videos_router(
    catalogue: Catalogue,
    limits: BankLimits,
    reviews: Reviews | None = None,
    deletions: DeletionNotes | None = None,
) -> APIRouter:
    """The routes. reviews: None if nothing is kept beside the index. deletions: notes of them that
    outlive the process (default: none do)."""
    router = APIRouter(tags=["videos"])
    notes = deletions or DeletionNotes()
    state = None if reviews is None else lambda: reviews.state
    changes = LoadShedder(_AT_WORK, _WAITING)

    def curated() -> Curation:
        return NOTHING if reviews is None else reviews.state.curation.current

    @router.get(
        "/v1/videos",
        dependencies=needs(Role.READER),
        responses={200: {"model": VideoPage}, **ERRORS},
    )
    def list_videos(
        request: Request,
        limit: LongLimit = 100,
        cursor: TextCursor = "",
        bank: Annotated[str, Query(description="Only videos of this bank.")] = "",
        state: Annotated[VideoState | None, Query(description="Only videos in this state.")] = None,
        prefix: Annotated[str, Query(description="Only ids that begin with this text.")] = "",
        text: Annotated[
            str,
            Query(max_length=200, description="Only videos whose id or title contains this text."),
        ] = "",
    ) -> Response:
        """List the videos of the catalogue, ordered by id. A page may be shorter than `limit` when videos
        have much metadata."""
        allowed = banks_for(request, frozenset({bank} if bank else ()))
        banks = None if allowed is None else tuple(sorted(allowed))
        only = Selection(bank, state or "", prefix, banks, text)
        return _page(catalogue.current().index.videos, cursor, limit, only, curated())

    # Ids may hold slashes and newlines, as the paths they are made of do.
    @router.get(
        f"/v1/videos/{VIDEO_ID}",
        dependencies=needs(Role.READER),
        responses={200: {"model": VideoItem}, **ERRORS},
    )
    def show_video(video_id: str, request: Request) -> Response:
        """Get one video."""
        videos = catalogue.current().index.videos
        video = visible_video(videos, video_id, facts_of(request.scope).caller)
        value = video_to_json(video, curated())
        return tagged_response(request, value, settings_of(value))

    @router.delete(
        f"/v1/videos/{VIDEO_ID}",
        status_code=204,
        dependencies=needs(Role.WRITER, change="videos.delete"),
        openapi_extra={"parameters": [IF_MATCH]},
        responses={204: _GONE, **ERRORS},
    )
    async def delete_video(video_id: str, request: Request) -> Response:
        """Delete a video permanently from the catalogue, the index, the mirror and the snapshots, with
        its matches, verdicts and exceptions, the jobs that ask about it, what other matches and the
        results of other jobs say of it, and the deliveries that name it.
        `/v1/videos/{video_id}/erasure` shows what is left."""
        await no_body(request)

        def delete() -> bool:
            banks = facts_of(request.scope).caller.banks
            is_conditional = "if-match" in request.headers
            alone = limits.changing if is_conditional else nullcontext()
            with limits.checked(request, video_id, unknown_video), alone:
                if is_conditional:
                    unchanged_video(request, catalogue.current().index.videos, video_id, reviews)
                return delete_in_service(video_id, catalogue, notes, state, banks)

        known = await changes.answer(request, lambda _: delete())
        if not known:
            raise unknown_video(video_id)
        return Response(status_code=204)

    return router


def video_to_json(video: Video, curation: Curation) -> dict[str, Any]:
    """The JSON of a video in the API."""
    return {**video.to_json(), "disabled": video.video_id in curation.disabled}


def unchanged_video(
    request: Request, videos: VideoStore, video_id: str, reviews: Reviews | None
) -> Video:
    """The video, of the version that `If-Match` names if it is given. Raises ApiError (404, 412),
    StateError."""
    video = known_video(videos, video_id)
    if "if-match" in request.headers:
        # Another process may have disabled the video since its curation was read last.
        curation = NOTHING if reviews is None else reviews.state.curation.read()
        check_if_match(request, settings_of(video_to_json(video, curation)))
    return video


def settings_of(video: Mapping[str, Any]) -> dict[str, Any]:
    """What PATCH changes, of the JSON of a video."""
    return {name: video[name] for name in ChangedVideo.model_fields}


def _page(
    videos: VideoStore, cursor: str, limit: int, only: Selection, curation: Curation
) -> Response:
    """The videos after the cursor, up to the limits on their number and total size."""
    items: list[bytes] = []
    following: str | None = cursor
    size = 0
    while following is not None and len(items) < limit and size < _MAX_PAGE_BYTES:
        step = min(_STEP_ROWS, limit - len(items))
        rows, following = videos.page(after=following, limit=step, only=only)
        items += [to_json(video_to_json(row, curation)) for row in rows]
        size += sum(map(len, items[-len(rows) :])) if rows else 0
    listed = b",".join(items)
    end = b'"next_cursor":%b,"total":%d' % (to_json(following), videos.total(only))
    return Response(b'{"items":[' + listed + b"]," + end + b"}", media_type="application/json")


_GONE: dict[str, Any] = {"description": "The video is deleted; no search finds it any more."}
