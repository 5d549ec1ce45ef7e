"""The JSON of matches, verdicts and exceptions, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from searcher.api.evidence_schemas import StoredEvidence
from searcher.api.schemas import (
    RANGE_CERTAIN,
    RANGE_CONFIDENCE,
    Action,
    Decision,
    MatchTransform,
    NegativeRange,
)

Disagreement = Literal["reviewers", "decision"]
Verdict = Literal["copy", "licensed", "not_copy", "unsure", "none"]
MAX_REASON, MAX_NOTE = 200, 4000
# Matches that one request may judge.
MAX_MATCHES = 200
# A fingerprint is a prefix and an id or an address.
MAX_FINGERPRINT, MAX_ID = 8200, 4096
_DAY = "2026-05-04T12:00:00+00:00"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewVerdict(_Shape):
    """A verdict on a match. `none` withdraws the verdicts before."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"verdict": "licensed", "reason": "contract 12"}]},
    )
    verdict: Verdict
    reason: str = Field("", max_length=MAX_REASON)
    note: str = Field("", max_length=MAX_NOTE)


class NewVerdicts(NewVerdict):
    """The same verdict on several matches."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"match_ids": [17, 18], "verdict": "not_copy"}]},
    )
    match_ids: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(
        min_length=1, max_length=MAX_MATCHES
    )


class VerdictItem(_Shape):
    """A verdict. `author` is the name of the key, null if no key was required."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 5,
                    "match_id": 17,
                    "verdict": "licensed",
                    "reason": "contract 12",
                    "note": "",
                    "author": "Ann",
                    "key_id": "0a1b2c3d4e5f",
                    "created_at": _DAY,
                }
            ]
        }
    )
    id: int
    match_id: int
    verdict: Verdict
    reason: str
    note: str
    author: str | None
    key_id: str | None
    created_at: str


class AddedVerdicts(_Shape):
    """New verdicts, in the order of the matches."""

    items: list[VerdictItem]


class VerdictPage(_Shape):
    """The verdicts on a match, newest first."""

    items: list[VerdictItem]
    next_cursor: str | None
    total: int


class MatchQuery(_Shape):
    """The query of a match. `fingerprint` is `sha256:` and the hash of an upload, `uri:` and the address,
    or `video:` and the id of a video of the catalogue."""

    model_config = ConfigDict(extra="allow")
    kind: Literal["upload", "uri", "video"]
    fingerprint: str
    uri: str
    video_id: str | None
    bank: str | None
    duration_seconds: float


class Rule(_Shape):
    """The threshold that decided, and `margin`, the probability above it. `coverage_too_small`: probable
    enough for a copy, but too short for the policy of the bank."""

    name: Literal["copy_probability", "review_probability", "coverage_too_small"]
    threshold: float
    margin: float
    copy_probability: float
    review_probability: float
    min_seconds: float
    min_coverage: float


class MatchRange(_Shape):
    """A range of the query and the range of the reference that it copies. `exceptions`: ids of those that
    cover part of it. `negatives`: ranges of the query that show a video of a negative bank. Both are
    absent if there are none."""

    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    score: float
    probability: float
    search_view: str
    view: str
    coverage: float
    range_confidence: float | None = Field(None, description=RANGE_CONFIDENCE)
    range_certain: bool | None = Field(None, description=RANGE_CERTAIN)
    decision: Decision
    transform: MatchTransform | None = None
    exceptions: list[int] = Field(default_factory=list)
    negatives: list[NegativeRange] = Field(default_factory=list)


class MatchSummary(_Shape):
    """One query and one reference. `decision` is after exceptions and negative banks, `found_decision`
    before them. `action`: what the bank wants to be done, as it was set when the match was found."""

    id: int
    bank: str
    query: MatchQuery
    ref_video_id: str
    ref_uri: str
    model_id: str
    decision: Decision
    found_decision: Decision
    action: Action = "allow"
    probability: float
    score: float
    view: str
    matched_seconds: float
    coverage: float
    rule: Rule
    ranges: list[MatchRange]
    found_at: str
    first_found_at: str
    times_found: int
    verdict: VerdictItem | None
    disagreement: list[Disagreement] = Field(
        default_factory=list,
        description="`reviewers`: the latest verdicts of two keys contradict each other. `decision`: the "
        "verdict contradicts the decision. Absent if there is none.",
    )


class MatchPage(_Shape):
    """Matches, newest first; `total` counts all pages."""

    items: list[MatchSummary]
    next_cursor: str | None
    total: int


class BankFeedback(_Shape):
    """What the latest verdicts say of the matches of a bank."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "bank": "news",
                    "matches": 120,
                    "right": 57,
                    "wrong": 3,
                    "unsure": 1,
                    "precision": 0.95,
                    "reviewers_disagree": 2,
                    "decision_contradicted": 3,
                }
            ]
        },
    )
    bank: str
    matches: int
    right: int = Field(description="Judged `copy` or `licensed`.")
    wrong: int = Field(description="Judged `not_copy`.")
    unsure: int
    precision: float | None = Field(
        description="right / (right + wrong): the share of the judged matches that are copies; null if "
        "none is judged."
    )
    reviewers_disagree: int
    decision_contradicted: int


class FeedbackPage(_Shape):
    """Banks with a match, ordered by name; `total` counts all pages."""

    items: list[BankFeedback]
    next_cursor: str | None
    total: int


class RangeWithEvidence(MatchRange):
    """A range with the terms of its probability and the pairs of windows and segments that decided."""

    evidence: StoredEvidence


class NonMatch(_Shape):
    """The most probable reference of the bank that is no match."""

    video_id: str
    uri: str
    probability: float
    score: float
    view: str
    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    evidence: StoredEvidence


class StoredMatchItem(MatchSummary):
    """A match with its evidence and history."""

    ranges: list[RangeWithEvidence]  # type: ignore[assignment]
    best_non_match: NonMatch | None
    verdicts: list[VerdictItem]


class NewException(_Shape):
    """`pair`: this query is no match of this reference. `range`: this range of the reference never
    counts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "range",
                    "ref_video_id": "Tea.mp4",
                    "start_seconds": 0.0,
                    "end_seconds": 8.5,
                    "reason": "intro",
                },
                {
                    "kind": "pair",
                    "query_fingerprint": "video:parody.mp4",
                    "ref_video_id": "Tea.mp4",
                    "reason": "parody",
                },
            ]
        },
    )
    kind: Literal["pair", "range"]
    ref_video_id: str = Field(min_length=1, max_length=MAX_ID)
    query_fingerprint: str | None = Field(
        None, pattern=r"^(sha256|uri|video):", max_length=MAX_FINGERPRINT
    )
    start_seconds: float | None = Field(None, ge=0, allow_inf_nan=False)
    end_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    reason: str = Field(min_length=1, max_length=MAX_REASON)
    note: str = Field("", max_length=MAX_NOTE)

    @model_validator(mode="after")
    def _check(self) -> NewException:
        seconds = self.start_seconds, self.end_seconds
        if self.kind == "pair":
            if self.query_fingerprint is None or seconds != (None, None):
                raise ValueError("a pair has query_fingerprint, and no seconds")
        elif self.query_fingerprint is not None or seconds[0] is None or seconds[1] is None:
            raise ValueError("a range has start_seconds and end_seconds, and no query_fingerprint")
        elif seconds[0] >= seconds[1]:
            raise ValueError("start_seconds must be less than end_seconds")
        return self


class Affected(_Shape):
    """Stored matches whose decision an exception changes; at most 100 ids."""

    total: int
    match_ids: list[int]


class ExceptionItem(_Shape):
    """An exception."""

    id: int | None
    kind: Literal["pair", "range"]
    bank: str
    query_fingerprint: str | None
    ref_video_id: str
    start_seconds: float | None
    end_seconds: float | None
    reason: str
    note: str
    author: str | None
    key_id: str | None
    created_at: str


class AddedException(ExceptionItem):
    """A new exception. `id` is null if it was only tried."""

    affected: Affected


class ExceptionPage(_Shape):
    """Exceptions, newest first; `total` counts all pages."""

    items: list[ExceptionItem]
    next_cursor: str | None
    total: int
