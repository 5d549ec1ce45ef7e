"""`POST /v1/videos/states`: what is known of many videos, so that a producer can send what lacks."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from common.errors import UsageError
from common.http.errors import json_response
from common.http.request_body import read_json
from searcher.api.protocols import Catalogue
from searcher.api.schemas import ERRORS

# Ids asked for at once, and the bytes they may take.
MAX_IDS = 1000
_MAX_JSON_BYTES = 1 << 20


class AskedVideos(BaseModel):
    """The body."""

    model_config = ConfigDict(extra="forbid", strict=True)
    video_ids: list[str] = Field(max_length=MAX_IDS, description="Ids of videos.")


class VideoState(BaseModel):
    """What is known of one video. Versions are 0 where there is none."""

    video_id: str
    version: int = Field(description="The version that is searchable.")
    deleted_version: int = Field(description="Every version up to this one was deleted.")
    waiting_version: int = Field(
        description="The newest of which some segments have come, not all."
    )


class VideoStates(BaseModel):
    """In the order asked for."""

    items: list[VideoState]


def states_router(catalogue: Catalogue) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["videos"])

    @router.post(
        "/v1/videos/states",
        openapi_extra=_ASKED,
        responses={200: {"model": VideoStates}, **ERRORS},
    )
    async def states_of_videos(request: Request) -> Response:
        """Which versions of videos are searchable, deleted or still waiting for segments; of an unknown
        video every version is 0."""
        body = await read_json(request, _MAX_JSON_BYTES)
        try:
            asked = AskedVideos.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"{where or 'the body'}: {first['msg']}") from None
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


_ASKED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": AskedVideos.model_json_schema()}},
    }
}
