"""Single pictures of a video at given times, by seeking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import NoFramesError
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video.container import check_pixels, describe, open_container
from common.video.frame_to_rgb import DisplayMatrices, to_picture
from common.video.packets import PacketReader
from common.video.tracks import choose_stream

# A seek goes to the key frame before the time. At most this many frames after it are decoded.
_MOST_FRAMES = 1_500
_SLACK_SECONDS = 0.002


def pictures_at(
    path: Path,
    times: Sequence[float],
    limits: VideoSettings,
    *,
    short_side: int,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[UInt8Array]:
    """One upright picture, uint8 (H, W, 3), per time, in order.

    times: increasing, in seconds since the first frame. A time after the last frame gives the last frame.
    If the file's clock jumps, the picture may be from another time. Raises NoFramesError if no frame
    decodes, VideoLimitError, and the errors of `probe`.
    """
    with open_container(path) as container:
        stream, _ = choose_stream(container, path, beat)
        describe(container, stream, limits)
        stream.codec_context.thread_count = 1
        aspect = float(stream.sample_aspect_ratio or 1)
        matrices = DisplayMatrices()
        origin = _first(container, stream, beat).time or 0.0
        for seconds in times:
            frame = _frame_at(container, stream, origin + seconds, beat)
            check_pixels(frame.width, frame.height, limits)
            yield to_picture(frame, short_side, aspect, limits.max_clip_pixels, matrices)


def _first(container: InputContainer, stream: VideoStream, beat: Callable[[], None]) -> VideoFrame:
    for frame in PacketReader(container, stream, beat).frames():
        return frame
    raise NoFramesError("there is a video stream, but not one frame of it can be decoded")


def _frame_at(
    container: InputContainer, stream: VideoStream, stamp_seconds: float, beat: Callable[[], None]
) -> VideoFrame:
    """The first frame at or after a time on the container's clock; without one, the last frame. Raises
    NoFramesError."""
    last: VideoFrame | None = None
    for start_seconds in (stamp_seconds, 0.0):
        _seek(container, stream, start_seconds)
        for number, frame in enumerate(PacketReader(container, stream, beat).frames()):
            last = frame
            # PyAV gives None for a frame without a time.
            stamp: float | None = frame.time
            late = stamp is None or stamp >= stamp_seconds - _SLACK_SECONDS
            if late or number >= _MOST_FRAMES:
                return frame
        if last is not None:
            return last
    raise NoFramesError("no frame at this time can be decoded")


def _seek(container: InputContainer, stream: VideoStream, stamp_seconds: float) -> None:
    """Seek to the key frame before a time. If the container cannot seek, the position stays."""
    assert stream.time_base is not None
    with suppress(FFmpegError):
        container.seek(int(stamp_seconds / stream.time_base), stream=stream)
