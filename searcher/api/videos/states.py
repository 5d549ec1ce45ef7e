"""`POST /v1/videos/states`: the states of many videos, so that a producer can send what is missing."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.request_body import documented_body, read_model
from common.http.roles import needs
from common.state.roles import Role
from searcher.api.videos.schemas import VideoStates, VideoStatesRequest
from searcher.serving import Catalogue

# Bytes of the ids asked for at once.
_MAX_JSON_BYTES = 1 << 20


def states_router(catalogue: Catalogue) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["videos"])

    @router.post(
        "/v1/videos/states",
        dependencies=needs(Role.READER, all_banks=True),
        openapi_extra=documented_body(VideoStatesRequest),
        responses={200: {"model": VideoStates}, **ERRORS},
    )
    async def states_of_videos(request: Request) -> Response:
        """Get which versions of the given videos are searchable, deleted or incomplete."""
        asked = await read_model(request, VideoStatesRequest, _MAX_JSON_BYTES)
        return json_response(await to_thread.run_sync(_states, catalogue, asked.video_ids))

    return router


def _states(catalogue: Catalogue, video_ids: list[str]) -> dict[str, Any]:
    index = catalogue.current().index
    settled = index.staging.settled(video_ids)
    items = []
    for video_id in video_ids:
        row = index.videos.get(video_id)
        items.append(
            {
                "video_id": video_id,
                "version": 0 if row is None else row.version,
                "deleted_version": settled[video_id][1],
                "waiting_version": index.staging.newest(video_id),
            }
        )
    return {"items": items}
