"""The JSON of jobs, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.http.error_schemas import ErrorInfo
from common.http.schema import Schema, examples
from searcher.api.match.schemas import MatchAnswer

State = Literal["queued", "running", "done", "failed", "cancelled"]
_DAY = "2026-05-04T12:00:00+00:00"


class JobQuery(Schema):
    """What is matched; see the query of a match."""

    kind: Literal["upload", "uri", "video"]
    fingerprint: str
    uri: str


class Progress(Schema):
    """Long queries have several pieces, of ten minutes each. `pieces` is null until it is known.
    `decoded_seconds`: how much of the video is decoded, in whole minutes; only during the stage
    `decoding` of a long query, and only where the service decodes it itself."""

    stage: Literal["decoding", "first pass", "second pass"]
    pieces_done: int
    pieces: int | None
    decoded_seconds: float | None = None


class JobSummary(Schema):
    """A job. `position`: number of jobs that run before it, null unless it is queued. `expires_at`: when
    the job and its result are deleted, null until it has ended."""

    model_config = examples(
        {
            "id": "3f0c9d2e7a614c52b8e1a5d0c4f7e9b1",
            "state": "running",
            "query": {"kind": "upload", "fingerprint": "sha256:9f86d0", "uri": "tea.mp4"},
            "position": None,
            "progress": {"stage": "first pass", "pieces_done": 1, "pieces": 3},
            "created_at": _DAY,
            "started_at": _DAY,
            "finished_at": None,
            "expires_at": None,
            "error": None,
        }
    )
    id: str
    state: State
    query: JobQuery
    position: int | None
    progress: Progress | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    error: ErrorInfo | None


class JobItem(JobSummary):
    """A job with its result, which is the answer of /v1/match."""

    result: MatchAnswer | None = Field(description="Null until the job is done.")


class JobPage(Schema):
    """Jobs, newest first; `total` counts all pages."""

    items: list[JobSummary]
    next_cursor: str | None
    total: int
