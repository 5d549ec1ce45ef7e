"""Does the work of jobs, one after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from common.cancellation import Cancellation
from common.errors import EmbedderUnavailableError, StateError, StoryHashError
from common.http.errors import without_paths
from common.http.request_facts import Caller
from common.state.job_rows import CANCELLED, DONE, FAILED, Job
from common.state.roles import Role
from common.state.video_names import videos_named
from common.tracing import open_span, spanned
from common.types import PassName
from searcher.deletion.steps import forget_deleted
from searcher.jobs.jobs import Jobs
from searcher.review.matching import MatchQueries, MatchTask
from searcher.serving import ServingIndex

_log = logging.getLogger("storyhash.jobs")
# How often a running job checks whether it is cancelled, and writes its progress.
_TICK_SECONDS = 0.5
_TRIM_SECONDS = 60.0
# How long a job waits for an embedder, and the pauses between two attempts.
_EMBEDDER_SECONDS = 300.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 15.0
_STAGES: dict[PassName, str] = {
    "first": "first pass",
    "closer": "second pass",
    "thorough": "second pass",
}


class JobRunner:
    """Runs the jobs of one service. Use it from one thread."""

    def __init__(
        self, jobs: Jobs, queries: MatchQueries, current: Callable[[], ServingIndex]
    ) -> None:
        """current: the index that answers now; raises NotReadyError if there is none."""
        self._jobs = jobs
        self._queries = queries
        self._current = current
        self._trim_at = 0.0
        # Queued jobs that found no embedder, by id.
        self._waits: dict[str, _Wait] = {}

    def recover(self) -> None:
        """Take up what an earlier process left. Raises StateError."""
        owner = self._jobs.files.owner
        self._jobs.store.recover(owner)
        self._jobs.files.sweep(self._jobs.store.open_ids(owner))

    def run_next(self, stopping: threading.Event) -> bool:
        """Do one job, if one is queued; returns whether there was one. When `stopping` is set, the work
        ends and the job is queued again. Raises StateError, NotReadyError."""
        answering = self._current()
        store, owner = self._jobs.store, self._jobs.files.owner
        if time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + _TRIM_SECONDS
            store.trim()
            # Another service may have cancelled a job; it cannot delete the upload here.
            open_ids = store.open_ids(owner)
            self._jobs.files.sweep(open_ids)
            self._waits = {name: self._waits[name] for name in self._waits if name in open_ids}
        now = time.monotonic()
        waiting = [name for name, wait in self._waits.items() if now < wait.due]
        job = store.take(owner, waiting) if store.has_queued(owner, waiting) else None
        if job is None:
            return False
        self._jobs.watch.changed(job.id)
        cancellation, progress = Cancellation(), _Progress()
        with ThreadPoolExecutor(1, thread_name_prefix="job") as threads:
            try:
                work = threads.submit(self._answer, answering, job, cancellation, progress)
                told_to_end = self._watch(job, work, progress, stopping)
            finally:
                # Whatever fails, the work must end.
                cancellation.cancel()
            wait([work])
        while not self._is_ended(job, work, progress, stopping, told_to_end=told_to_end):
            stopping.wait(_TICK_SECONDS)
        self._jobs.watch.changed(job.id)
        self._forget_deleted(answering, job, work)
        return True

    def _answer(
        self, answering: ServingIndex, job: Job, cancellation: Cancellation, progress: _Progress
    ) -> dict[str, Any]:
        request = job.request
        path = self._jobs.files.path(job.id) if request["upload"] else None
        if path is not None and not path.is_file():
            raise StoryHashError("the uploaded file of this job is gone; send it again")
        task = MatchTask(
            request["name"],
            path,
            request["query"]["fingerprint"].removeprefix("sha256:"),
            request.get("uri"),
            request.get("video_id"),
            _banks(request["banks"]),
            request["thorough"],
        )
        if "video_id" not in request and job.key_id:
            self._jobs.state.quotas.check_seconds(job.key_id)
        caller = Caller(job.key_id or None, Role.READER, _banks(request["caller_banks"]))
        with spanned(open_span("match job", attributes={"storyhash.job_id": job.id})):
            return self._queries.answer(
                *(answering, task, caller, cancellation),
                on_piece=progress.on_piece,
                on_decoded=progress.on_decoded,
                count_seconds=progress.count_seconds,
            )

    def _watch(
        self, job: Job, work: Future[dict[str, Any]], progress: _Progress, stopping: threading.Event
    ) -> bool:
        """Wait until the work has ended or should end; returns whether it should."""
        store, reported = self._jobs.store, None
        while not wait([work], _TICK_SECONDS).done:
            if stopping.is_set():
                return True
            # While the state database is down, the work goes on.
            with suppress(StateError):
                if store.is_cancelled(job.number):
                    return True
                if progress.value != reported:
                    store.tell_progress(job.number, progress.value)
                    reported = progress.value
                    self._jobs.watch.changed(job.id)
        return False

    def _is_ended(
        self,
        job: Job,
        work: Future[dict[str, Any]],
        progress: _Progress,
        stopping: threading.Event,
        *,
        told_to_end: bool,
    ) -> bool:
        """End a job whose work is done; False while the state database is down. Raises StateError if the
        service stops meanwhile."""
        try:
            self._end(job, work, progress.seconds, told_to_end=told_to_end)
        except StateError:
            if stopping.is_set():
                raise
            return False
        return True

    def _end(
        self, job: Job, work: Future[dict[str, Any]], seconds: float, *, told_to_end: bool
    ) -> None:
        """seconds: of the query, as far as it was decoded."""
        store, error = self._jobs.store, work.exception()
        if error is None:
            store.finish(job, DONE, result=work.result(), seconds=seconds)
        elif told_to_end or (isinstance(error, EmbedderUnavailableError) and self._put_off(job)):
            if not store.is_cancelled(job.number):
                # The service stops, or the job waits.
                store.give_back(job)
                return
            store.finish(job, CANCELLED, seconds=seconds)
        elif isinstance(error, StoryHashError):
            reason = {"code": error.code, "message": without_paths(str(error))}
            if not isinstance(error, StateError):
                store.finish(job, FAILED, error=reason, seconds=seconds)
            # The state database answers again, or this would fail too.
            elif store.try_again(job, reason):
                return
        else:
            _log.error("job %s failed", job.id, exc_info=error)
            message = f"internal error ({type(error).__name__})"
            reason = {"code": "internal", "message": message}
            store.finish(job, FAILED, error=reason, seconds=seconds)
        self._jobs.files.delete(job.id)

    def _put_off(self, job: Job) -> bool:
        """Let a job that found no embedder wait, for example while they are restarted: no caller waits
        for it. False if it has waited long enough."""
        now = time.monotonic()
        wait = self._waits.setdefault(job.id, _Wait(now + _EMBEDDER_SECONDS, _FIRST_PAUSE_SECONDS))
        wait.due = now + wait.pause_seconds
        wait.pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * wait.pause_seconds)
        return wait.due < wait.until

    def _forget_deleted(
        self, answering: ServingIndex, job: Job, work: Future[dict[str, Any]]
    ) -> None:
        """A video that was deleted during the work took along only what was stored before."""
        result = work.result() if work.exception() is None else None
        named = videos_named([job.request, result])
        forget_deleted(self._jobs.state, named, answering.index.videos)


@dataclass(slots=True)
class _Wait:
    """until: when a job gives up. due: when it is tried again. Both by the monotonic clock."""

    until: float
    pause_seconds: float
    due: float = 0.0


class _Progress:
    """How far the work is. It is set in one thread and read in another."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {"stage": "decoding", "pieces_done": 0, "pieces": None}
        # Of the query, as far as it is decoded.
        self.seconds = 0.0

    def count_seconds(self, seconds: float) -> None:
        self.seconds += seconds

    def on_decoded(self, seconds: float) -> None:
        # Rounded to minutes, because each change is written to the database.
        whole = 60.0 * (seconds // 60.0)
        if whole:
            self.value = {**self.value, "decoded_seconds": whole}

    def on_piece(self, kind: PassName, number: int, pieces: int) -> None:
        self.value = {"stage": _STAGES[kind], "pieces_done": number, "pieces": pieces}


def _banks(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
