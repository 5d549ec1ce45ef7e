"""`PATCH /v1/videos/{id}`: changes what is said of a video, and whether it is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.errors import UsageError
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, not_here
from common.http.etag import IF_MATCH, check_if_match, tagged_response
from common.http.load_shedding import LoadShedder
from common.http.request_body import documented_body, read_model
from common.http.request_facts import Caller, facts_of
from common.http.roles import banks_for, needs
from common.state.roles import Role
from searcher.api.video_path import VIDEO_ID
from searcher.api.videos.bank_limits import BankLimits
from searcher.api.videos.routes import (
    MAX_VIDEO_JSON_BYTES,
    settings_of,
    unchanged_video,
    video_to_json,
)
from searcher.api.videos.schemas import ChangedVideo, VideoItem
from searcher.deletion.steps import forget_deleted
from searcher.review.reviews import Reviews
from searcher.serving import Catalogue
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from searcher.visible_video import known_video, unknown_video

# Writes another bank, title or metadata of a video; returns its row, None if it is unknown. Raises
# UsageError for invalid text.
DescribeVideo: TypeAlias = Callable[[str, Mapping[str, Any]], Video | None]
_DISABLED = "disabled"
_AT_WORK, _WAITING = 4, 32


def video_changes_router(
    catalogue: Catalogue, describe: DescribeVideo | None, reviews: Reviews, limits: BankLimits
) -> APIRouter:
    """The route. describe: None if this process only answers; then only `disabled` can be changed."""
    router = APIRouter(tags=["videos"])
    load_shedder = LoadShedder(_AT_WORK, _WAITING)

    def videos() -> VideoStore:
        return catalogue.current().index.videos

    def change(request: Request, video_id: str, changes: dict[str, Any], caller: Caller) -> Any:
        with limits.checked(request, video_id, unknown_video), limits.changing:
            curation = reviews.state.curation
            video = unchanged_video(request, videos(), video_id, reviews)
            disabled = changes.pop(_DISABLED, None)
            if changes and describe is None:
                raise _described_elsewhere()

            def unchanged(disabled: bool) -> None:
                now = videos().get(video_id) or video
                check_if_match(request, settings_of({**now.to_json(), _DISABLED: disabled}))

            # First, as other processes may change it too: here nobody can between check and change.
            if disabled is True:
                curation.disable(video_id, caller.key_id, unchanged)
                forget_deleted(reviews.state, [video_id], videos())
            elif disabled is False:
                curation.enable(video_id, unchanged)
            if changes and describe is not None:
                video = describe(video_id, changes) or known_video(videos(), video_id)
                if "bank" in changes:
                    # Also of an unchanged bank: an earlier call may have ended between the two steps.
                    reviews.move_video(video_id, video.bank)
            return video_to_json(video, curation.current)

    @router.patch(
        f"/v1/videos/{VIDEO_ID}",
        dependencies=needs(Role.WRITER, change="videos.update"),
        openapi_extra={**documented_body(ChangedVideo), "parameters": [IF_MATCH]},
        responses={200: {"model": VideoItem}, **ERRORS},
    )
    async def change_video(video_id: str, request: Request) -> Response:
        """Change the title, the bank, the metadata or `disabled` of a video. What is not given stays;
        metadata is replaced as a whole. The video is not indexed again."""
        load_shedder.check_capacity(request)
        given = await read_model(request, ChangedVideo, MAX_VIDEO_JSON_BYTES)
        changes = given.model_dump(exclude_unset=True)
        if not changes:
            raise UsageError("the body: expected title, bank, metadata or disabled")
        if "bank" in changes:
            banks_for(request, frozenset({changes["bank"]}))
        caller = facts_of(request.scope).caller
        value = await load_shedder.answer(
            request, lambda _: change(request, video_id, changes, caller)
        )
        return tagged_response(request, value, settings_of(value))

    return router


def _described_elsewhere() -> ApiError:
    return not_here(
        "this service only answers: titles, banks and metadata are changed at the one that indexes. "
        "`disabled` can be changed here",
    )
