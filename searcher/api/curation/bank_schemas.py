"""The JSON of banks, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from common.http.schema import Schema, examples
from searcher.decisions import Action

MAX_TITLE, MAX_DESCRIPTION, MAX_ACTIONS = 200, 4000, 20
_POLICY = {
    "copy_probability": 0.95,
    "review_probability": 0.5,
    "min_seconds": 3.0,
    "min_coverage": 0.0,
}
_BANK: dict[str, Any] = {
    "bank": "news",
    "title": "News",
    "description": "Broadcasts since 1990",
    "enabled": True,
    "policy": _POLICY,
    "policy_set": {"min_seconds": 3.0},
    "negative": False,
    "share": 0.1,
    "actions": [
        {"decision": "copy", "action": "block", "min_seconds": 0.0, "min_coverage": 0.8},
        {"decision": "copy", "action": "notify", "min_seconds": 0.0, "min_coverage": 0.0},
    ],
    "videos": 120,
    "updated_at": "2026-05-04T12:00:00+00:00",
}


class SetPolicy(Schema):
    """Thresholds that the bank has instead of those of the service; null or absent: that of the
    service."""

    copy_probability: float | None = Field(None, strict=True, ge=0, le=1)
    review_probability: float | None = Field(None, strict=True, ge=0, le=1)
    min_seconds: float | None = Field(None, strict=True, ge=0, allow_inf_nan=False)
    min_coverage: float | None = Field(None, strict=True, ge=0, le=1)


class ActionRule(Schema):
    """What to do about a match with this decision, if its ranges last at least `min_seconds` and cover at
    least the fraction `min_coverage` of the query."""

    decision: Literal["copy", "review"]
    action: Action
    min_seconds: float = Field(0.0, strict=True, ge=0, allow_inf_nan=False)
    min_coverage: float = Field(0.0, strict=True, ge=0, le=1)


_NEGATIVE = (
    "Its videos, such as intros and test cards, must not cause matches: the part of a query that is a "
    "copy of one does not count as a match of other banks."
)
_SHARE = (
    "Fraction of queries on which the bank acts; for all others the action is at most `notify`. A hash "
    "of the query chooses, so the same query always has the same result."
)
_ACTIONS = (
    "The first rule that fits decides on the `action` of a match. If none fits, the action is `block` "
    "for a copy and `review` for a review."
)


class BankBody(Schema):
    """All settings of a bank; they replace the earlier ones. `enabled`: false keeps its videos, but no
    search and no match finds them. `policy`: thresholds instead of those of the service."""

    model_config = examples(
        {"title": "News", "policy": {"min_seconds": 3.0}}, {"title": "Intros", "negative": True}
    )
    title: str = Field("", max_length=MAX_TITLE)
    description: str = Field("", max_length=MAX_DESCRIPTION)
    enabled: bool = Field(True, strict=True)
    policy: SetPolicy = Field(default_factory=SetPolicy)
    negative: bool = Field(False, strict=True, description=_NEGATIVE)
    share: float = Field(1.0, strict=True, ge=0, le=1, description=_SHARE)
    actions: list[ActionRule] = Field(
        default_factory=list, max_length=MAX_ACTIONS, description=_ACTIONS
    )


class EffectivePolicy(Schema):
    """The thresholds that decide. Matches with at least these probabilities are copies or go to review,
    if together they cover at least `min_seconds` and the fraction `min_coverage` of the query."""

    copy_probability: float
    review_probability: float
    min_seconds: float
    min_coverage: float


class BankItem(Schema):
    """A bank. `updated_at`: when it was set; null if it never was."""

    model_config = examples(_BANK)
    bank: str
    title: str
    description: str
    enabled: bool = Field(description="Whether searches and matches find its videos.")
    policy: EffectivePolicy
    policy_set: SetPolicy = Field(description="The part of the policy that was set by PUT.")
    negative: bool = Field(False, description=_NEGATIVE)
    share: float = Field(1.0, description=_SHARE)
    actions: list[ActionRule] = Field(default_factory=list, description=_ACTIONS)
    videos: int = Field(description="Number of its videos, in any state.")
    updated_at: str | None


class BankPage(Schema):
    """Banks ordered by name; `total` counts all pages."""

    items: list[BankItem]
    next_cursor: str | None
    total: int
