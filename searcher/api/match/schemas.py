"""The JSON of `POST /v1/match`: the report of a query."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from common.http.schema import Schema, examples
from searcher.api.match.evidence_schemas import EXAMPLE as EVIDENCE
from searcher.api.match.evidence_schemas import Evidence
from searcher.decisions import Action, Decision

# Header with an index's notices about a response, as a JSON list of strings.
NOTICES_HEADER = "X-StoryHash-Notices"


class Query(Schema):
    """The query video."""

    uri: str
    fingerprint: str = Field(
        "",
        description="`sha256:` and the hash of an upload, `uri:` and the address, or `video:` and the "
        "id. Absent where matches are not kept.",
    )
    duration_seconds: float
    damaged: str = Field("", description="What could not be decoded; absent if nothing is damaged.")


class AppliedException(Schema):
    """An exception that covers a match, or a part of it."""

    id: int
    kind: Literal["pair", "range"]
    reason: str


class NegativeRange(Schema):
    """A range of the query that shows a video of a negative bank. Its id and bank are null if the key may
    not see the bank."""

    video_id: str | None
    bank: str | None
    query_start_seconds: float
    query_end_seconds: float


class MatchTransform(Schema):
    """Which edit made the query from the reference. The reference's picture is mirrored left to right
    first, then rotated. Regions are left, top, right, bottom as fractions of a picture. What is said of
    the picture is absent where it is not certain."""

    speed: float | None = Field(
        description="Seconds of the reference per second of the query; negative if it runs backwards; "
        "null without an order in time."
    )
    words: str = Field(
        description="The edit in words; `unchanged` if there is no edit, empty if nothing is known."
    )
    mirrored: bool | None = Field(None, description="Left and right are exchanged.")
    rotation_degrees: int | None = Field(None, description="Clockwise, -179 to 180.")
    query_region: list[float] | None = Field(
        None, description="The part of the query's picture that shows the reference."
    )
    reference_region: list[float] | None = Field(
        None, description="The part of the reference's picture that is shown."
    )
    stretch: float | None = Field(
        None, description="How many times wider the picture became, compared with its height."
    )
    inverted: bool | None = Field(None, description="The colours are negative.")
    grey: bool | None = Field(None, description="The reference has colours, the query has none.")
    confidence: float | None = Field(
        None, description="Probability that the pictures are aligned correctly, from keypoints."
    )
    not_compared: str | None = Field(
        None, description="Why the pictures were not compared; absent otherwise."
    )


RANGE_CONFIDENCE = (
    "Probability that both ranges are right, if the match is a copy; absent if it was not measured."
)
RANGE_CERTAIN = (
    "False if other ranges fit about as well: the reference is known, the place in it is uncertain."
)


class MatchItem(Schema):
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
        None, description="What the bank of the reference asks you to do; absent for a non-match."
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


class MatchAnswer(Schema):
    """The report of a query; `decision` is the strongest decision of its matches."""

    model_config = examples(_ANSWER)
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
        description="Matches that exceptions or negative banks exclude, with the reason; absent if there "
        "are none.",
    )
    negatives: list[MatchItem] = Field(
        default_factory=list,
        description="Videos of negative banks in the query. The ranges that show them do not count as "
        "matches of other videos; absent if there are none.",
    )
    action: Action | None = Field(
        None,
        description="The strongest action of all matches; `allow` if there are none; absent if matches "
        "are not kept.",
    )
    reason: str = Field("", description="Why the query cannot match anything; absent otherwise.")
    truncated: str = Field(
        "",
        description="What was not compared because of a limit, if there are very many similar videos; "
        "absent otherwise.",
    )
