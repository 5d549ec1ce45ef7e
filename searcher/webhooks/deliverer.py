"""Delivers the events of the outbox, each until its receiver accepts it or it becomes a dead letter."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from common.metrics import Metrics
from common.state.deliveries import Attempt, DeliveryStore
from common.state.webhooks import MAX_WEBHOOKS
from common.uris import public_uri
from searcher.metrics import AGES, OLDEST
from searcher.webhooks.sender import Sender, SendError

_log = logging.getLogger("storyhash.webhooks")
# Attempts at the same time, each for another webhook: a slow receiver delays only its own events.
_AT_ONCE = MAX_WEBHOOKS
# The outbox is looked at this often.
_TICK_SECONDS = 0.5
_TRIM_SECONDS = 30.0
# After an attempt, its result must be stored within this time.
_LEASE_SLACK_SECONDS = 30.0
# After this many failures in a row, a webhook rests: 1 s, then twice as long each time, up to a minute.
_FAILURES_BEFORE_REST = 5
# A receiver that accepted an event so short a time ago works, though it fails often: a rest would only
# delay what waits.
_WORKS_SECONDS = 5.0
_MAX_REST_SECONDS = 60.0
# Webhooks whose failures are counted; more only if many were created and deleted.
_MAX_REMEMBERED = 1000


class Deliverer:
    """Delivers the events of one database. Several processes may do so at the same time."""

    def __init__(
        self,
        store: DeliveryStore,
        sender: Sender,
        metrics: Metrics,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """timeout_seconds: longest attempt of the sender."""
        self._store = store
        self._sender = sender
        self._metrics = metrics
        self._lease_seconds = timeout_seconds + _LEASE_SLACK_SECONDS
        self._clock = clock
        self._trim_at = 0.0
        # Failures in a row, when an event was accepted last, and until when a webhook rests.
        self._failures: dict[str, int] = {}
        self._accepted: dict[str, float] = {}
        self.rests: dict[str, float] = {}

    async def run(self, stopping: threading.Event) -> None:
        """Deliver until stopped. Raises StateError."""
        running: dict[asyncio.Task[None], str] = {}
        try:
            while not stopping.is_set():
                self._trim()
                resting = [name for name, until in self.rests.items() if until > self._clock()]
                busy = {*running.values(), *resting}
                for attempt in self._store.take(busy, _AT_ONCE - len(running), self._lease_seconds):
                    running[asyncio.create_task(self._deliver(attempt))] = attempt.webhook_id
                if not running:
                    await asyncio.sleep(_TICK_SECONDS)
                    continue
                done, _ = await asyncio.wait(
                    running, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    del running[task]
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _deliver(self, attempt: Attempt) -> None:
        body = attempt.body.encode()
        try:
            status = await self._sender.send(attempt.url, attempt.secret, attempt.event_id, body)
        except asyncio.CancelledError:
            self._store.give_back(attempt)
            raise
        except SendError as error:
            self._failed(attempt, error)
        except Exception as error:
            # What nobody foresaw costs one delivery, not all of them.
            _log.exception("event %s could not be sent", attempt.event_id)
            self._failed(attempt, SendError(f"internal error ({type(error).__name__})"))
        else:
            self._failures.pop(attempt.webhook_id, None)
            self.rests.pop(attempt.webhook_id, None)
            self._accepted[attempt.webhook_id] = self._clock()
            self._store.delivered(attempt, status)
            self._count("delivered")

    def _failed(self, attempt: Attempt, error: SendError) -> None:
        name = attempt.webhook_id
        works = self._clock() - self._accepted.get(name, float("-inf")) < _WORKS_SECONDS
        failures = 0 if works else self._failures.get(name, 0) + 1
        self._failures[name] = failures
        rest = 2.0 ** min(failures - _FAILURES_BEFORE_REST, 30)
        if failures >= _FAILURES_BEFORE_REST:
            self.rests[name] = self._clock() + min(_MAX_REST_SECONDS, rest)
        again = self._store.failed(attempt, error.status, str(error))
        self._count("failed")
        if not again:
            self._count("dead")
            _log.warning(
                "event %s is a dead letter after %d attempts at %s: %s",
                attempt.event_id,
                attempt.number,
                public_uri(attempt.url),
                error,
            )

    def _trim(self) -> None:
        if self._clock() < self._trim_at:
            return
        self._trim_at = self._clock() + _TRIM_SECONDS
        if len(self._failures) + len(self._accepted) > _MAX_REMEMBERED:
            self._failures.clear()
            self._accepted.clear()
            self.rests.clear()
        self._count("dead", self._store.trim())
        pending = self._store.pending_by_age(list(AGES.values()))
        for age, number in zip((*AGES, OLDEST), pending, strict=True):
            self._metrics.webhook_pending_deliveries.labels(age).set(number)

    def _count(self, outcome: str, number: int = 1) -> None:
        self._metrics.webhook_deliveries_total.labels(outcome).inc(number)


def begin_deliveries(metrics: Metrics) -> None:
    """Begin the counters at 0, so that a rate sees the first delivery too."""
    for outcome in ("delivered", "failed", "dead"):
        metrics.webhook_deliveries_total.labels(outcome)
