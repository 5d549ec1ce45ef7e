"""The thread that reads what people have set in other processes, and measures what they judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from common.metrics import Metrics
from common.state.state import State
from searcher.metrics import observe_feedback, observe_jobs, observe_judged
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.state")
# Other services obey a change at the latest after this time.
_PAUSE_SECONDS = 2.0
# Counting verdicts reads all stored matches.
_MEASURE_SECONDS = 60.0


class CurationReader(Background):
    """Reads until it is stopped. If the state database fails, what was read last holds."""

    def __init__(self, state: Callable[[], State], metrics: Metrics) -> None:
        """state: the state database; it must be open before the thread starts."""
        super().__init__("curation", _log, restarts=True)
        self._state = state
        self._metrics = metrics
        self._measured_at = float("-inf")

    def work(self) -> None:
        """Read periodically."""
        while not self._stopping.is_set():
            self._state().curation.read()
            if time.monotonic() - self._measured_at >= _MEASURE_SECONDS:
                state = self._state()
                observe_feedback(self._metrics, state.feedback.per_bank())
                observe_judged(self._metrics, state.matches.judged_probability())
                observe_jobs(self._metrics, state.jobs.numbers())
                self._measured_at = time.monotonic()
            self._stopping.wait(_PAUSE_SECONDS)
