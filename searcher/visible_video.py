"""The video that a request names, if its caller may see it."""

from __future__ import annotations

from common.http.errors import ApiError
from common.http.request_facts import Caller
from common.printable import printable
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


def visible_video(videos: VideoStore, video_id: str, caller: Caller) -> Video:
    """The video, of a bank that the caller may see. Raises ApiError (404)."""
    video = known_video(videos, video_id)
    if not caller.may_see(video.bank):
        raise unknown_video(video_id)
    return video


def known_video(videos: VideoStore, video_id: str) -> Video:
    """The video, of any bank. Raises ApiError (404)."""
    video = videos.get(video_id)
    if video is None:
        raise unknown_video(video_id)
    return video


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
