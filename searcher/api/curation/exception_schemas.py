"""The JSON of exceptions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from common.http.schema import Schema, examples
from searcher.api.review.verdict_schemas import MAX_NOTE, MAX_REASON

# A fingerprint is a prefix and an id or an address.
MAX_FINGERPRINT, MAX_ID = 8200, 4096


class NewException(Schema):
    """`pair`: this query is no match of this reference. `range`: this range of the reference never
    counts."""

    model_config = examples(
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


class Affected(Schema):
    """Stored matches whose decision an exception changes; at most 100 ids."""

    total: int
    match_ids: list[int]


class ExceptionItem(Schema):
    """An exception. `query_fingerprint`: of a pair; null if the query is a video of a bank that the key
    may not see."""

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


class ExceptionPage(Schema):
    """Exceptions, newest first; `total` counts all pages."""

    items: list[ExceptionItem]
    next_cursor: str | None
    total: int
