"""Requests per minute, counted for each caller alone."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class RateLimit:
    """The generic cell rate algorithm: one number per caller, and an exact time to wait.

    A caller that was silent for a minute may send all of a minute's requests at once. For one event loop.
    """

    def __init__(self, max_callers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """max_callers: their times are kept; who was not seen for longest is forgotten."""
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._max_callers = max_callers
        self._clock = clock

    def wait(self, caller: str, per_minute: int) -> float:
        """Seconds until a request of this caller may pass; when that is now (0), it is counted."""
        now = self._clock()
        free_at = max(self._free_at.get(caller, now), now)
        # A full minute's requests ahead is as far as a caller may be.
        interval = 60.0 / per_minute
        ahead = free_at + interval - now
        if ahead > 60.0 + interval * 1e-6:
            return ahead - 60.0
        self._free_at[caller] = free_at + interval
        self._free_at.move_to_end(caller)
        if len(self._free_at) > self._max_callers:
            self._free_at.popitem(last=False)
        return 0.0

    def exceeded(self, caller: str, per_minute: int) -> float:
        """As `wait`, but nothing is counted."""
        now = self._clock()
        interval = 60.0 / per_minute
        return max(self._free_at.get(caller, now) + interval - now - 60.0, 0.0)
