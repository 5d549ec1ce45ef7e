"""Frames grouped into segments of fixed length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from common.types import FrameBatch
from common.video import Frame

# A frame may be stamped this much before the boundary it belongs behind.
_SLACK_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class Stretch:
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
) -> Iterator[Stretch]:
    """Cut a video into [k n, (k + 1) n); a remainder under `min_tail_seconds` joins the one before.

    `video_end` is asked once, after the last frame, where the video ends. Stretches cover the video
    without gap or overlap, except that one in which no frame lies is left out. Holds the frames of
    two segments at most.
    """
    waiting: list[Frame] = []
    current: list[Frame] = []
    start, waiting_start = 0.0, 0.0
    for frame in frames:
        while frame.pts_seconds >= start + segment_seconds - _SLACK_SECONDS:
            if waiting:
                yield _stretch(waiting, waiting_start, waiting_start + segment_seconds)
            waiting, waiting_start, current = current, start, []
            start += segment_seconds
        current.append(frame)
    if not current and not waiting:
        return
    last = current or waiting
    end = max(video_end(), last[-1].pts_seconds + 1e-3)
    if waiting and current and end - start < min_tail_seconds:
        yield _stretch(waiting + current, waiting_start, end)
        return
    if waiting:
        yield _stretch(waiting, waiting_start, waiting_start + segment_seconds)
    if current:
        yield _stretch(current, start, end)


def _stretch(frames: list[Frame], start: float, end: float) -> Stretch:
    pts = np.array([frame.pts_seconds for frame in frames], dtype=np.float64)
    return Stretch(start, end, FrameBatch(np.stack([frame.rgb for frame in frames]), pts))
