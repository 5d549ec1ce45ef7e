"""Jobs: a bounded queue, fair between keys, that outlives the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, insert, select, tuple_, update

from common.errors import TooManyJobsError, UsageError
from common.settings import JobSettings
from common.state.database import StateDatabase
from common.state.events import job_finished
from common.state.idempotency import Once, answered_once
from common.state.job_order import positions_of, queue_order
from common.state.job_rows import (
    CANCELLED,
    DONE,
    FAILED,
    OPEN_STATES,
    QUEUED,
    RUNNING,
    Job,
    NewJob,
    one_job,
    to_job,
)
from common.state.newest_first import count, newest_first
from common.state.outbox import enqueue
from common.state.quotas import add_seconds, day_of
from common.state.store import Store
from common.state.tables import JOBS
from common.state.text import dump
from common.state.video_names import may_name, videos_named, without_video

# A job is begun this often; then it fails.
_MAX_ATTEMPTS = 3
_HOUR_MILLISECONDS = 3_600_000
_CRASHED = {
    "code": "crashed",
    "message": "the service crashed three times while it worked on this job; try another video",
}
# After the end of a job, its address with secrets is not needed.
_SECRET = "uri"


class JobStore(Store):
    """The jobs in a state database. All methods raise StateError."""

    def __init__(
        self, database: StateDatabase, settings: JobSettings, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(database, clock)
        self._settings = settings

    @property
    def kept_milliseconds(self) -> int:
        """How long an ended job is kept."""
        return int(_HOUR_MILLISECONDS * self._settings.result_hours)

    def check_capacity(self, owner: str, key_id: str) -> None:
        """Raises TooManyJobsError if a job of this key has no place, even without an upload."""
        with self._database.read() as connection:
            self._check(connection, owner, key_id, 0)

    def add(self, new: NewJob, once: Once | None = None) -> tuple[str, bool]:
        """Queue a job. Returns its id, and whether an earlier request with the same Idempotency-Key
        queued it. Raises TooManyJobsError, ReusedKeyError, and UsageError for an upload that never has a
        place."""

        def make() -> dict[str, Any]:
            self._check(connection, new.owner, new.key_id, new.size)
            connection.execute(
                insert(JOBS).values(
                    id=new.id,
                    owner=new.owner,
                    key_id=new.key_id,
                    state=QUEUED,
                    cancel_requested=False,
                    attempts=0,
                    bytes=new.size,
                    request=dump(dict(new.request)),
                    created_at=self._now(),
                )
            )
            return {"id": new.id}

        with self._database.change(alone=True) as connection:
            answer, replayed = answered_once(connection, once, make, self._clock)
        return answer["id"], replayed

    def numbers(self) -> dict[str, int]:
        """How many jobs of all services are kept, by state."""
        with self._database.read() as connection:
            query = select(JOBS.c.state, func.count()).group_by(JOBS.c.state)
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in (*OPEN_STATES, DONE, FAILED, CANCELLED)}

    def has_queued(self, owner: str, waiting: Collection[str] = ()) -> bool:
        """Whether `take` would give a job."""
        queued = (JOBS.c.owner == owner, JOBS.c.state == QUEUED, JOBS.c.id.not_in(waiting))
        with self._database.read() as connection:
            return (
                connection.execute(select(JOBS.c.number).where(*queued).limit(1)).first()
                is not None
            )

    def take(self, owner: str, waiting: Collection[str] = ()) -> Job | None:
        """Begin the job that is next; None if none is queued. waiting: ids of jobs that are not due."""
        with self._database.change(alone=True) as connection:
            now = self._now()
            order = queue_order(connection, owner, now, waiting)
            if not order:
                return None
            values = {"state": RUNNING, "attempts": JOBS.c.attempts + 1, "started_at": now}
            connection.execute(update(JOBS).where(JOBS.c.number == order[0]).values(values))
            row = select(JOBS).where(JOBS.c.number == order[0])
            return to_job(connection.execute(row).one())

    def is_cancelled(self, number: int) -> bool:
        """Whether a running job should end."""
        query = select(JOBS.c.cancel_requested).where(JOBS.c.number == number)
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return found is None or found

    def tell_progress(self, number: int, progress: Mapping[str, Any]) -> None:
        """Store how far a running job is."""
        self._set(number, progress=dump(dict(progress)))

    def finish(
        self,
        job: Job,
        state: str,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        seconds: float = 0.0,
    ) -> None:
        """End a running job. seconds: of video that were decoded; they count for the quota of its key,
        in the same transaction, so once, however often the job was begun."""
        stored = None if result is None else dump(dict(result))
        with self._database.change(alone=True) as connection:
            add_seconds(connection, job.key_id, seconds, day_of(self._clock()))
            self._end(connection, job, state, error, result, {"result": stored})

    def give_back(self, job: Job) -> None:
        """Queue a running job again, because the service stops or an embedder does not respond."""
        self._set(
            job.number, state=QUEUED, progress=None, started_at=None, attempts=JOBS.c.attempts - 1
        )

    def count_of(self, video_id: str) -> int:
        """Number of jobs whose request or result names a video."""
        return len(self._of_video(video_id))

    def forget_video(self, video_id: str) -> None:
        """Delete the jobs that ask about a deleted video, also running ones, and what the results of
        other jobs say of it."""
        for job in self._of_video(video_id):
            this = JOBS.c.number == job.number
            with self._database.change() as connection:
                if video_id in videos_named(job.request):
                    connection.execute(delete(JOBS).where(this))
                else:
                    result = dump(without_video(job.result, video_id))
                    connection.execute(update(JOBS).where(this).values(result=result))

    def recover(self, owner: str) -> None:
        """After a crash: running jobs are queued again. One that was begun too often has failed."""
        running = (JOBS.c.owner == owner, JOBS.c.state == RUNNING)
        with self._database.change() as connection:
            for row in connection.execute(select(JOBS).where(*running)).all():
                if row.cancel_requested:
                    self._end(connection, to_job(row), CANCELLED, also={"progress": None})
                else:
                    self._again(connection, row, _CRASHED)

    def try_again(self, job: Job, error: Mapping[str, Any]) -> bool:
        """Queue a running job again whose work failed for a reason that may pass. One that was begun too
        often fails with `error`. Returns whether it is queued."""
        with self._database.change() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.number == job.number)).first()
            return row is not None and self._again(connection, row, error)

    def cancel(self, job_id: str, key_id: str | None) -> bool:
        """End a queued job, ask a running one to end, or delete one that is done or has failed; False if
        it is unknown. key_id: only a job of this key; None means any."""
        with self._database.change(alone=True) as connection:
            row = connection.execute(select(JOBS).where(*one_job(job_id, key_id))).first()
            if row is None:
                return False
            this = JOBS.c.number == row.number
            if row.state == QUEUED:
                self._end(connection, to_job(row), CANCELLED)
            elif row.state == RUNNING:
                connection.execute(update(JOBS).where(this).values(cancel_requested=True))
            elif row.state != CANCELLED:
                # A cancelled job stays, so that a repeated request finds what the first one did.
                connection.execute(delete(JOBS).where(this))
        return True

    def get(self, job_id: str, key_id: str | None) -> Job | None:
        """A job; None if it is unknown. key_id: only a job of this key; None means any."""
        with self._database.read() as connection:
            row = connection.execute(select(JOBS).where(*one_job(job_id, key_id))).first()
            return (
                None if row is None else to_job(row, positions_of(connection, [row], self._now()))
            )

    def page(
        self, key_id: str | None, before: int | None, limit: int
    ) -> tuple[list[Job], int | None, int]:
        """Jobs without their results, newest first, the cursor of the next page (None at the end), and
        their number. key_id: only jobs of this key; None means all."""
        conditions = [] if key_id is None else [JOBS.c.key_id == key_id]
        columns = [column for column in JOBS.c if column is not JOBS.c.result]
        number = JOBS.c.number
        with self._database.read() as connection:
            rows, following = newest_first(
                connection, select(*columns), number, conditions, before, limit
            )
            positions = positions_of(connection, rows, self._now())
            total = count(connection, number, conditions)
        return [to_job(row, positions) for row in rows], following, total

    def trim(self) -> None:
        """Delete ended jobs that are too old or too many, those that ended first."""
        ended = JOBS.c.state.not_in(OPEN_STATES)
        end = JOBS.c.finished_at, JOBS.c.number
        before = self._now() - self.kept_milliseconds
        with self._database.change() as connection:
            connection.execute(delete(JOBS).where(ended, JOBS.c.finished_at < before))
            newest = select(*end).where(ended).order_by(*(column.desc() for column in end))
            too_many = connection.execute(
                newest.offset(self._settings.max_results).limit(1)
            ).one_or_none()
            if too_many is not None:
                connection.execute(delete(JOBS).where(ended, tuple_(*end) <= tuple(too_many)))

    def open_ids(self, owner: str) -> set[str]:
        """The ids of queued and running jobs: those whose uploads are needed."""
        query = select(JOBS.c.id).where(JOBS.c.owner == owner, JOBS.c.state.in_(OPEN_STATES))
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def _check(self, connection: Connection, owner: str, key_id: str, size: int) -> None:
        settings, is_open = self._settings, JOBS.c.state.in_(OPEN_STATES)
        if size > settings.max_bytes:
            raise UsageError(
                f"the upload has {size} bytes; those of all jobs may have {settings.max_bytes} together "
                "(STORYHASH_JOBS__MAX_BYTES)"
            )
        own = func.coalesce(func.sum(case((JOBS.c.key_id == key_id, 1), else_=0)), 0)
        of_owner = func.coalesce(func.sum(case((JOBS.c.owner == owner, JOBS.c.bytes), else_=0)), 0)
        total, of_key, held = connection.execute(
            select(func.count(), own, of_owner).select_from(JOBS).where(is_open)
        ).one()
        if of_key >= settings.max_queued_per_key:
            raise TooManyJobsError(
                f"{of_key} jobs of this key are queued or running; wait for one, or cancel one"
            )
        if total >= settings.max_queued:
            raise TooManyJobsError(f"{total} jobs are queued or running; try again later")
        if held + size > settings.max_bytes:
            raise TooManyJobsError(
                "the uploads of jobs use all the disk space reserved for them; try again later"
            )

    def _end(
        self,
        connection: Connection,
        job: Job,
        state: str,
        error: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
        also: Mapping[str, Any] | None = None,
    ) -> None:
        """End a job, and tell webhooks. also: more columns."""
        now, request = self._now(), job.request
        ended = {
            **(also or {}),
            "state": state,
            "error": None if error is None else dump(dict(error)),
            "request": dump({name: request[name] for name in request if name != _SECRET}),
            "finished_at": now,
        }
        this = JOBS.c.number == job.number
        if not connection.execute(update(JOBS).where(this).values(ended)).rowcount:
            # The job was deleted with the video that it asks about.
            return
        event = job_finished(job.id, job.key_id, state, request, result, error)
        enqueue(connection, [event], now)

    def _again(self, connection: Connection, row: Row[Any], error: Mapping[str, Any]) -> bool:
        """Queue a running job again, or end it with an error if it was begun too often."""
        if row.attempts >= _MAX_ATTEMPTS:
            self._end(connection, to_job(row), FAILED, error, also={"progress": None})
            return False
        values = {"state": QUEUED, "progress": None, "started_at": None}
        connection.execute(update(JOBS).where(JOBS.c.number == row.number).values(values))
        return True

    def _of_video(self, video_id: str) -> list[Job]:
        """The jobs that name a video."""
        text = may_name(JOBS.c.request, video_id) | may_name(JOBS.c.result, video_id)
        with self._database.read() as connection:
            rows = connection.execute(select(JOBS).where(text).execution_options(yield_per=1))
            return [
                job
                for job in map(to_job, rows)
                if video_id in videos_named([job.request, job.result])
            ]

    def _set(self, number: int, **values: Any) -> None:
        with self._database.change() as connection:
            connection.execute(update(JOBS).where(JOBS.c.number == number).values(values))
