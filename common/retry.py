"""Retries with exponential back-off, for a thread that can be stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from common.errors import DependencyError
from common.http.health import Health
from common.metrics import Metrics
from common.settings import ServiceSettings

_log = logging.getLogger("storyhash.retry")
Result = TypeVar("Result")

# A pause is split, so that the thread can show signs of life.
_SLICE_SECONDS = 0.25


class _Stopped(Exception):
    """The thread was stopped during a pause."""


class Backoff:
    """Calls work again while it fails; each pause is twice as long as the last one."""

    def __init__(
        self,
        first_seconds: float,
        longest_seconds: float,
        stopping: threading.Event,
        on_failure: Callable[[BaseException, float], None],
        *,
        errors: tuple[type[Exception], ...] = (DependencyError,),
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """on_failure: called with the error and the next pause in seconds. errors: types that are
        retried; other errors are raised. while_waiting: called four times per second."""
        self._stopping = stopping
        self._on_failure = on_failure
        self._while_waiting = while_waiting
        self._restarted = False
        self._growing = wait_exponential(multiplier=first_seconds, max=longest_seconds)
        self._retrying = Retrying(
            retry=retry_if_exception_type(errors),
            wait=self._pause,
            sleep=self._sleep,
            before_sleep=self._failed,
        )

    def call(self, work: Callable[[], Result]) -> Result | None:
        """The result of `work`; None if stopped during a pause."""
        try:
            return self._retrying(work)
        except _Stopped:
            return None

    def restart(self) -> None:
        """Start again with the shortest pause, because the work has made progress."""
        self._restarted = True

    def _pause(self, state: RetryCallState) -> float:
        if self._restarted:
            state.attempt_number, self._restarted = 1, False
        return self._growing(state)

    def _failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            self._on_failure(error, state.upcoming_sleep)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping.is_set():
            self._while_waiting()
            remaining_seconds = until - time.monotonic()
            if remaining_seconds <= 0:
                return
            self._stopping.wait(min(_SLICE_SECONDS, remaining_seconds))
        raise _Stopped


def dependency_backoff(
    condition: str,
    stage: str,
    *,
    health: Health,
    metrics: Metrics,
    settings: ServiceSettings,
    stopping: threading.Event,
    while_waiting: Callable[[], None] = lambda: None,
) -> Backoff:
    """Back-off for a stage that waits for a dependency; meanwhile the health condition says why."""

    def failed(error: BaseException, pause: float) -> None:
        code = error.code if isinstance(error, DependencyError) else "internal"
        health.unmet(condition, str(error))
        metrics.retries_total.labels(stage, code).inc()
        _log.warning("%s; retrying in %.1f s", error, pause)

    def wait() -> None:
        health.beat()
        while_waiting()

    return Backoff(
        settings.retry_seconds, settings.max_retry_seconds, stopping, failed, while_waiting=wait
    )
