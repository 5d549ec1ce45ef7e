"""The JSON of the catalogue: its videos, their states and erasure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.http.error_schemas import ErrorInfo
from common.http.schema import Schema, examples

# Video ids of one request for their states.
MAX_STATES = 1000


class VideoItem(Schema):
    """A video of the catalogue; its segments are those of its newest complete version."""

    video_id: str
    uri: str = Field(
        description="Where it was read from, without secrets; of an uploaded video its address here, "
        "`/v1/videos/{video_id}/content`."
    )
    bank: str
    title: str
    version: int
    duration_seconds: float
    segments: int
    uninformative_segments: int
    state: Literal["pending", "ready", "failed", "disabled"]
    metadata: dict[str, Any]
    indexed_at: str | None
    error: ErrorInfo | None = Field(None, description="Why indexing failed; absent otherwise.")
    disabled: bool = Field(False, description="Kept, but not found by searches and matches.")


class VideoPage(Schema):
    """Videos ordered by id; `next_cursor` is the cursor of the next page, `total`
    counts all pages."""

    items: list[VideoItem]
    next_cursor: str | None
    total: int


class VideoStatesRequest(BaseModel):
    """The body."""

    model_config = ConfigDict(extra="forbid", strict=True)
    video_ids: list[str] = Field(max_length=MAX_STATES, description="Video ids.")


class VideoState(BaseModel):
    """The versions of one video; 0 where there is none."""

    video_id: str
    version: int = Field(description="The searchable version.")
    deleted_version: int = Field(description="This version and all older ones were deleted.")
    waiting_version: int = Field(description="The newest version that is incomplete.")


class VideoStates(BaseModel):
    """States in the order of the request."""

    items: list[VideoState]


class NewVideo(Schema):
    """A video to index. The default of `video_id` is the address without query and credentials."""

    uri: str = Field(min_length=1)
    video_id: str | None = Field(None, min_length=1, max_length=1000)
    bank: str = Field("default", min_length=1, max_length=200)
    title: str = Field("", max_length=1000)
    metadata: dict[str, Any] = Field(default_factory=dict)


class ChangedVideo(Schema):
    """What to change of a video; what is not given stays. `metadata` is replaced as a whole."""

    model_config = examples({"title": "Tea, restored", "disabled": False})
    title: str = Field("", max_length=1000)
    bank: str = Field("default", min_length=1, max_length=200)
    metadata: dict[str, Any] = Field(default_factory=dict)
    disabled: bool = Field(
        False, strict=True, description="Keep the video, but let no search and no match find it."
    )


class ErasurePlace(Schema):
    """A place where a video was looked for. `items`: what `found` counts."""

    place: str
    items: str
    found: int


class ErasureReceipt(Schema):
    """Where a video was looked for. `erased`: nothing was found. `kept`: what stays, and why."""

    video_id: str
    checked_at: str
    erased: bool
    places: list[ErasurePlace]
    kept: dict[str, str]
