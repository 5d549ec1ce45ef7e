"""Whether a service lives, and whether it can do its work now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from common.metrics import Metrics


class Health:
    """Named conditions, each met or with the reason why not. Thread-safe.

    A condition must be met before the service is ready. `beat` proves that the main loop turns; a loop
    silent for longer than `stuck_seconds` is not alive any more. With `metrics`, its `ready` tells too.
    """

    def __init__(
        self, metrics: Metrics | None, conditions: tuple[str, ...], stuck_seconds: float
    ) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = dict.fromkeys(conditions, "not started yet")
        self._watched: dict[str, Callable[[], str]] = {}
        self._stuck_seconds = stuck_seconds
        self._last_beat = time.monotonic()
        if metrics is not None:
            metrics.ready.set_function(lambda: float(not self.reasons()))

    def met(self, condition: str) -> None:
        """The condition holds."""
        self._set(condition, "")

    def unmet(self, condition: str, reason: str) -> None:
        """It does not, and why."""
        self._set(condition, reason or "unknown")

    def watch(self, condition: str, reason: Callable[[], str]) -> None:
        """A condition that is asked for whenever readiness is: `reason` is empty while it holds."""
        with self._lock:
            self._watched[condition] = reason

    def beat(self) -> None:
        """The main loop came round."""
        self._last_beat = time.monotonic()

    def reasons(self) -> dict[str, str]:
        """What keeps the service from being ready, by condition; empty when it is."""
        with self._lock:
            told, watched = dict(self._reasons), dict(self._watched)
        told |= {name: reason() for name, reason in watched.items()}
        return {name: reason for name, reason in told.items() if reason}

    def warnings(self) -> dict[str, str]:
        """What is wrong though the service can do its work, by condition."""
        return {}

    def stuck(self) -> str:
        """Why the process should be restarted, or nothing."""
        silent = time.monotonic() - self._last_beat
        if silent <= self._stuck_seconds:
            return ""
        return f"the main loop has been silent for {silent:.0f} s"

    def _set(self, condition: str, reason: str) -> None:
        with self._lock:
            self._reasons[condition] = reason
