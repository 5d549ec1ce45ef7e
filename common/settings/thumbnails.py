"""Settings of thumbnails: small pictures of indexed videos, to judge and to verify matches."""

from __future__ import annotations

from pydantic import Field

from common.settings.group import SettingsGroup


class ThumbnailSettings(SettingsGroup):
    """Whether small pictures of indexed videos are kept. Over Kafka, embedders make them and searchers
    keep them."""

    enabled: bool = Field(
        False,
        description="Keep one small picture for each half second of a new video, in the folder "
        "`thumbnails` of the data folder. People see them, and doubtful matches are verified with "
        "them if the file is not on this machine. They are deleted with the video. Over Kafka, "
        "set it for embedders and searchers.",
    )
    long_side: int = Field(
        160, ge=32, le=640, description="Pixels of the longer side of a thumbnail."
    )
    max_bytes: int = Field(
        4096,
        ge=512,
        le=65_536,
        description="Maximum bytes of one thumbnail. A larger one is encoded again at lower quality, and "
        "left out if that does not help.",
    )
