"""The JSON of `/v1/staged`."""

from __future__ import annotations

from common.http.schema import Schema


class StagedItem(Schema):
    """An incomplete version of a video. `expected_segments` is null until its end message arrives;
    `idle_seconds`: time since its last message."""

    video_id: str
    version: int
    segments: int
    expected_segments: int | None
    idle_seconds: float
    reason: str


class StagedPage(Schema):
    """A page of incomplete versions."""

    items: list[StagedItem]
    next_cursor: str | None
