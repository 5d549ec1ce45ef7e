"""Matching now (`/v1/match`), later (`/v1/jobs`), and the search of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UsageError
from common.types import Float32Array
from searcher.api.jobs.schemas import JobItem, JobPage
from searcher.api.match.schemas import MatchAnswer
from searcher.api.search.schemas import TIMEOUT_HEADER, SearchAnswer
from storyhash.client.call import (
    RAW_TYPE,
    Call,
    OnProgress,
    Upload,
    as_model,
    as_nothing,
    new_key,
    operation,
)


@operation("POST", "/v1/match")
def match(
    file: Path | bytes | None = None,
    *,
    uri: str | None = None,
    video_id: str | None = None,
    name: str | None = None,
    banks: Sequence[str] = (),
    thorough: bool = False,
    on_progress: OnProgress | None = None,
) -> Call[MatchAnswer]:
    """Match a file, the video at an address, or a video of the catalogue: one of the three. name: display
    name of the video. thorough: run the second pass over the whole query. on_progress: gets the sent
    bytes and all bytes of the file. Raises UsageError."""
    body = _query(file, uri, video_id, on_progress)
    return Call(as_model(MatchAnswer), query=_options(file, name, banks, thorough), **body)


@operation("POST", "/v1/jobs")
def create_job(
    file: Path | bytes | None = None,
    *,
    uri: str | None = None,
    video_id: str | None = None,
    name: str | None = None,
    banks: Sequence[str] = (),
    thorough: bool = False,
    on_progress: OnProgress | None = None,
    idempotency_key: str | None = None,
) -> Call[JobItem]:
    """Queue a match; the arguments are those of `match`."""
    body = _query(file, uri, video_id, on_progress)
    query = _options(file, name, banks, thorough)
    return Call(as_model(JobItem), query=query, once=idempotency_key or new_key(), **body)


@operation("GET", "/v1/jobs")
def list_jobs(*, limit: int = 100, cursor: str | None = None) -> Call[JobPage]:
    """A page of the jobs of the key, newest first, without their results."""
    return Call(as_model(JobPage), query={"limit": limit, "cursor": cursor})


@operation("GET", "/v1/jobs/{job_id}")
def show_job(job_id: str, *, wait_seconds: float | None = None) -> Call[JobItem]:
    """A job, with its result if it is done. wait_seconds: wait until it changes, at most this long (up to
    30)."""
    query = {"wait_seconds": wait_seconds}
    return Call(as_model(JobItem), path={"job_id": job_id}, query=query)


@operation("DELETE", "/v1/jobs/{job_id}")
def cancel_job(job_id: str) -> Call[None]:
    """Cancel a job, or delete one that is done or has failed."""
    return Call(as_nothing, path={"job_id": job_id})


@operation("POST", "/v1/search")
def search(
    vectors: Float32Array | Sequence[Sequence[float]],
    *,
    k: int = 10,
    banks: Sequence[str] = (),
    model_id: str | None = None,
    limit_ms: int | None = None,
) -> Call[SearchAnswer]:
    """The nearest segments of each vector. vectors: shape (n, 527), unit norm. model_id: raises a
    UsageError if the index is of another model. limit_ms: time that the service may take, up to 60,000;
    after it the error has the code `deadline_exceeded`, and the call is not repeated."""
    rows = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    return Call(
        as_model(SearchAnswer),
        query={"k": k, "bank": list(banks), "model_id": model_id},
        headers={} if limit_ms is None else {TIMEOUT_HEADER: str(limit_ms)},
        upload=Upload(rows),
        repeatable=limit_ms is None,
    )


def _query(
    file: Path | bytes | None, uri: str | None, video_id: str | None, report: OnProgress | None
) -> dict[str, Any]:
    """The body: a file, an address, or an id."""
    if [file, uri, video_id].count(None) != 2:
        raise UsageError("expected one of: a file, uri, video_id")
    if file is not None:
        return {"upload": Upload(file, report), "headers": {"Content-Type": RAW_TYPE}}
    return {"json": {"video_id": video_id} if uri is None else {"uri": uri}}


def _options(
    file: Path | bytes | None, name: str | None, banks: Sequence[str], thorough: bool
) -> dict[str, Any]:
    shown = file.name if name is None and isinstance(file, Path) else name
    return {"name": shown, "bank": list(banks), "thorough": "true" if thorough else None}
