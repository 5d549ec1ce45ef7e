"""The base of all parts of the state database."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.state.database import StateDatabase


def is_due(last: float, now: float, every: float) -> bool:
    """Whether to do something again, in any unit of time; also if the clock was set back since."""
    return not 0 <= now - last < every


class Store:
    """Some tables of a state database, and a clock in Unix seconds."""

    def __init__(self, database: StateDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def _now(self) -> int:
        """Milliseconds since 1970."""
        return int(1000 * self._clock())
