"""Groups frames into segments of fixed length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from common.types import FrameBatch
from common.video import Frame, one_size

# A frame may be this much earlier than the boundary that it belongs after.
_SLACK_SECONDS = 1e-6
# A frame that is shown for longer than this is repeated every half second, because embedders describe
# each half second by its frames. Videos of at least 1.4 frames per second have no such frame.
HOLD_SECONDS = 0.75
_REPEAT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SegmentFrames:
    """The frames of [start_seconds, end_seconds) of a video."""

    start_seconds: float
    end_seconds: float
    batch: FrameBatch


def segment_frames(
    frames: Iterable[Frame],
    video_end: Callable[[], float],
    *,
    segment_seconds: float,
    min_tail_seconds: float,
    hold_seconds: float = HOLD_SECONDS,
) -> Iterator[SegmentFrames]:
    """Cut a video into [k n, (k + 1) n); a remainder under `min_tail_seconds` joins the last segment.

    `video_end` is called once, after the last frame, and returns the end of the video. The segments cover
    the video without gap or overlap. A frame that is displayed for longer than `hold_seconds` is repeated
    every half second, in each segment that it covers. At most the frames of two segments are in memory.
    """
    previous: list[Frame] = []
    current: list[Frame] = []
    start, waiting_start = 0.0, 0.0
    for frame in _with_repeats(frames, video_end, segment_seconds, hold_seconds):
        while frame.pts_seconds >= start + segment_seconds - _SLACK_SECONDS:
            if previous:
                yield _segment_of(previous, waiting_start, waiting_start + segment_seconds)
            previous, waiting_start, current = current, start, []
            start += segment_seconds
        current.append(frame)
    if not current and not previous:
        return
    last = current or previous
    end = max(video_end(), last[-1].pts_seconds + 1e-3)
    if previous and current and end - start < min_tail_seconds:
        yield _segment_of(previous + current, waiting_start, end)
        return
    if previous:
        yield _segment_of(previous, waiting_start, waiting_start + segment_seconds)
    if current:
        yield _segment_of(current, start, end)


def _with_repeats(
    frames: Iterable[Frame],
    video_end: Callable[[], float],
    segment_seconds: float,
    hold_seconds: float,
) -> Iterator[Frame]:
    """The frames, with repetitions of those that are displayed for long."""
    last_frame: Frame | None = None
    for frame in frames:
        if last_frame is not None and frame.pts_seconds - last_frame.pts_seconds > hold_seconds:
            yield from _repeated(last_frame, frame.pts_seconds, segment_seconds)
        yield frame
        last_frame = frame
    if last_frame is not None and video_end() - last_frame.pts_seconds > hold_seconds:
        yield from _repeated(last_frame, video_end(), segment_seconds)


def _repeated(frame: Frame, until: float, segment_seconds: float) -> Iterator[Frame]:
    """A frame, repeated at the half seconds (from the start of segments) in which it is displayed."""
    index = math.floor((frame.pts_seconds + _SLACK_SECONDS) / segment_seconds)
    while True:
        begins, ends = index * segment_seconds, (index + 1) * segment_seconds
        point = begins
        if frame.pts_seconds >= begins - _SLACK_SECONDS:
            elapsed_seconds = frame.pts_seconds - begins + _SLACK_SECONDS
            point += (math.floor(elapsed_seconds / _REPEAT_SECONDS) + 1) * _REPEAT_SECONDS
        while point < ends - _SLACK_SECONDS:
            if min(point + _REPEAT_SECONDS, ends) > until + _SLACK_SECONDS:
                return
            yield replace(frame, pts_seconds=point)
            point += _REPEAT_SECONDS
        index += 1


def _segment_of(frames: list[Frame], start: float, end: float) -> SegmentFrames:
    pts = np.array([frame.pts_seconds for frame in frames], dtype=np.float64)
    return SegmentFrames(
        start, end, FrameBatch(np.stack(one_size([frame.rgb for frame in frames])), pts)
    )
