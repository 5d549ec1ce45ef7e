"""The time a child process had: what it waited for a processor is not held against it."""

from __future__ import annotations

import time

# How often a waiting parent looks.
TICK_SECONDS = 0.5
# Of the time that passed, this share always counts, so that every wait ends.
_LEAST_SHARE = 0.1


class ChildClock:
    """Counts, in seconds, the time in which a process could have worked."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last = time.monotonic()
        self._queued = _queued_seconds(pid)

    def restart(self) -> None:
        """What passed up to now does not count: nobody waited for the child."""
        self._last, self._queued = time.monotonic(), _queued_seconds(self._pid)

    def lap(self) -> float:
        """Seconds since the last call that the child had.

        Where the system does not tell for how long it waited for a processor, all of them count. A
        parent that was itself not run for long (suspended, or on a busy machine) counts two ticks.
        """
        now, queued = time.monotonic(), _queued_seconds(self._pid)
        passed = min(now - self._last, 2 * TICK_SECONDS)
        waited = queued - self._queued
        self._last, self._queued = now, queued
        return max(passed - waited, _LEAST_SHARE * passed)


def _queued_seconds(pid: int) -> float:
    """For how long the main thread of a process was ready to run and did not."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
