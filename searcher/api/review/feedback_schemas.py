"""The JSON of `/v1/feedback`."""

from __future__ import annotations

from pydantic import Field

from common.http.schema import Schema, examples


class BankFeedback(Schema):
    """What the latest verdicts say of the matches of a bank."""

    model_config = examples(
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


class FeedbackPage(Schema):
    """Banks with a match, ordered by name; `total` counts all pages."""

    items: list[BankFeedback]
    next_cursor: str | None
    total: int
