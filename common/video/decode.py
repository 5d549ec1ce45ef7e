"""Decodes a file into upright frames, sampled by time, within limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.format import Flags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.errors import NoFramesError, VideoLimitError, VideoTimeoutError
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video.container import (
    VideoInfo,
    check_pixels,
    describe,
    has_flag,
    open_container,
    stream_seconds,
    tagged_seconds,
)
from common.video.frame_to_rgb import DisplayMatrices, to_picture
from common.video.packets import PacketReader
from common.video.timeline import BROADCAST_GAP_SECONDS, GAP_SECONDS, TimelineClock
from common.video.tracks import choose_stream

_FALLBACK_FPS = 25.0
# Timestamps are rounded to ticks, so a frame may lie this much before its slot.
_SLACK_SECONDS = 0.002
# A video counts as damaged if it ends earlier than its header says by more than both: these seconds and
# this fraction of its length.
_MISSING_SECONDS, _MISSING_SHARE = 1.0, 0.05


@dataclass(frozen=True, slots=True)
class Frame:
    """pts_seconds: time since the first frame of the video. rgb: uint8 (H, W, 3), upright."""

    pts_seconds: float
    rgb: UInt8Array


class _PendingFrame:
    """A decoded frame before its time is known. If it has to wait, only the small picture is kept."""

    def __init__(self, frame: VideoFrame, to_picture: Callable[[VideoFrame], UInt8Array]) -> None:
        # PyAV's type hint is float, but it gives None for a frame without a time.
        self.stamp_seconds: float | None = frame.time
        self.duration_seconds = _duration(frame)
        self._frame: VideoFrame | None = frame
        self._to_picture = to_picture
        self._picture: UInt8Array | None = None

    def keep(self) -> None:
        self.picture()

    def picture(self) -> UInt8Array:
        if self._picture is None:
            assert self._frame is not None
            self._picture = self._to_picture(self._frame)
            self._frame = None
        return self._picture


class Decoder:
    """Decodes one video once; iterate over it.

    It gives at most one frame per slot of 1 / `frames_per_second`, with the frame's own time. Time 0 is
    the first frame, or `origin_seconds` on the container's clock if given. If that clock jumps, time
    continues after one frame (timeline.py). Damaged data does not end the video: every frame that decodes
    is given, `damaged` describes what was lost, and `notes` what was ignored on purpose. `beat` is called
    at every packet and frame, as a sign of life.

    short_side: pictures are scaled down to this short side and to `limits.max_clip_pixels`; None keeps
    their size.

    Iterating raises NoFramesError if no frame decodes, VideoLimitError and VideoTimeoutError if a limit
    is exceeded, and the errors of `open_container` and `choose_stream`.
    """

    def __init__(
        self,
        source: Path | bytes,
        limits: VideoSettings,
        *,
        frames_per_second: float,
        short_side: int | None,
        origin_seconds: float | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._origin = origin_seconds
        self._beat = beat
        self._source = source
        self._limits = limits
        self._rate = frames_per_second
        self._short_side = short_side
        self._reader: PacketReader | None = None
        self._clock: TimelineClock | None = None
        self._left_out: str | None = None
        self._untimed = False
        self._deadline = 0.0
        # Length of the track in its header.
        self._said_seconds = 0.0
        self._ended = False
        self.info: VideoInfo | None = None
        self.end_seconds = 0.0
        """End of the last frame decoded so far, in seconds."""

    @property
    def damaged(self) -> str | None:
        """A description of what was lost to damage; None if nothing was."""
        problems = []
        if self._reader is not None and self._reader.bad:
            problems.append(f"packets that could not be decoded: {self._reader.bad}")
        if self._reader is not None and self._reader.gave_up:
            problems.append(f"decoding ended at {self.end_seconds:.1f} s: {self._reader.gave_up}")
        elif self._ended and self._is_short():
            problems.append(
                f"the video ends at {self.end_seconds:.1f} s, but its header says "
                f"{self._said_seconds:.1f} s"
            )
        if self._clock is not None and self._clock.late:
            problems.append(f"late frames that were dropped: {self._clock.late}")
        return f"damaged: {'; '.join(problems)}" if problems else None

    @property
    def notes(self) -> str | None:
        """Remarks that are not damage: ignored tracks, timestamps that jump. None if there are none."""
        notes = [self._left_out] if self._left_out else []
        if self._untimed:
            notes.append(
                f"the stream has neither timestamps nor a frame rate, so {_FALLBACK_FPS:g} frames per "
                "second are assumed; to give it a rate: ffmpeg -r RATE -i FILE -c copy FILE.mp4"
            )
        if self._clock is not None and self._clock.jumps:
            notes.append(
                f"jumps of the timestamps: {self._clock.jumps}, the first after "
                f"{self._clock.first_jump_seconds:.1f} s; a jump counts as one frame"
            )
        if self._clock is not None and self._clock.wild:
            notes.append(
                f"frames with a wrong timestamp, now between their neighbours: {self._clock.wild}"
            )
        return "; ".join(notes) or None

    def __iter__(self) -> Iterator[Frame]:
        with open_container(self._source) as container:
            stream, self._left_out = choose_stream(container, self._source, self._beat)
            self.info = describe(container, stream, self._limits)
            self._untimed = self.info.frames_per_second is None and has_flag(
                container, Flags.no_timestamps
            )
            self._said_seconds = stream_seconds(stream) or tagged_seconds(stream)
            stream.codec_context.thread_count = 1
            # Frames to which no other frame refers are not deblocked: the difference does not matter
            # here.
            stream.codec_context.options = {"skip_loop_filter": "noref"}
            self._reader = PacketReader(container, stream, self._beat)
            self._clock = TimelineClock(
                1.0 / (self.info.frames_per_second or _FALLBACK_FPS),
                _believed_gap_seconds(container),
                self._origin,
            )
            yield from self._sampled(self._shots(stream), self._clock)
            self._ended = True

    def _shots(self, stream: VideoStream) -> Iterator[_PendingFrame]:
        """Every frame that decodes. Raises the errors of exceeded limits."""
        assert self._reader is not None
        aspect = float(stream.sample_aspect_ratio or 1)
        matrices = DisplayMatrices(stream.codec_context.codec.canonical_name)

        def shrink(frame: VideoFrame) -> UInt8Array:
            return to_picture(
                frame, self._short_side, aspect, self._limits.max_clip_pixels, matrices
            )

        self._deadline = time.monotonic() + self._limits.wall_seconds
        for count, frame in enumerate(self._reader.frames()):
            if count >= self._limits.max_frames:
                raise VideoLimitError(
                    f"more than {self._limits.max_frames} frames (STORYHASH_VIDEO__MAX_FRAMES)"
                )
            if time.monotonic() > self._deadline:
                raise VideoTimeoutError(
                    f"decoding did not finish within {self._limits.wall_seconds:.0f} s "
                    "(STORYHASH_VIDEO__WALL_SECONDS)"
                )
            self._beat()
            check_pixels(frame.width, frame.height, self._limits)
            yield _PendingFrame(frame, shrink)

    def _sampled(self, shots: Iterator[_PendingFrame], clock: TimelineClock) -> Iterator[Frame]:
        slot_done = -1
        empty = True
        for timed in clock.run(shots):
            now, empty = timed.start_seconds, False
            if now > self._limits.max_seconds:
                raise VideoLimitError(
                    f"longer than {self._limits.max_seconds:.0f} s (STORYHASH_VIDEO__MAX_SECONDS)"
                )
            self.end_seconds = timed.end_seconds
            slot = int((now + _SLACK_SECONDS) * self._rate)
            if slot > slot_done:
                slot_done = slot
                picture = timed.shot.picture()
                paused = time.monotonic()
                yield Frame(now, picture)
                # Time that the consumer spends between frames does not count.
                self._deadline += time.monotonic() - paused
        if empty:
            raise NoFramesError("there is a video stream, but no frame of it can be decoded")

    def _is_short(self) -> bool:
        """Whether the video ends much earlier than its header says."""
        missing = self._said_seconds - self.end_seconds
        # Then the length in the header is that of the wrong times.
        jumped = self._clock is not None and (self._clock.jumps or self._clock.wild)
        return not jumped and missing > max(_MISSING_SECONDS, _MISSING_SHARE * self._said_seconds)


def _believed_gap_seconds(container: InputContainer) -> float:
    """The longest gap between frames that is accepted without proof, in seconds. It is shorter for
    formats whose clock may restart (broadcast)."""
    return BROADCAST_GAP_SECONDS if has_flag(container, Flags.ts_discont) else GAP_SECONDS


def _duration(frame: VideoFrame) -> float:
    if not frame.duration or frame.time_base is None:
        return 0.0
    return float(frame.duration * frame.time_base)
