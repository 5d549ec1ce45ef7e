"""The JSON of webhooks, their deliveries and their events, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from common.http.error_schemas import ErrorInfo
from common.http.schema import Schema, examples
from common.state.keys import MAX_BANKS
from common.state.webhooks import MAX_DESCRIPTION, MAX_URL
from searcher.api.jobs.schemas import JobQuery
from searcher.api.review.stored_match_schemas import MatchQuery
from searcher.api.review.verdict_schemas import VerdictItem
from searcher.decisions import Action, Decision

EventType = Literal[
    "match.found", "verdict.given", "job.finished", "video.indexed", "video.deleted"
]
DeliveryState = Literal["pending", "delivered", "dead"]
_DAY = "2026-05-04T12:00:00+00:00"
_URL = "https://example.org/storyhash"
_WEBHOOK = {
    "id": "6f1c0d2b9a8e4f37",
    "url": _URL,
    "events": ["match.found"],
    "banks": None,
    "description": "moderation queue",
    "key_id": "0a1b2c3d4e5f",
    "created_at": _DAY,
}
_EVENT = {
    "id": "evt_5d41402abc4b2a76b9719d911017c592",
    "type": "video.indexed",
    "timestamp": _DAY,
    "data": {"video_id": "tea.mp4", "bank": "default", "version": 1},
}


class NewWebhookBody(Schema):
    """A webhook to create. `events`: null for all. `banks`: null for all; otherwise it gets only events
    that concern no other bank."""

    model_config = examples({"url": _URL, "events": ["match.found"]})
    url: str = Field(min_length=1, max_length=MAX_URL, description="An https:// address.")
    events: list[EventType] | None = Field(None, min_length=1)
    banks: list[str] | None = Field(None, min_length=1, max_length=MAX_BANKS)
    description: str = Field("", max_length=MAX_DESCRIPTION)


class WebhookItem(Schema):
    """A webhook. `key_id`: of the key that created it; null if no key was required."""

    model_config = examples(_WEBHOOK)
    id: str
    url: str
    events: list[EventType] | None
    banks: list[str] | None
    description: str
    key_id: str | None
    created_at: str


class CreatedWebhook(WebhookItem):
    """A new webhook; `secret` is shown only now."""

    model_config = examples({**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    secret: str = Field(description="Verifies signatures, see Standard Webhooks.")


class WebhookPage(Schema):
    """Webhooks, newest first; `total` counts all pages."""

    items: list[WebhookItem]
    next_cursor: str | None
    total: int


class DeliveryItem(Schema):
    """An event for one webhook. `status`: HTTP status of the last answer, null without one. `error`: of
    the last attempt, empty if it succeeded."""

    model_config = examples(
        {
            "id": 7,
            "webhook_id": _WEBHOOK["id"],
            "event_id": _EVENT["id"],
            "type": _EVENT["type"],
            "state": "dead",
            "attempts": 15,
            "next_attempt_at": None,
            "created_at": _DAY,
            "ended_at": "2026-05-04T18:00:00+00:00",
            "status": 500,
            "error": "the receiver answered with 500",
            "event": _EVENT,
        }
    )
    id: int
    webhook_id: str
    event_id: str = Field(description="The header `webhook-id`, the same at every attempt.")
    type: EventType
    state: DeliveryState = Field(description="`dead`: given up; redeliver it.")
    attempts: int
    next_attempt_at: str | None = Field(description="Null unless it is pending.")
    created_at: str
    ended_at: str | None
    status: int | None
    error: str
    event: dict[str, Any] = Field(description="The JSON that is sent.")


class DeliveryPage(Schema):
    """Deliveries, newest first; `total` counts all pages."""

    items: list[DeliveryItem]
    next_cursor: str | None
    total: int


class MatchFoundData(Schema):
    """A query matches a reference; /v1/matches/{match_id} has the evidence."""

    match_id: int
    bank: str
    decision: Literal["copy", "review"]
    probability: float
    query: MatchQuery
    ref_video_id: str
    ref_uri: str
    matched_seconds: float
    coverage: float
    action: Action | None = None


class VerdictGivenData(Schema):
    """A person judged a match."""

    match_id: int
    bank: str
    query_fingerprint: str
    ref_video_id: str
    verdict: VerdictItem


class JobFinishedData(Schema):
    """A job has ended; /v1/jobs/{job_id} has its result. `decision`: null unless it is done."""

    job_id: str
    key_id: str | None
    state: Literal["done", "failed", "cancelled"]
    query: JobQuery
    decision: Decision | None
    error: ErrorInfo | None


class VideoIndexedData(Schema):
    """A new version of a video is searchable."""

    video_id: str
    bank: str
    version: int


class VideoDeletedData(Schema):
    """A video was deleted."""

    video_id: str
    bank: str


class _Event(Schema):
    id: str = Field(description="The same at every attempt.")
    timestamp: str = Field(description="When it happened.")


class MatchFound(_Event):
    """Sent when a query matches a reference for the first time, or with another decision than before."""

    type: Literal["match.found"]
    data: MatchFoundData


class VerdictGiven(_Event):
    """Sent when a person judges a match."""

    type: Literal["verdict.given"]
    data: VerdictGivenData


class JobFinished(_Event):
    """Sent when a job is done, failed or cancelled."""

    type: Literal["job.finished"]
    data: JobFinishedData


class VideoIndexed(_Event):
    """Sent when a new version of a video is searchable."""

    model_config = examples(_EVENT)
    type: Literal["video.indexed"]
    data: VideoIndexedData


class VideoDeleted(_Event):
    """Sent when a video was deleted over the API."""

    type: Literal["video.deleted"]
    data: VideoDeletedData


EVENTS: dict[str, type[BaseModel]] = {
    "match.found": MatchFound,
    "verdict.given": VerdictGiven,
    "job.finished": JobFinished,
    "video.indexed": VideoIndexed,
    "video.deleted": VideoDeleted,
}
