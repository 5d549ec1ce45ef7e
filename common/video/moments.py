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

# A time this soon after the last picture is reached by decoding on, without a seek.
_NEAR_SECONDS = 2.0
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
    decodes or one is too far from its key frame, VideoLimitError, and the errors of `probe`.
    """
    with open_container(path) as container:
        stream, _ = choose_stream(container, path, beat)
        codec = describe(container, stream, limits).codec
        stream.codec_context.thread_count = 1
        aspect = float(stream.sample_aspect_ratio or 1)
        matrices = DisplayMatrices(codec)
        origin = _first(container, stream, beat).time or 0.0
        cursor = _Cursor(container, stream, beat)
        for seconds in times:
            frame = cursor.frame_at(origin + seconds)
            check_pixels(frame.width, frame.height, limits)
            yield to_picture(frame, short_side, aspect, limits.max_clip_pixels, matrices)


def _first(container: InputContainer, stream: VideoStream, beat: Callable[[], None]) -> VideoFrame:
    for frame in PacketReader(container, stream, beat).frames():
        return frame
    raise NoFramesError("there is a video stream, but not one frame of it can be decoded")


class _Cursor:
    """Finds frames at increasing times; decodes on where the next time is near."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, beat: Callable[[], None]
    ) -> None:
        self._container = container
        self._stream = stream
        self._beat = beat
        self._frames: Iterator[VideoFrame] = iter(())
        self._last: VideoFrame | None = None

    def frame_at(self, stamp_seconds: float) -> VideoFrame:
        """The first frame at or after a time on the container's clock; without one, the last frame.
        Raises NoFramesError."""
        here: float | None = None if self._last is None else self._last.time
        if self._last is not None and here is not None:
            if 0 <= here + _SLACK_SECONDS - stamp_seconds < _NEAR_SECONDS:
                return self._last
            if 0 < stamp_seconds - here <= _NEAR_SECONDS:
                frame = self._decoded(stamp_seconds)
                if frame is not None:
                    return frame
        for start_seconds in (stamp_seconds, 0.0):
            _seek(self._container, self._stream, start_seconds)
            self._frames = PacketReader(self._container, self._stream, self._beat).frames()
            frame = self._decoded(stamp_seconds)
            if frame is not None:
                return frame
        raise NoFramesError("no frame at this time can be decoded")

    def _decoded(self, stamp_seconds: float) -> VideoFrame | None:
        """The next frame at or after a time; the last one if there is none, None without any.
        Raises NoFramesError if it is too far away."""
        last: VideoFrame | None = None
        for number, frame in enumerate(self._frames):
            last = frame
            # PyAV gives None for a frame without a time.
            stamp: float | None = frame.time
            if stamp is None or stamp >= stamp_seconds - _SLACK_SECONDS:
                break
            if number >= _MOST_FRAMES:
                raise NoFramesError(
                    f"its pictures at some times cannot be read: more than {_MOST_FRAMES} frames lie "
                    "between them and a key frame"
                )
        self._last = last
        return last


def _seek(container: InputContainer, stream: VideoStream, stamp_seconds: float) -> None:
    """Seek to the key frame before a time. If the container cannot seek, the position stays."""
    assert stream.time_base is not None
    with suppress(FFmpegError):
        container.seek(int(stamp_seconds / stream.time_base), stream=stream)
