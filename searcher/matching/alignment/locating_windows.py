"""Which windows of a query locate a copy: single frames, or the shortest windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import (
    SECOND_PASS_MOMENTS,
    SECOND_PASS_STEP_SECONDS,
    BoolArray,
    Float64Array,
    Int64Array,
)
from searcher.matching.alignment.run import MAX_GAP_SECONDS, Spans

# Windows that lie end to end, like the segments of an indexed video, may be up to this share of their
# distance apart, because the last one may be 1.5 times as long.
MAX_GAP_WINDOWS = 1.3
# A window shorter than this is one frame, located at its start.
FRAME_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LocatingWindows:
    """rows: int64 (n,), the numbers of these windows, in the order of time. times: float64 (n,), the
    moments they stand for. frames: whether they are frames. apart_seconds: between two frames; 0 if
    windows are longer. max_gap_seconds: windows further apart belong to two runs."""

    rows: Int64Array
    times: Float64Array
    frames: bool
    apart_seconds: float
    max_gap_seconds: float

    @classmethod
    def of(cls, windows: Spans, usable: BoolArray) -> LocatingWindows:
        """usable: bool (W,), windows with information; at least one."""
        chosen = usable if are_end_to_end(windows) else finest_of(windows, usable)
        rows = np.flatnonzero(chosen)[np.argsort(windows.starts[chosen], kind="stable")]
        frames = are_frames(windows, rows) or is_lone_frame(windows, usable)
        # A frame shows the moment at which its window starts.
        times = windows.starts[rows] if frames else (windows.starts[rows] + windows.ends[rows]) / 2
        # If a view has only one frame, the next one would be a step away.
        alone = SECOND_PASS_STEP_SECONDS * frames
        apart = float(np.median(np.diff(times))) if len(times) > 1 else alone
        if frames:
            # Frames further apart lie in different parts of the query: the view is not of every picture,
            # or copies lie between.
            apart = min(apart, longest_step(windows))
        max_gap_seconds = max(MAX_GAP_SECONDS, MAX_GAP_WINDOWS * apart)
        return cls(rows, times, frames, apart if frames else 0.0, max_gap_seconds)

    def query_range(self, members: Int64Array, windows: Spans) -> tuple[float, float]:
        """Start and end of the windows `members`, int64 (m,), indices of `rows`: half-way to the next
        frame that is not among them."""
        first, last = int(members[0]), int(members[-1])
        times, apart, last_row = self.times, self.apart_seconds, len(self.rows) - 1
        begin, finish = float(windows.starts.min()), float(windows.ends.max())
        start = max(0.0, times[first] - apart / 2)
        end = times[last] + apart / 2
        if apart < FRAME_SECONDS:
            # There is no window beyond the ends of the query, so the outer edge of the window is used.
            start = windows.starts[self.rows[first]] if first == 0 else start
            end = windows.ends[self.rows[last]] if last == last_row else end
        else:
            # No frame lies between these and the ends of the query. So nothing says that the copy ends.
            reach = apart + FRAME_SECONDS / 2
            start = begin if first == 0 and times[first] - begin < reach else start
            end = finish if last == last_row and finish - times[last] < reach else end
        # The rest of the query after its last frame has no window of its own.
        end = finish if finish - end < FRAME_SECONDS / 2 else float(end)
        if end - start < 1e-3:
            return float(windows.starts[self.rows[first]]), float(windows.ends[self.rows[last]])
        return float(start), end


def longest_step(windows: Spans) -> float:
    """The seconds between two frames of a closer pass, at most."""
    return max(SECOND_PASS_STEP_SECONDS, windows.seconds / SECOND_PASS_MOMENTS)


def finest_of(windows: Spans, usable: BoolArray) -> BoolArray:
    """The shortest usable windows, which locate the start of a copy most precisely."""
    lengths = windows.ends - windows.starts
    return usable & (lengths <= np.min(lengths[usable]) + 1e-6)


def are_frames(windows: Spans, rows: Int64Array) -> bool:
    """Whether the windows of `rows`, int64 (n,), are single frames."""
    lengths = windows.ends[rows] - windows.starts[rows]
    return len(rows) > 1 and float(np.median(lengths)) < FRAME_SECONDS


def is_lone_frame(windows: Spans, usable: BoolArray) -> bool:
    """Whether only one frame of a view has a window of its own: the other windows that contain it are all
    of other lengths. Of a view with a frame every half second, many windows of one length contain it."""
    rows = np.flatnonzero(usable)
    frame = windows.starts[rows[np.argmin(windows.ends[rows] - windows.starts[rows])]]
    around = rows[(windows.starts[rows] <= frame) & (frame < windows.ends[rows])]
    lengths = np.sort(windows.ends[around] - windows.starts[around])
    return bool(lengths[0] < FRAME_SECONDS <= windows.seconds and (np.diff(lengths) > 1e-6).all())


def are_end_to_end(windows: Spans) -> bool:
    """Whether no two windows overlap. Then each window is the only one of its part, short or
    long."""
    order = np.argsort(windows.starts, kind="stable")
    return bool(np.all(windows.starts[order][1:] >= windows.ends[order][:-1] - 1e-6))
