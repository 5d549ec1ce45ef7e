"""`/v1/videos`: the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from common.errors import UsageError
from common.http import ApiError, json_response
from common.ids import check_chosen_id, check_video_id
from common.printable import printable
from common.types import CatalogEntry
from common.upload import read_json
from common.uris import public_uri
from searcher.api.base import Catalogue
from searcher.api.schemas import ERRORS, NewVideo, VideoItem, VideoPage
from searcher.videos import Video

# Takes a video on to index it in the background and returns its row as it is until then; when it does,
# the video outlives a crash. Raises UsageError for one that may not be read, FetchError for an address
# that may not be asked.
AddVideo: TypeAlias = Callable[[CatalogEntry], Video]
# Metadata is the user's own; this much of it is data about a video.
_MAX_JSON_BYTES = 1 << 20


class _AnyId(Convertor[str]):
    """The rest of a path, newlines too: Starlette's own `path` ends at one."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_id", _AnyId())


def unknown_video(video_id: str) -> ApiError:
    """The refusal of an id that is not in the catalogue."""
    return ApiError(
        404,
        "unknown_video",
        f"no video '{printable(video_id[:200])}' is indexed; /v1/videos lists them",
    )


def videos_router(catalogue: Catalogue, add_video: AddVideo | None) -> APIRouter:
    """The routes. Without `add_video`, what is posted is refused in words."""
    router = APIRouter(tags=["videos"])

    @router.get("/v1/videos", responses={200: {"model": VideoPage}, **ERRORS})
    def list_videos(
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
        cursor: Annotated[str, Query(description="`next_cursor` of the page before.")] = "",
    ) -> Response:
        """A page of the catalogue, in the order of the ids."""
        videos, following = catalogue.current().index.videos.page(after=cursor, limit=limit)
        return json_response(
            {"items": [video.to_json() for video in videos], "next_cursor": following}
        )

    @router.post(
        "/v1/videos",
        status_code=202,
        openapi_extra=_POSTED,
        responses={202: {"model": VideoItem}, **ERRORS},
    )
    async def post_video(request: Request) -> Response:
        """Have a video indexed; it is searchable when its state is `ready`. One that is ready or pending
        already, and described the same, is not done again."""
        if add_video is None:
            raise ApiError(
                501,
                "not_here",
                "this searcher takes videos from Kafka alone; send them with `storyhash ingest`",
                close=True,
            )
        entry = _entry(await read_json(request, _MAX_JSON_BYTES))
        row = await to_thread.run_sync(add_video, entry)
        return json_response(row.to_json(), 202)

    # Ids may hold slashes and newlines, as the paths they are made of do.
    @router.get("/v1/videos/{video_id:any_id}", responses={200: {"model": VideoItem}, **ERRORS})
    def show_video(video_id: str) -> Response:
        """One video."""
        video = catalogue.current().index.videos.get(video_id)
        if video is None:
            raise unknown_video(video_id)
        return json_response(video.to_json())

    @router.delete(
        "/v1/videos/{video_id:any_id}", status_code=204, responses={204: _GONE, **ERRORS}
    )
    def delete_video(video_id: str) -> Response:
        """Forget a video for good: catalogue, index, mirror and snapshots."""
        if not catalogue.delete_video(video_id):
            raise unknown_video(video_id)
        return Response(status_code=204)

    return router


def _entry(body: Mapping[str, Any]) -> CatalogEntry:
    try:
        given = NewVideo.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where or 'the body'}: {first['msg']}") from None
    if given.video_id is None:
        check_video_id(public_uri(given.uri))
    else:
        check_chosen_id(given.video_id)
    video_id = given.video_id or public_uri(given.uri)
    return CatalogEntry(video_id, given.uri, given.bank, given.title, given.metadata)


_GONE: dict[str, Any] = {"description": "No search finds it any more."}
_POSTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": NewVideo.model_json_schema()}},
    }
}
