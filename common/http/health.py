"""Liveness and readiness of a service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel

from common.metrics import Metrics


class Liveness(BaseModel):
    """The answer of `/livez`. `reason`: why the service should be restarted; absent if it is live."""

    status: Literal["ok", "stuck"]
    reason: str = ""


class Readiness(BaseModel):
    """The answer of `/readyz`. `reasons`: why the service is not ready, by condition.
    `warnings`: problems that do not stop it. Both are absent if there are none."""

    status: Literal["ok", "not ready"]
    reasons: dict[str, str] = {}
    warnings: dict[str, str] = {}


class Health:
    """Named conditions of readiness; each one is met or has a reason why not. Thread-safe.

    All conditions must be met before the service is ready. `beat` shows that the main loop runs; the
    service is not live if the last beat is more than `stuck_seconds` ago. With `metrics`, the gauge
    `ready` shows readiness too.
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
        """Mark a condition as met."""
        self._set(condition, "")

    def unmet(self, condition: str, reason: str) -> None:
        """Mark a condition as not met, with the reason."""
        self._set(condition, reason or "unknown")

    def watch(self, condition: str, reason: Callable[[], str]) -> None:
        """Add a condition that is evaluated at each readiness check. reason: returns "" while the
        condition is met."""
        with self._lock:
            self._watched[condition] = reason

    def beat(self) -> None:
        """Record that the main loop runs. Call it in every iteration."""
        self._last_beat = time.monotonic()

    def reasons(self) -> dict[str, str]:
        """The reasons why the service is not ready, by condition; empty if it is ready."""
        with self._lock:
            reasons, watched = dict(self._reasons), dict(self._watched)
        # A condition may be both reported and watched: then both must be met.
        reasons |= {name: text for name, reason in watched.items() if (text := reason())}
        return {name: reason for name, reason in reasons.items() if reason}

    def warnings(self) -> dict[str, str]:
        """Problems that do not stop the service from working, by condition."""
        return {}

    def stuck(self) -> str:
        """The reason why the process should be restarted; empty if it is live."""
        silent = time.monotonic() - self._last_beat
        if silent <= self._stuck_seconds:
            return ""
        return f"the main loop has been silent for {silent:.0f} s"

    def _set(self, condition: str, reason: str) -> None:
        with self._lock:
            self._reasons[condition] = reason
