"""`/v1/videos`: the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeAlias

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response, to_json
from common.http.etag import tagged_response
from common.http.load_shedding import LoadShedder
from common.http.paging import LongLimit, TextCursor
from common.http.request_body import documented_body, no_body, read_model
from common.http.request_facts import facts_of
from common.http.roles import banks_for, needs
from common.ids import check_chosen_id, check_video_id
from common.printable import printable
from common.state.curation import NOTHING, Curation, CurationStore
from common.state.outbox import Event
from common.state.roles import Role
from common.types import CatalogEntry
from common.uris import public_uri
from searcher.api.own_videos import OwnVideos
from searcher.api.protocols import Catalogue
from searcher.api.video_path import VIDEO_ID
from searcher.api.video_schemas import NewVideo, VideoItem, VideoPage
from searcher.review.deletions import Deletions
from searcher.storage.selection import Selection
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore

# Takes a video on to index it in the background and returns its row as it is until then; when it does,
# the video outlives a crash. Raises UsageError for one that may not be read, FetchError for an address
# that may not be asked.
AddVideo: TypeAlias = Callable[[CatalogEntry], Video]
# Metadata is the user's own; this much of it is data about a video.
MAX_VIDEO_JSON_BYTES = 1 << 18
# A page ends early where its videos have so much metadata.
_MAX_PAGE_BYTES = 1 << 23
_STEP_ROWS = 100
# Adding looks names up and writes, deleting writes: their threads are not those of reading or of health.
_AT_WORK, _WAITING = 4, 32


def unknown_video(video_id: str) -> ApiError:
    """The refusal of an id that is not in the catalogue."""
    return ApiError(
        404,
        "unknown_video",
        f"no video '{printable(video_id[:200])}' is indexed; /v1/videos lists them",
    )


def taken_id(video_id: str) -> ApiError:
    """The refusal of a new video under an id that a video of another bank has."""
    return ApiError(
        403,
        "forbidden",
        f"the key may not use the id '{printable(video_id[:200])}'; choose another video_id",
    )


class KeptOfVideos(Protocol):
    """What a service keeps of videos beside its index."""

    @property
    def curation(self) -> CurationStore:
        """Which videos are disabled."""
        ...

    def forget_video(self, video_id: str, banks: frozenset[str] | None = None) -> None:
        """Delete what is known of a deleted video, as far as it is of these banks (None: all)."""
        ...

    def tell_deleted(self, event: Event) -> None:
        """Tell webhooks that a video was deleted."""
        ...


def videos_router(
    catalogue: Catalogue,
    add_video: AddVideo | None,
    own: OwnVideos,
    kept: KeptOfVideos | None = None,
    deletions: Deletions | None = None,
) -> APIRouter:
    """The routes. Without `add_video`, POST returns an error with an explanation. kept: None if nothing
    is kept beside the index. deletions: notes of them that outlive the process (default: none do)."""
    router = APIRouter(tags=["videos"])
    noted = deletions or Deletions()
    changes = LoadShedder(_AT_WORK, _WAITING)

    def curated() -> Curation:
        return NOTHING if kept is None else kept.curation.current

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
        state: Annotated[str, Query(description="Only videos in this state.")] = "",
        prefix: Annotated[str, Query(description="Only ids that begin with this text.")] = "",
    ) -> Response:
        """List the videos of the catalogue, ordered by id. A page may be shorter than `limit` when videos
        have much metadata."""
        allowed = banks_for(request, frozenset({bank} if bank else ()))
        only = Selection(bank, state, prefix, None if allowed is None else tuple(sorted(allowed)))
        return _page(catalogue.current().index.videos, cursor, limit, only, curated())

    @router.post(
        "/v1/videos",
        status_code=202,
        dependencies=needs(Role.WRITER, change="videos.add"),
        openapi_extra=documented_body(NewVideo),
        responses={202: {"model": VideoItem}, **ERRORS},
    )
    async def post_video(request: Request) -> Response:
        """Index a video; it is searchable when its state is `ready`. Posting the same video again does
        nothing. If only its description changed, its vectors are kept."""
        if add_video is None:
            raise ApiError(
                501,
                "not_here",
                "this searcher receives videos only from Kafka; send them with `storyhash ingest`",
                close=True,
            )
        changes.check_capacity(request)
        entry = _entry(await read_model(request, NewVideo, MAX_VIDEO_JSON_BYTES))
        facts_of(request.scope).target = entry.video_id
        banks_for(request, frozenset({entry.bank}))

        def add() -> Video:
            with own.only(request, entry.video_id, taken_id):
                return add_video(entry)

        row = await changes.answer(request, lambda _: add())
        return json_response(video_to_json(row, curated()), 202)

    # Ids may hold slashes and newlines, as the paths they are made of do.
    @router.get(
        f"/v1/videos/{VIDEO_ID}",
        dependencies=needs(Role.READER),
        responses={200: {"model": VideoItem}, **ERRORS},
    )
    def show_video(video_id: str, request: Request) -> Response:
        """Get one video."""
        video = catalogue.current().index.videos.get(video_id)
        if video is None or not facts_of(request.scope).caller.may_see(video.bank):
            raise unknown_video(video_id)
        return tagged_response(request, video_to_json(video, curated()))

    @router.delete(
        f"/v1/videos/{VIDEO_ID}",
        status_code=204,
        dependencies=needs(Role.WRITER, change="videos.delete"),
        responses={204: _GONE, **ERRORS},
    )
    async def delete_video(video_id: str, request: Request) -> Response:
        """Delete a video permanently from the catalogue, the index, the mirror and the snapshots, with
        its matches, verdicts and exceptions."""
        await no_body(request)

        def delete() -> bool:
            with own.only(request, video_id, unknown_video):
                video = catalogue.current().index.videos.get(video_id)
                banks = facts_of(request.scope).caller.banks
                with noted.begun(video_id, video, banks) as event:
                    known = catalogue.delete_video(video_id)
                    if kept is not None:
                        # Also of an unknown video: an earlier call may have ended between the two steps.
                        kept.forget_video(video_id, banks)
                        if event is not None:
                            kept.tell_deleted(event)
                return known

        known = await changes.answer(request, lambda _: delete())
        if not known:
            raise unknown_video(video_id)
        return Response(status_code=204)

    return router


def video_to_json(video: Video, curation: Curation) -> dict[str, Any]:
    """The JSON of a video in the API."""
    return {**video.to_json(), "disabled": video.video_id in curation.disabled}


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
    told = b",".join(items)
    end = b'"next_cursor":%b,"total":%d' % (to_json(following), videos.total(only))
    return Response(b'{"items":[' + told + b"]," + end + b"}", media_type="application/json")


def _entry(given: NewVideo) -> CatalogEntry:
    if given.video_id is None:
        check_video_id(public_uri(given.uri))
    else:
        check_chosen_id(given.video_id)
    video_id = given.video_id or public_uri(given.uri)
    return CatalogEntry(video_id, given.uri, given.bank, given.title, given.metadata)


_GONE: dict[str, Any] = {"description": "The video is deleted; no search finds it any more."}
