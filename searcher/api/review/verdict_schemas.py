"""The JSON of verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from common.http.schema import Schema, examples

Verdict = Literal["copy", "licensed", "not_copy", "unsure", "none"]
MAX_REASON, MAX_NOTE = 200, 4000
# Matches that one request may judge.
MAX_MATCHES = 200
_DAY = "2026-05-04T12:00:00+00:00"


class NewVerdict(Schema):
    """A verdict on a match. `none` withdraws the verdicts before."""

    model_config = examples({"verdict": "licensed", "reason": "contract 12"})
    verdict: Verdict
    reason: str = Field("", max_length=MAX_REASON)
    note: str = Field("", max_length=MAX_NOTE)


class NewVerdicts(NewVerdict):
    """The same verdict on several matches."""

    model_config = examples({"match_ids": [17, 18], "verdict": "not_copy"})
    match_ids: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(
        min_length=1, max_length=MAX_MATCHES
    )


class VerdictItem(Schema):
    """A verdict. `author` is the name of the key, null if no key was required."""

    model_config = examples(
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
    )
    id: int
    match_id: int
    verdict: Verdict
    reason: str
    note: str
    author: str | None
    key_id: str | None
    created_at: str


class AddedVerdicts(Schema):
    """New verdicts, in the order of the matches."""

    items: list[VerdictItem]


class VerdictPage(Schema):
    """The verdicts on a match, newest first."""

    items: list[VerdictItem]
    next_cursor: str | None
    total: int
