"""Reads the header of a video, without decoding."""

from __future__ import annotations

from pathlib import Path

from common.settings import VideoSettings
from common.video.container import VideoInfo, describe, open_container
from common.video.tracks import choose_stream


def probe(source: Path | bytes, limits: VideoSettings) -> VideoInfo:
    """Read a video's header. Raises VideoError, NoVideoStreamError or VideoLimitError."""
    with open_container(source) as container:
        stream, _ = choose_stream(container, source)
        return describe(container, stream, limits)
