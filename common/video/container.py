"""Opening a file, choosing its picture stream and looking at it without decoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from common.errors import NoVideoStreamError, VideoError, VideoLimitError
from common.settings import VideoSettings

# Above this, what a container says of its frame rate is a clock tick, not a rate.
_MAX_PLAUSIBLE_FPS = 480.0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container says of its picture before anything is decoded.

    duration_seconds and frames_per_second are None where it does not say. width and height are
    those of the coded picture, in pixels, before any rotation.
    """

    duration_seconds: float | None
    frames_per_second: float | None
    width: int
    height: int
    codec: str


@contextmanager
def open_container(source: Path | bytes) -> Iterator[InputContainer]:
    """Open a file or the bytes of one. Raises VideoError in words when it is no readable video."""
    av.logging.set_level(av.logging.PANIC)
    container = _open_bytes(source) if isinstance(source, bytes) else _open_file(source)
    with container:
        yield container


def _open_file(path: Path) -> InputContainer:
    try:
        # As plain text libav would give `-` and `scheme:` a meaning of their own.
        return av.open(f"file:{path}", "r", **_open_options())
    except FileNotFoundError:
        raise VideoError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise VideoError(f"{path}: is a folder, not a video") from None
    except PermissionError:
        raise VideoError(f"{path}: may not be read; check its permissions") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(error) from None


def _open_bytes(content: bytes) -> InputContainer:
    try:
        return av.open(io.BytesIO(content), "r", **_open_options())
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(error) from None


def _open_options() -> dict[str, Any]:
    """Text in a file may be in any encoding; before version 19 PyAV fails on it unless told not to."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def _unreadable(error: Exception) -> VideoError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return VideoError(f"not a readable video, damaged or encrypted ({reason})")


def picture_stream(container: InputContainer) -> VideoStream:
    """The stream that is the video: not a cover picture, and the longest where there are several.

    Raises NoVideoStreamError when there is none.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise NoVideoStreamError(f"no video in it, only: {', '.join(kinds) or 'nothing'}")
    return max(streams, key=lambda stream: (stream.frames > 1, _seconds(stream), -stream.index))


def probe(source: Path | bytes, limits: VideoSettings) -> VideoInfo:
    """Look at a video. Raises VideoError, NoVideoStreamError or VideoLimitError."""
    with open_container(source) as container:
        stream = picture_stream(container)
        return describe(container, stream, limits)


def describe(container: InputContainer, stream: VideoStream, limits: VideoSettings) -> VideoInfo:
    """What `container` says of `stream`. Raises VideoLimitError when that is already too much."""
    context = stream.codec_context
    if context is None:
        raise VideoError("its codec is not one this build of FFmpeg can decode")
    duration = _seconds(stream) or (container.duration or 0) / 1_000_000 or None
    if duration is not None and duration > limits.max_seconds:
        raise VideoLimitError(
            f"{duration:.0f} s long, over the limit of {limits.max_seconds:.0f} s "
            "(STORYHASH_VIDEO__MAX_SECONDS)"
        )
    check_pixels(context.width, context.height, limits)
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return VideoInfo(
        duration_seconds=duration,
        frames_per_second=rate if 0 < rate <= _MAX_PLAUSIBLE_FPS else None,
        width=context.width,
        height=context.height,
        codec=context.codec.canonical_name,
    )


def check_pixels(width: int, height: int, limits: VideoSettings) -> None:
    """Raise VideoLimitError for a picture that is larger than allowed."""
    if width * height > limits.max_pixels:
        raise VideoLimitError(
            f"picture of {width}x{height}, over the limit of {limits.max_pixels} pixels "
            "(STORYHASH_VIDEO__MAX_PIXELS)"
        )


def _seconds(stream: VideoStream) -> float:
    if stream.duration is None or stream.time_base is None:
        return 0.0
    return float(stream.duration * stream.time_base)
