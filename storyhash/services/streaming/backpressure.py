"""Back-pressure: a producer waits if embedders are so far behind that segments could expire unread."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from common.errors import DependencyError
from common.http.health import Health
from common.messaging.transport import Transport

_log = logging.getLogger("storyhash.ingest")
# Interval of the checks of the group's progress, of three small requests each.
_LOOK_SECONDS = 10.0
_CONDITION = "embedders"


class EmbedderLag:
    """Checks periodically whether a message waits for the group for longer than `max_seconds`."""

    def __init__(
        self,
        transport: Transport,
        topic: str,
        group: str,
        *,
        max_seconds: float,
        moment: int,
        health: Health,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """moment: returns the present time of the log's clock, Unix milliseconds."""
        self._transport = transport
        self._topic, self._group = topic, group
        self._max_seconds = max_seconds
        self._moment, self._since = moment, time.monotonic()
        self._health = health
        self._look_seconds = look_seconds
        self._look_at = 0.0

    def wait(self, stopping: threading.Event, before: Callable[[], None] = lambda: None) -> None:
        """Return when embedders have caught up enough, or when `stopping` is set. `before` is called once
        before a pause."""
        if time.monotonic() < self._look_at or math.isinf(self._max_seconds):
            return
        waited = False
        while not stopping.is_set():
            overdue = self._overdue()
            self._look_at = time.monotonic() + self._look_seconds
            if not overdue:
                break
            reason = (
                f"{overdue} messages of {self._topic} have waited for embedders for more "
                f"than {self._max_seconds / 3600:.4g} h and could expire; sending is "
                f"paused (group {self._group})"
            )
            self._health.unmet(_CONDITION, reason)
            if not waited:
                before()
                _log.warning("%s; start more embedders", reason)
                waited = True
            self._health.beat()
            stopping.wait(self._look_seconds)
        self._health.met(_CONDITION)
        if waited and not stopping.is_set():
            _log.info("embedders have caught up with %s; sending continues", self._topic)

    def behind(self) -> int:
        """Number of messages of the topic that embedders have not processed. Raises BrokerError."""
        # Nothing is appended later than an hour from now.
        return self._transport.overdue(self._topic, self._group, self._now() + 3_600_000)

    def _overdue(self) -> int:
        before = self._now() - round(self._max_seconds * 1000)
        try:
            return self._transport.overdue(self._topic, self._group, before)
        except DependencyError as error:
            # What is sent next waits for the broker, or fails, by itself.
            _log.warning("the embedders' consumer lag is not known: %s", error)
            return 0

    def _now(self) -> int:
        """The present time of the log's clock, from its last reading and the time since."""
        return self._moment + round((time.monotonic() - self._since) * 1000)
