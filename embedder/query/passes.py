"""The passes over a query: which views each embeds, and at which moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import (
    EVERYWHERE,
    SECOND_PASS_MOMENTS,
    SECOND_PASS_STEP_SECONDS,
    BoolArray,
    Float64Array,
    PassName,
    TimeSpans,
)
from embedder.visual.base import VisualBackend

# A short query has moments closer together: one or two tell neither which part of a video is shown, nor
# much of a faded picture.
_LEAST_MOMENTS, _LEAST_STEP_SECONDS = 4, 1.0
_THOROUGH_STEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class QueryPass:
    """Which views a pass embeds, and how often.

    name: `first` embeds the whole picture at the backend's frame rate, and pictures within it at one
    moment every `step_seconds`. `closer` embeds the picture rotated, with inverted colours and in parts,
    as often; less often in a long query, so that there are at most `moments` moments, and more often in a
    short one. `thorough` has no such limit.
    """

    name: PassName
    step_seconds: float = SECOND_PASS_STEP_SECONDS
    moments: int | None = SECOND_PASS_MOMENTS

    def views(self, visual: VisualBackend) -> tuple[str, ...]:
        """The views that it embeds, of those of a backend."""
        if self.name == "first":
            return visual.views
        again = visual.views[1:] if self.name == "thorough" else ()
        return visual.closer_views + again

    @property
    def cache_key(self) -> str:
        """A part of the key of cached features. If its text changes, no cached feature is found."""
        return (
            f"Look(name={self.name!r}, first=False, step_seconds={self.step_seconds!r}, "
            f"moments={self.moments!r}, least={_LEAST_MOMENTS!r})"
        )

    def step(self, duration_seconds: float) -> float:
        """Seconds between the moments that are embedded in a query of this length."""
        if self.moments is None:
            return self.step_seconds
        shortest = min(self.step_seconds, duration_seconds / _LEAST_MOMENTS)
        return max(_LEAST_STEP_SECONDS, shortest, duration_seconds / self.moments)

    def chosen(
        self,
        pts_seconds: Float64Array,
        duration_seconds: float,
        before_seconds: float = -1.0,
        within: TimeSpans = EVERYWHERE,
    ) -> BoolArray:
        """bool (T,): selects the first frame of every step, if it is in `within`. pts_seconds:
        increasing. before_seconds: the time of the last frame before these, if there is one."""
        times = np.concatenate([[before_seconds], pts_seconds])
        slots = np.floor(times / self.step(duration_seconds) + 1e-3)
        chosen: BoolArray = slots[1:] != slots[:-1]
        return chosen & in_spans(pts_seconds, within)


def in_spans(pts_seconds: Float64Array, within: TimeSpans) -> BoolArray:
    """bool (T,): whether each time is in one of the spans."""
    inside = np.zeros(len(pts_seconds), dtype=bool)
    for start, end in within:
        inside |= (pts_seconds >= start) & (pts_seconds < end)
    return inside


def seconds_in(within: TimeSpans, start_seconds: float, end_seconds: float) -> float:
    """Seconds of the spans between two times."""
    lengths = (min(end, end_seconds) - max(start, start_seconds) for start, end in within)
    return sum(max(0.0, length) for length in lengths)


FIRST = QueryPass("first", moments=None)
CLOSER = QueryPass("closer")
THOROUGH = QueryPass("thorough", _THOROUGH_STEP_SECONDS, None)
PASSES: dict[PassName, QueryPass] = {
    query_pass.name: query_pass for query_pass in (FIRST, CLOSER, THOROUGH)
}
