"""Decoding a file to upright frames sampled by time, within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import NoFramesError, VideoLimitError, VideoTimeoutError
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video.container import (
    VideoInfo,
    check_pixels,
    describe,
    open_container,
    picture_stream,
)
from common.video.picture import to_picture

_FALLBACK_FPS = 25.0
# Times are stamped in ticks; a frame may lie this much before the slot it stands for.
_SLACK_SECONDS = 0.002
# A stream that yields nothing but errors for this many packets has no more to give.
_MAX_BAD_PACKETS = 2_000


@dataclass(frozen=True, slots=True)
class Frame:
    """pts_seconds: from the first frame of the video. rgb: uint8 (H, W, 3), upright."""

    pts_seconds: float
    rgb: UInt8Array


class Decoder:
    """Decodes one video, once, by iterating over it.

    At most one frame is given for every slot of 1 / `frames_per_second`; its time stays its own.
    Time 0 is the first frame, or `origin_seconds` on the container's clock where that is given.
    Damaged data does not end the video: what decodes is given, and `damaged` says what was lost.
    `beat` is called at every packet and every frame, as a sign of life.

    Iterating raises NoFramesError when not one frame decodes, VideoLimitError and VideoTimeoutError
    when a bound of `limits` is passed, and the errors of `open_container` and `picture_stream`.
    """

    def __init__(
        self,
        source: Path | bytes,
        limits: VideoSettings,
        *,
        frames_per_second: float,
        short_side: int,
        origin_seconds: float | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._origin = origin_seconds
        self._beat = beat
        self._source = source
        self._limits = limits
        self._rate = frames_per_second
        self._short_side = short_side
        self._bad_packets = 0
        self.info: VideoInfo | None = None
        self.end_seconds = 0.0
        """Where the last frame decoded so far ends."""

    @property
    def damaged(self) -> str | None:
        """What was lost to damage, in words; None for a sound file."""
        if not self._bad_packets:
            return None
        return f"damaged: {self._bad_packets} packets could not be decoded and were left out"

    def __iter__(self) -> Iterator[Frame]:
        with open_container(self._source) as container:
            stream = picture_stream(container)
            self.info = describe(container, stream, self._limits)
            stream.codec_context.thread_count = 1
            # Smoothing block edges in frames that no other frame refers to shows in nothing we do.
            stream.codec_context.options = {"skip_loop_filter": "noref"}
            yield from self._sampled(self._frames(container, stream), stream)

    def _sampled(self, frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[Frame]:
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        typical = 1.0 / ((self.info and self.info.frames_per_second) or _FALLBACK_FPS)
        origin, previous = self._origin, None
        slot_done = -1
        deadline = time.monotonic() + self._limits.wall_seconds
        for count, frame in enumerate(frames):
            if count >= self._limits.max_frames:
                raise VideoLimitError(
                    f"more than {self._limits.max_frames} frames (STORYHASH_VIDEO__MAX_FRAMES)"
                )
            if time.monotonic() > deadline:
                raise VideoTimeoutError(
                    f"still decoding after {self._limits.wall_seconds:.0f} s "
                    "(STORYHASH_VIDEO__WALL_SECONDS)"
                )
            self._beat()
            check_pixels(frame.width, frame.height, self._limits)
            # PyAV types it as a float, and gives None for a frame without a time.
            stamp: float | None = frame.time
            if origin is None:
                origin = stamp or 0.0
            expected = 0.0 if previous is None else previous + typical
            now = expected if stamp is None else stamp - origin
            if previous is not None and now <= previous:
                continue
            if now > self._limits.max_seconds:
                raise VideoLimitError(
                    f"longer than {self._limits.max_seconds:.0f} s (STORYHASH_VIDEO__MAX_SECONDS)"
                )
            previous = now
            self.end_seconds = now + (_duration(frame) or typical)
            slot = int((now + _SLACK_SECONDS) * self._rate)
            if slot > slot_done:
                slot_done = slot
                picture = to_picture(frame, self._short_side, aspect)
                paused = time.monotonic()
                yield Frame(now, picture)
                # Time in which the reader was elsewhere is not the decoder's.
                deadline += time.monotonic() - paused
        if previous is None:
            raise NoFramesError("there is a video stream, but not one frame of it can be decoded")

    def _frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Every frame that decodes; packets that do not are counted and left out."""
        packets = container.demux(stream)
        while self._bad_packets < _MAX_BAD_PACKETS:
            self._beat()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # The container itself is broken from here on.
                self._bad_packets += 1
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self._bad_packets += 1


def _duration(frame: VideoFrame) -> float:
    if not frame.duration or frame.time_base is None:
        return 0.0
    return float(frame.duration * frame.time_base)
