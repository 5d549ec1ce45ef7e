"""The jobs of a service: its part of the queue, and the uploads that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from common.errors import NotReadyError
from common.http.request_facts import Caller
from common.state.job_rows import Job
from common.state.jobs import JobStore
from common.state.roles import Role
from common.state.state import State
from searcher.jobs.job_files import JobFiles
from searcher.jobs.job_watch import JobWatch


class Jobs:
    """Created before the state database is open. Thread-safe."""

    def __init__(self, state: Callable[[], State]) -> None:
        """state: the state database; raises NotReadyError until it is open."""
        self._state = state
        self._files: JobFiles | None = None
        # Set when there may be a job to begin.
        self.added = threading.Event()
        # Notified when a job of this process changes.
        self.watch = JobWatch()

    def open(self, folder: Path) -> None:
        """Keep uploads in this folder from now on. Raises StorageError."""
        self._files = JobFiles(folder)

    @property
    def state(self) -> State:
        """The state database. Raises NotReadyError before it is open."""
        return self._state()

    @property
    def store(self) -> JobStore:
        """The queue. Raises NotReadyError before it is open."""
        return self.state.jobs

    @property
    def files(self) -> JobFiles:
        """The uploads. Raises NotReadyError before `open`."""
        if self._files is None:
            raise NotReadyError("the service is starting; try again later")
        return self._files

    def cancel(self, job_id: str, caller: Caller) -> bool:
        """Cancel or delete a job of this caller; False if it is unknown. Raises StateError."""
        known = self.store.cancel(job_id, key_of_jobs(caller))
        if known and job_id not in self.store.open_ids(self.files.owner):
            self.files.delete(job_id)
        self.watch.changed(job_id)
        return known

    def get(self, job_id: str, caller: Caller) -> Job | None:
        """A job of this caller; None if it is unknown. Raises StateError."""
        return self.store.get(job_id, key_of_jobs(caller))


def key_of_jobs(caller: Caller) -> str | None:
    """The key whose jobs a caller may see; None means all."""
    return None if caller.role is Role.ADMIN else caller.key_id or ""
