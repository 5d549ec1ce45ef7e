"""The thread that does the work of jobs."""

from __future__ import annotations

import logging

from common.errors import NotReadyError
from searcher.jobs.jobs import Jobs
from searcher.jobs.runner import JobRunner
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.jobs")
# Another service with the same database may cancel or add jobs, so the queue is looked at this often.
_IDLE_SECONDS = 1.0


class JobWorker(Background):
    """Runs jobs until it is stopped. If the state database fails, it starts again after a pause."""

    def __init__(self, jobs: Jobs, runner: JobRunner) -> None:
        super().__init__("jobs", _log, restarts=True)
        self._jobs = jobs
        self._runner = runner

    def stop(self) -> None:
        super().stop()
        self._jobs.added.set()
        self._jobs.watch.end()

    def work(self) -> None:
        """Run jobs."""
        self._runner.recover()
        while not self._stopping.is_set():
            self._jobs.added.clear()
            try:
                worked = self._runner.run_next(self._stopping)
            except NotReadyError:
                worked = False
            if not worked and not self._stopping.is_set():
                self._jobs.added.wait(_IDLE_SECONDS)
