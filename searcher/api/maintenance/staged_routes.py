"""`/v1/staged`: lists and drops incomplete videos."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.load_shedding import LoadShedder
from common.http.paging import LongLimit, TextCursor
from common.http.request_body import no_body
from common.http.roles import needs
from common.state.roles import Role
from searcher.api.maintenance.staged_schemas import StagedPage
from searcher.api.video_path import VIDEO_ID
from searcher.storage.staged_videos import StagedVideo

# Dropping publishes to the log and waits for it, so it has threads of its own.
_AT_WORK, _WAITING = 2, 16


class Staged(Protocol):
    """The incomplete videos of the generation that answers."""

    def staged(self, after: str, limit: int) -> tuple[list[StagedVideo], str | None]:
        """A page, and the cursor of the next one."""
        ...

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        """Drop this incomplete version of a video, or all; returns the dropped versions."""
        ...


def staged_router(staged: Staged) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["staged"])
    changes = LoadShedder(_AT_WORK, _WAITING)

    @router.get(
        "/v1/staged",
        dependencies=needs(Role.READER, all_banks=True),
        responses={200: {"model": StagedPage}, **ERRORS},
    )
    def list_staged(limit: LongLimit = 100, cursor: TextCursor = "") -> Response:
        """List videos that are not complete yet, ordered by id."""
        videos, following = staged.staged(cursor, limit)
        return json_response(
            {"items": [video.to_json() for video in videos], "next_cursor": following}
        )

    @router.delete(
        f"/v1/staged/{VIDEO_ID}",
        status_code=204,
        dependencies=needs(Role.WRITER, change="staged.drop", all_banks=True),
        responses={204: _DROPPED, **ERRORS},
    )
    async def drop_staged(
        request: Request,
        video_id: str,
        version: Annotated[
            int | None, Query(ge=1, description="Only this version (default: every version).")
        ] = None,
    ) -> Response:
        """Stop waiting for a video: its received segments are deleted, and later ones are dropped."""
        await no_body(request)
        dropped = await changes.answer(request, lambda _: staged.drop_staged(video_id, version))
        if not dropped:
            raise ApiError(
                404,
                "unknown_video",
                f"{video_id[:200]!r} is not an incomplete video; /v1/staged lists them",
            )
        return Response(status_code=204)

    return router


_DROPPED: dict[str, Any] = {
    "description": "The version is marked as failed; an older complete version stays searchable."
}
