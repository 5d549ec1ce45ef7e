"""The JSON of the API, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.types import VECTOR_DIMENSION

Decision = Literal["copy", "review", "no_match"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorInfo(_Shape):
    """Why not: `code` is for machines, `message` says what to do next."""

    code: str
    message: str


class ErrorAnswer(_Shape):
    """Every answer that is no success."""

    error: ErrorInfo


class Hit(_Shape):
    """An indexed segment near a query vector; times are seconds of its video."""

    segment_id: str
    video_id: str
    bank: str
    start_seconds: float
    end_seconds: float
    version: int
    score: float = Field(description="The inner product; higher is closer.")


class SearchAnswer(_Shape):
    """The nearest segments of each query vector, best first."""

    model_id: str
    generation: str
    items: list[list[Hit]]


class SearchBody(_Shape):
    """Query vectors, each of unit norm."""

    vectors: list[list[float]] = Field(
        description=f"Up to 64 lists of {VECTOR_DIMENSION} numbers.", min_length=1, max_length=64
    )


class Query(_Shape):
    """What was asked about."""

    uri: str
    duration_seconds: float
    damaged: str = Field("", description="What of it could not be decoded; else absent.")


class MatchItem(_Shape):
    """A stretch of the query that is, with `probability`, a copy of a stretch of `video_id`."""

    video_id: str
    uri: str
    bank: str
    score: float
    probability: float
    view: str
    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    coverage: float = Field(description="The matched share of the query.")
    decision: Decision
    evidence: dict[str, Any]


class MatchAnswer(_Shape):
    """Every candidate, best first; `decision` is the strongest of theirs."""

    query: Query
    model_id: str
    decision: Decision
    matches: list[MatchItem]
    reason: str = Field("", description="Why a query could not match anything; else absent.")


class VideoItem(_Shape):
    """A video of the catalogue; its segments are those of its newest whole version."""

    video_id: str
    uri: str
    bank: str
    title: str
    version: int
    duration_seconds: float
    segments: int
    uninformative_segments: int
    state: Literal["pending", "ready", "failed", "disabled"]
    metadata: dict[str, Any]
    indexed_at: str | None
    error: ErrorInfo | None = Field(None, description="Why it failed; else absent.")


class VideoPage(_Shape):
    """Videos in the order of their ids; `next_cursor` asks for the next page."""

    items: list[VideoItem]
    next_cursor: str | None


class NewVideo(_Shape):
    """A video to index. Without `video_id` its address is its id, without query and credentials."""

    uri: str = Field(min_length=1)
    video_id: str | None = Field(None, min_length=1, max_length=1000)
    bank: str = Field("default", min_length=1, max_length=200)
    title: str = Field("", max_length=1000)
    metadata: dict[str, Any] = Field(default_factory=dict)


class GenerationName(_Shape):
    """Which generation; the first one's name is empty."""

    generation: str = Field(pattern=r"^[a-z0-9-]{0,40}$")


class GenerationItem(_Shape):
    """An index of the catalogue. `waiting_for` tells by condition why it could not answer now. `error`:
    why it is not kept up to date any more; follow it again, or drop it."""

    generation: str
    answers: bool
    model_id: str | None
    videos: int
    vectors: int
    waiting_for: dict[str, str]
    error: str | None


class StagedItem(_Shape):
    """A version of a video that is not complete yet. `expected_segments` is null while its end has not
    come; `idle_seconds`: since something of it came last."""

    video_id: str
    version: int
    segments: int
    expected_segments: int | None
    idle_seconds: float
    reason: str


class StagedPage(_Shape):
    """A page of them."""

    items: list[StagedItem]
    next_cursor: str | None


class GenerationPage(_Shape):
    """Every generation there is."""

    items: list[GenerationItem]
    next_cursor: str | None


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "Not as asked for."},
    "5XX": {"model": ErrorAnswer, "description": "Not now."},
}


def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """A query parameter, for routes that read theirs themselves."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


BANK = parameter(
    "bank",
    {"type": "array", "items": {"type": "string"}},
    "Search these banks alone; every bank when left out.",
)
