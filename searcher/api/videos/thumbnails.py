"""`GET /v1/videos/{id}/thumbnail`: a small picture of a video, also when its file is gone."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.etag import etag, not_modified
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.state.roles import Role
from searcher.api.video_path import VIDEO_ID, PartOfVideo
from searcher.serving import Catalogue
from searcher.visible_video import visible_video

SECONDS_HEADER = "StoryHash-Thumbnail-Seconds"
# A browser that has the picture asks again after so many seconds: it is deleted with its video.
_FRESH_SECONDS = 300
# A day; no video is longer than a file's times allow.
_MAX_SECONDS = 2**32 / 1000
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture at this time, the last one before it, or the first one.",
        "headers": {SECONDS_HEADER: {"schema": {"type": "number"}}},
        "content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}},
    },
    204: {"description": "There are no thumbnails of this video."},
    304: {"description": "The picture that the client has is still the same."},
}


def thumbnail_router(catalogue: Catalogue) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["videos"], route_class=PartOfVideo)

    @router.get(
        f"/v1/videos/{VIDEO_ID}/thumbnail",
        dependencies=needs(Role.READER),
        response_class=Response,
        responses={**_DOCUMENTED, **ERRORS},
    )
    def thumbnail(
        request: Request,
        video_id: str,
        seconds: Annotated[
            float, Query(ge=0, le=_MAX_SECONDS, description="Time in the video.")
        ] = 0.0,
    ) -> Response:
        """Get a small picture of a video. There is one for each half second if
        STORYHASH_THUMBNAILS__ENABLED was set when the video was indexed."""
        index = catalogue.current().index
        visible_video(index.videos, video_id, facts_of(request.scope).caller)
        picture = index.thumbnails.read(video_id, seconds)
        if picture is None:
            return Response(status_code=204, headers={"Cache-Control": "private, no-cache"})
        headers = {
            "ETag": etag(picture.webp),
            "Cache-Control": f"private, max-age={_FRESH_SECONDS}",
            "Vary": "Authorization",
            "Cross-Origin-Resource-Policy": "same-origin",
            SECONDS_HEADER: f"{picture.seconds:.3f}",
        }
        if not_modified(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(picture.webp, headers=headers, media_type="image/webp")

    return router
