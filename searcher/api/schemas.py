"""The JSON of the API, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.http.error_schemas import ERRORS as ERRORS
from common.http.error_schemas import ErrorInfo as ErrorInfo
from common.types import VECTOR_DIMENSION
from searcher.api.evidence_schemas import EXAMPLE as EVIDENCE
from searcher.api.evidence_schemas import Evidence

# Video ids of one request for their states.
MAX_STATES = 1000
TIMEOUT_HEADER = "X-Request-Timeout-Ms"

Decision = Literal["copy", "review", "no_match"]
Action = Literal["block", "review", "notify", "allow"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hit(_Shape):
    """An indexed segment near a query vector; times are seconds of its video."""

    segment_id: str
    video_id: str
    bank: str
    start_seconds: float
    end_seconds: float
    version: int
    score: float = Field(description="Inner product; higher is more similar.")


class SearchAnswer(_Shape):
    """The nearest segments of each query vector, best first."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model_id": "sscd-motion-3f0c9d2e",
                    "generation": "",
                    "items": [
                        [
                            {
                                "segment_id": "city.mp4@4000-8000",
                                "video_id": "city.mp4",
                                "bank": "default",
                                "start_seconds": 4.0,
                                "end_seconds": 8.0,
                                "version": 1,
                                "score": 0.9362,
                            }
                        ]
                    ],
                }
            ]
        },
    )
    model_id: str
    generation: str
    items: list[list[Hit]]


class SearchBody(_Shape):
    """Query vectors, each of unit norm."""

    vectors: list[list[float]] = Field(
        description=f"Up to 64 lists of {VECTOR_DIMENSION} numbers.", min_length=1, max_length=64
    )


class Query(_Shape):
    """The query video."""

    uri: str
    fingerprint: str = Field(
        "",
        description="`sha256:` and the hash of an upload, `uri:` and the address, or `video:` and the "
        "id. Absent where matches are not kept.",
    )
    duration_seconds: float
    damaged: str = Field("", description="What could not be decoded; absent if nothing is damaged.")


class AppliedException(_Shape):
    """An exception that covers a match, or a part of it."""

    id: int
    kind: Literal["pair", "range"]
    reason: str


class NegativeRange(_Shape):
    """A range of the query that shows a video of a negative bank. Its id and bank are null if the key may
    not see the bank."""

    video_id: str | None
    bank: str | None
    query_start_seconds: float
    query_end_seconds: float


class MatchTransform(_Shape):
    """Which edit made the query from the reference. The reference's picture is mirrored left to right
    first, then rotated. Regions are left, top, right, bottom as fractions of a picture. What is said of
    the picture is absent where it is not certain."""

    speed: float | None = Field(
        description="Seconds of the reference per second of the query; negative if it runs backwards; "
        "null without an order in time."
    )
    words: str = Field(
        description="All of it in words; `unchanged` if there is no edit, empty if nothing is known."
    )
    mirrored: bool | None = Field(None, description="Left and right are exchanged.")
    rotation_degrees: int | None = Field(None, description="Clockwise, -179 to 180.")
    query_region: list[float] | None = Field(
        None, description="The part of the query's picture that shows the reference."
    )
    reference_region: list[float] | None = Field(
        None, description="The part of the reference's picture that is shown."
    )
    stretch: float | None = Field(None, description="How many times wider, against the height.")
    inverted: bool | None = Field(None, description="The colours are negative.")
    grey: bool | None = Field(None, description="The reference has colours, the query has none.")
    confidence: float | None = Field(
        None, description="Probability that the pictures are registered correctly, from keypoints."
    )
    not_compared: str | None = Field(
        None, description="Why nothing is said of the picture; absent otherwise."
    )


RANGE_CONFIDENCE = (
    "Probability that both ranges are right, if the match is a copy; absent if it was not measured."
)
RANGE_CERTAIN = (
    "False if other ranges fit about as well: the reference is known, the place in it is uncertain."
)


class MatchItem(_Shape):
    """A range of the query that is, with `probability`, a copy of a range of `video_id`."""

    video_id: str
    uri: str
    bank: str
    score: float
    probability: float
    search_view: str = Field(description="The view of the query that matched best.")
    view: str = Field(description="The same; the former name of `search_view`.", deprecated=True)
    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    coverage: float = Field(description="Matched fraction of the query, 0 to 1.")
    range_confidence: float | None = Field(None, description=RANGE_CONFIDENCE)
    range_certain: bool | None = Field(None, description=RANGE_CERTAIN)
    decision: Decision
    evidence: Evidence
    transform: MatchTransform | None = Field(
        None,
        description="Which edit made the query from the reference; only of copies and reviews.",
    )
    match_id: int | None = Field(
        None, description="Id of the stored match, see /v1/matches; absent for a non-match."
    )
    exceptions: list[AppliedException] = Field(
        default_factory=list,
        description="Exceptions that the decision obeys; absent if there are none.",
    )
    negatives: list[NegativeRange] = Field(
        default_factory=list,
        description="Ranges of the query that do not count, because they show a video of a negative "
        "bank; absent if there are none.",
    )
    action: Action | None = Field(
        None, description="What the bank of the reference wants to be done; absent for a non-match."
    )


_MATCH: dict[str, Any] = {
    "video_id": "city.mp4",
    "uri": "https://example.org/city.mp4",
    "bank": "default",
    "score": 0.9239,
    "probability": 0.9998,
    "search_view": "identity",
    "view": "identity",
    "query_start_seconds": 3.75,
    "query_end_seconds": 7.75,
    "ref_start_seconds": 1.768,
    "ref_end_seconds": 5.768,
    "coverage": 0.3333,
    "range_confidence": 0.97,
    "range_certain": True,
    "decision": "copy",
    "evidence": EVIDENCE,
    "transform": {"speed": 1.0, "words": "mirrored", "mirrored": True},
    "match_id": 17,
    "action": "block",
}
_ANSWER: dict[str, Any] = {
    "schema_version": 2,
    "query": {"uri": "upload.mp4", "fingerprint": "sha256:9f86d0", "duration_seconds": 12.0},
    "model_id": "sscd-motion-3f0c9d2e",
    "decision": "copy",
    "action": "block",
    "matches": [_MATCH],
    "candidates": [],
}


class MatchAnswer(_Shape):
    """The report of a query; `decision` is the strongest decision of its matches."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_ANSWER]})
    schema_version: Literal[2]
    query: Query
    model_id: str
    decision: Decision
    matches: list[MatchItem] = Field(
        description="Copies and matches to review, the most probable first."
    )
    candidates: list[MatchItem] = Field(
        description="The nearest other videos, at most five and each once; they are no matches."
    )
    excepted: list[MatchItem] = Field(
        default_factory=list,
        description="What would be a match without exceptions, each of which names them; absent if there "
        "is nothing.",
    )
    negatives: list[MatchItem] = Field(
        default_factory=list,
        description="Videos of negative banks in the query. They are no matches, and where they are "
        "shown nothing else is one; absent if there are none.",
    )
    action: Action | None = Field(
        None,
        description="The strongest action of all matches, `allow` without any; absent where matches are "
        "not kept.",
    )
    reason: str = Field("", description="Why the query cannot match anything; absent otherwise.")
    truncated: str = Field(
        "",
        description="What was not compared because of a bound, as there are very many similar videos; "
        "absent otherwise.",
    )


class VideoItem(_Shape):
    """A video of the catalogue; its segments are those of its newest complete version."""

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
    error: ErrorInfo | None = Field(None, description="Why indexing failed; absent otherwise.")
    disabled: bool = Field(False, description="Kept, but not found by searches and matches.")


class VideoPage(_Shape):
    """Videos ordered by id; `next_cursor` is the cursor of the next page, `total`
    counts all pages."""

    items: list[VideoItem]
    next_cursor: str | None
    total: int


class VideoStatesRequest(BaseModel):
    """The body."""

    model_config = ConfigDict(extra="forbid", strict=True)
    video_ids: list[str] = Field(max_length=MAX_STATES, description="Video ids.")


class VideoState(BaseModel):
    """The versions of one video; 0 where there is none."""

    video_id: str
    version: int = Field(description="The searchable version.")
    deleted_version: int = Field(description="This version and all older ones were deleted.")
    waiting_version: int = Field(description="The newest version that is incomplete.")


class VideoStates(BaseModel):
    """States in the order of the request."""

    items: list[VideoState]


class NewVideo(_Shape):
    """A video to index. The default of `video_id` is the address without query and credentials."""

    uri: str = Field(min_length=1)
    video_id: str | None = Field(None, min_length=1, max_length=1000)
    bank: str = Field("default", min_length=1, max_length=200)
    title: str = Field("", max_length=1000)
    metadata: dict[str, Any] = Field(default_factory=dict)


class ChangedVideo(_Shape):
    """What to change of a video; what is not given stays. `metadata` is replaced as a whole."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "Tea, restored", "disabled": False}]},
    )
    title: str = Field("", max_length=1000)
    bank: str = Field("default", min_length=1, max_length=200)
    metadata: dict[str, Any] = Field(default_factory=dict)
    disabled: bool = Field(
        False, strict=True, description="Keep the video, but let no search and no match find it."
    )


class GenerationName(_Shape):
    """The name of a generation; the first one's name is empty."""

    generation: str = Field(pattern=r"^[a-z0-9-]{0,40}$")


class GenerationItem(_Shape):
    """An index generation. `waiting_for`: why it cannot answer queries now, by condition. `error`: why it
    is no longer updated; follow it again, or drop it."""

    generation: str
    answers: bool
    model_id: str | None
    videos: int
    vectors: int
    waiting_for: dict[str, str]
    error: str | None


class StagedItem(_Shape):
    """An incomplete version of a video. `expected_segments` is null until its end message arrives;
    `idle_seconds`: time since its last message."""

    video_id: str
    version: int
    segments: int
    expected_segments: int | None
    idle_seconds: float
    reason: str


class StagedPage(_Shape):
    """A page of incomplete versions."""

    items: list[StagedItem]
    next_cursor: str | None


class SnapshotItem(_Shape):
    """A backup. `running` and `failed` ones have no name, and neither they nor `damaged` ones have the
    other fields. `bytes`: of all its files. `state_database`: `postgresql_dump` is in the backup,
    `postgresql` is not."""

    name: str
    state: Literal["running", "complete", "failed", "damaged"]
    created_at: str | None = None
    storyhash: str = Field("", description="The version that made it.")
    profile: str = ""
    model_id: str = ""
    generation: str = ""
    videos: int = 0
    segments: int = 0
    bytes: int = 0
    offsets: dict[str, int] = Field({}, description="Log offset per partition.")
    state_database: Literal["", "sqlite", "postgresql_dump", "postgresql", "none"] = ""
    error: ErrorInfo | None = None


class ErasurePlace(_Shape):
    """A place where a video was looked for. `items`: what `found` counts."""

    place: str
    items: str
    found: int


class ErasureReceipt(_Shape):
    """Where a video was looked for. `erased`: nothing was found. `kept`: what stays, and why."""

    video_id: str
    checked_at: str
    erased: bool
    places: list[ErasurePlace]
    kept: dict[str, str]


class SnapshotPage(_Shape):
    """The backups of a service, newest first."""

    items: list[SnapshotItem]
    next_cursor: str | None


class GenerationPage(_Shape):
    """All followed generations."""

    items: list[GenerationItem]
    next_cursor: str | None


def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """A query parameter, for routes that read theirs themselves."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


BANK = parameter(
    "bank",
    {"type": "array", "items": {"type": "string"}},
    "Search only these banks (default: all).",
)
