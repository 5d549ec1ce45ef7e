"""A job, and the row it is stored in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row

from common.state.tables import JOBS
from common.state.text import load, plain

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN_STATES = (QUEUED, RUNNING)


@dataclass(frozen=True, slots=True)
class NewJob:
    """id: see `new_job_id`. owner: the service that does the work. key_id: empty if no key was required.
    size: bytes of the upload. request: JSON values; its `uri` is forgotten when the job has ended."""

    id: str
    owner: str
    key_id: str
    size: int
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A row. Times: milliseconds since 1970. position: number of jobs that run before it; None unless it
    is queued."""

    number: int
    id: str
    key_id: str
    state: str
    request: dict[str, Any]
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    position: int | None = None


def new_job_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_hex(16)


def one_job(job_id: str, key_id: str | None) -> list[ColumnElement[bool]]:
    """The conditions that select a job. key_id: only a job of this key; None means any."""
    own = [] if key_id is None else [JOBS.c.key_id == key_id]
    return [JOBS.c.id == plain(job_id), *own]


def to_job(row: Row[Any], positions: Mapping[int, int] | None = None) -> Job:
    """The job of a row. positions: see `positions_of`."""

    def value(name: str) -> Any:
        text = row._mapping.get(name)
        return None if text is None else load(text)

    return Job(
        *(row.number, row.id, row.key_id, row.state),
        *(load(row.request), value("progress"), value("result"), value("error")),
        *(row.created_at, row.started_at, row.finished_at),
        position=(positions or {}).get(row.number),
    )
