"""The JSON of stored matches."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from common.http.schema import Schema
from searcher.api.match.evidence_schemas import StoredEvidence
from searcher.api.match.schemas import (
    RANGE_CERTAIN,
    RANGE_CONFIDENCE,
    MatchTransform,
    NegativeRange,
)
from searcher.api.review.verdict_schemas import VerdictItem
from searcher.decisions import Action, Decision

_TITLE = "Title of the video in the catalogue now; empty without one."
Disagreement = Literal["reviewers", "decision"]


class MatchQuery(Schema):
    """The query of a match. `fingerprint` is `sha256:` and the hash of an upload, `uri:` and the address,
    or `video:` and the id of a video of the catalogue."""

    model_config = ConfigDict(extra="allow")
    kind: Literal["upload", "uri", "video"]
    fingerprint: str
    uri: str
    video_id: str | None
    bank: str | None
    duration_seconds: float
    title: str = Field("", description=_TITLE)


class Rule(Schema):
    """The threshold that decided, and `margin`, the probability above it. `coverage_too_small`: probable
    enough for a copy, but too short for the policy of the bank."""

    name: Literal["copy_probability", "review_probability", "coverage_too_small"]
    threshold: float
    margin: float
    copy_probability: float
    review_probability: float
    min_seconds: float
    min_coverage: float


class MatchRange(Schema):
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


class MatchSummary(Schema):
    """One query and one reference. `decision` is after exceptions and negative banks, `found_decision`
    before them. `action`: what the bank wants to be done, as it was set when the match was found."""

    id: int
    bank: str
    query: MatchQuery
    ref_video_id: str
    ref_uri: str
    ref_title: str = Field("", description=_TITLE)
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


class MatchPage(Schema):
    """Matches, newest first; `total` counts all pages."""

    items: list[MatchSummary]
    next_cursor: str | None
    total: int


class RangeWithEvidence(MatchRange):
    """A range with the terms of its probability and the pairs of windows and segments that decided."""

    evidence: StoredEvidence


class NonMatch(Schema):
    """The most probable reference of the bank that is no match."""

    video_id: str
    uri: str
    title: str = Field("", description=_TITLE)
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
