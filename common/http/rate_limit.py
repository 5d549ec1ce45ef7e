"""Rate limit: requests per minute and caller."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class RateLimit:
    """The generic cell rate algorithm: it stores one number per caller and gives an exact waiting time.

    A caller without requests in the last minute may send one minute's requests at once. Use it from one
    event loop.
    """

    def __init__(self, max_callers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """max_callers: maximum number of callers that are remembered. The least recent one is forgotten
        first."""
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._max_callers = max_callers
        self._clock = clock

    def wait(self, caller: str, per_minute: int) -> float:
        """Seconds until this caller may send a request. If it is 0, the request is counted."""
        now = self._clock()
        free_at = max(self._free_at.get(caller, now), now)
        # A caller may be at most one minute's requests ahead.
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
        """Seconds as in `wait`, but no request is counted."""
        now = self._clock()
        interval = 60.0 / per_minute
        return max(self._free_at.get(caller, now) + interval - now - 60.0, 0.0)
