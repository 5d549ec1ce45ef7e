"""Opens a file and reads its header, without decoding."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.format import Flags
from av.video.stream import VideoStream

from common.errors import VideoError, VideoLimitError
from common.settings import VideoSettings
from common.video.formats import HEAD_BYTES, OPTIONS, is_text, named_list, shown_name

# A higher frame rate in a container's header is a clock rate, not a frame rate.
_MAX_PLAUSIBLE_FPS = 480.0
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the header says of the video stream.

    duration_seconds and frames_per_second are None if the header has none. width and height: the coded
    picture in pixels, before rotation.
    """

    duration_seconds: float | None
    frames_per_second: float | None
    width: int
    height: int
    codec: str


class _File:
    """An open file without its real name, because FFmpeg interprets names such as `img%03d.jpg` and
    `concat:`."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable


@contextmanager
def open_container(source: Path | bytes) -> Iterator[InputContainer]:
    """Open a file, or the bytes of a file. No other file is opened, whatever it contains.

    Raises VideoError, with the reason, if it is not a readable video or is a list of other files.
    """
    av.logging.set_level(av.logging.PANIC)
    with _open_source(source) as file:
        try:
            container = _open(file, source)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _unreadable(error, file) from None
        with container:
            yield container


def _open_source(path: Path | bytes) -> BinaryIO:
    if isinstance(path, bytes):
        return io.BytesIO(path)
    try:
        # FFmpeg has its own buffer.
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise VideoError(f"{path}: file not found") from None
    except IsADirectoryError:
        raise VideoError(f"{path}: is a folder, not a video") from None
    except PermissionError:
        raise VideoError(f"{path}: permission denied; check its permissions") from None
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: cannot be read ({_reason(error)})") from None


def _open(file: BinaryIO, source: Path | bytes) -> InputContainer:
    # A pipe cannot be read twice, so its beginning is not checked.
    if file.seekable():
        named = named_list(_head(file))
        if named is not None:
            raise VideoError(f"{named} refers to other files; give the video file itself")
    name = "video" if isinstance(source, bytes) else shown_name(source.name)
    # Metadata may be in any encoding. Before version 19, PyAV fails on undecodable text without this
    # option.
    more: dict[str, Any] = (
        {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    )
    return av.open(_File(file, name), "r", options=dict(OPTIONS), **more)


def _head(file: BinaryIO) -> bytes:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _unreadable(error: Exception, file: BinaryIO) -> VideoError:
    log = getattr(error, "log", None)
    if log and "not on whitelist" in log[2]:
        return VideoError(f"its format ({log[1]}) is not supported; convert it to MP4 or MKV")
    if file.seekable():
        file.seek(0)
        head = _head(file)
        if not head:
            return VideoError("not a readable video: the file is empty")
        if is_text(head):
            return VideoError("not a readable video but a text file")
    if log and "moov atom not found" in log[2]:
        return VideoError(
            "not a readable video: its index (moov) is missing, as in a download or recording that was "
            "cut short; get the complete file"
        )
    return VideoError(f"not a readable video: damaged or encrypted ({_reason(error)})")


def describe(container: InputContainer, stream: VideoStream, limits: VideoSettings) -> VideoInfo:
    """The information in the header of `stream`. Raises VideoLimitError if the picture is too large,
    VideoError if the codec is not supported.

    The length is only reported, because it may be wrong: a late subtitle makes a short video 30 hours
    long.
    """
    context = stream.codec_context
    if context is None:
        raise VideoError("its codec is not supported by this build of FFmpeg; convert it to H.264")
    duration = stream_seconds(stream) or (container.duration or 0) / 1_000_000 or None
    check_pixels(context.width, context.height, limits)
    known = stream.average_rate or stream.guessed_rate
    if has_flag(container, Flags.no_timestamps):
        # Then these are FFmpeg's default, and only the stream itself may say its rate.
        known = context.framerate
    rate = float(known or 0)
    return VideoInfo(
        duration_seconds=duration,
        frames_per_second=rate if 0 < rate <= _MAX_PLAUSIBLE_FPS else None,
        width=context.width,
        height=context.height,
        codec=context.codec.canonical_name,
    )


def has_flag(container: InputContainer, flag: Flags) -> bool:
    """Whether the format of a file has a property."""
    # Type hints say that both are flags; they are ints.
    flags: Any = container.format.flags
    return bool(flags & flag.value)


def check_pixels(width: int, height: int, limits: VideoSettings) -> None:
    """Raise VideoLimitError if a picture has more pixels than allowed."""
    if width * height > limits.max_pixels:
        raise VideoLimitError(
            f"frame of {width}x{height} pixels exceeds the limit of {limits.max_pixels} "
            "pixels (STORYHASH_VIDEO__MAX_PIXELS)"
        )


def stream_seconds(stream: VideoStream) -> float:
    """The length of a stream in seconds, as in the header; 0 if the header has none."""
    if stream.duration is None or stream.time_base is None:
        return 0.0
    return float(stream.duration * stream.time_base)


def tagged_seconds(stream: VideoStream) -> float:
    """The length of a Matroska track in seconds, which its header has as a tag; 0 without one."""
    end = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if end is None or stream.time_base is None:
        return 0.0
    hours, minutes, seconds = map(float, end.groups())
    start = float((stream.start_time or 0) * stream.time_base)
    return max(0.0, 3600 * hours + 60 * minutes + seconds - start)
