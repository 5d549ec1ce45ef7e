"""The passes over a query: which views each embeds, and at which moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float64Array, LookName

# A closer pass takes a moment every so many seconds, and of a long query no more than so many moments.
_STEP_SECONDS, _MOMENTS = 3.0, 24
_THOROUGH_STEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """Which views, and how often.

    name: `first` sees the whole picture at the backend's own frame rate. `closer` sees it turned,
    inverted and in parts, at moments `step_seconds` apart, further apart where that would be more than
    `moments`.
    """

    name: LookName
    first: bool
    step_seconds: float = _STEP_SECONDS
    moments: int | None = _MOMENTS

    def step(self, duration_seconds: float) -> float:
        """Seconds between the moments looked at in a query of this length."""
        if self.moments is None:
            return self.step_seconds
        return max(self.step_seconds, duration_seconds / self.moments)

    def chosen(
        self, pts_seconds: Float64Array, duration_seconds: float, before_seconds: float = -1.0
    ) -> BoolArray:
        """bool (T,): of frames at these times, increasing, those that are looked at: the first of every
        step. before_seconds: of the last frame before these, where there is one."""
        if self.first:
            return np.ones(len(pts_seconds), dtype=bool)
        times = np.concatenate([[before_seconds], pts_seconds])
        slots = np.floor(times / self.step(duration_seconds) + 1e-3)
        return slots[1:] != slots[:-1]


FIRST = Look("first", True)
CLOSER = Look("closer", False)
THOROUGH = Look("thorough", False, _THOROUGH_STEP_SECONDS, None)
PASSES: dict[LookName, Look] = {one.name: one for one in (FIRST, CLOSER, THOROUGH)}
