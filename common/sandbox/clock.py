"""The time in which a child process could work, without its waits for a processor."""

from __future__ import annotations

import time

# Interval at which a waiting parent checks.
TICK_SECONDS = 0.5
# This share of the elapsed time always counts, so that every wait ends.
_LEAST_SHARE = 0.1


class ChildClock:
    """Counts, in seconds, the time in which a process could have worked."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last = time.monotonic()
        self._queued = _queued_seconds(pid)

    def restart(self) -> None:
        """Start again at 0: nobody waited for the child until now."""
        self._last, self._queued = time.monotonic(), _queued_seconds(self._pid)

    def lap(self) -> float:
        """Seconds since the last call in which the child could work.

        If the system does not report waits for a processor, all seconds count. If the parent itself did
        not run for long (suspended, or on a busy machine), only two ticks count.
        """
        now, queued = time.monotonic(), _queued_seconds(self._pid)
        passed = min(now - self._last, 2 * TICK_SECONDS)
        waited = queued - self._queued
        self._last, self._queued = now, queued
        return max(passed - waited, _LEAST_SHARE * passed)


def _queued_seconds(pid: int) -> float:
    """How long the main thread of a process was ready to run but did not run, in seconds."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
