"""The events that webhooks get. They have ids and results; the evidence is behind the API."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.state.text import text_hash

_ID_BYTES = 16

# Fields of a match's detail that its event has.
_OF_MATCH = ("query", "ref_video_id", "ref_uri", "matched_seconds", "coverage", "action")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. banks: a webhook of some banks gets it if all of these are among them;
    None: only webhooks of all banks get it. data: JSON values."""

    type: str
    banks: frozenset[str] | None
    data: dict[str, Any]
    id: str = field(default_factory=lambda: f"evt_{secrets.token_hex(_ID_BYTES)}")


def match_found(
    match_id: int,
    bank: str,
    query_bank: str | None,
    decision: str,
    probability: float,
    detail: Mapping[str, Any],
) -> Event:
    """A query matches a reference, for the first time or with another decision than before."""
    return Event(
        "match.found",
        _banks_of_match(bank, query_bank),
        {
            "match_id": match_id,
            "bank": bank,
            "decision": decision,
            "probability": probability,
            **{name: detail.get(name) for name in _OF_MATCH},
        },
    )


def verdict_given(
    match_id: int,
    bank: str,
    query_bank: str | None,
    detail: Mapping[str, Any],
    verdict: Mapping[str, Any],
) -> Event:
    """A person judged a match. verdict: its JSON."""
    return Event(
        "verdict.given",
        _banks_of_match(bank, query_bank),
        {
            "match_id": match_id,
            "bank": bank,
            "query_fingerprint": (detail.get("query") or {}).get("fingerprint"),
            "ref_video_id": detail.get("ref_video_id"),
            "verdict": dict(verdict),
        },
    )


def job_finished(
    job_id: str,
    key_id: str,
    state: str,
    request: Mapping[str, Any],
    result: Mapping[str, Any] | None,
    error: Mapping[str, Any] | None,
) -> Event:
    """A job is done, failed or cancelled."""
    banks = request.get("caller_banks")
    return Event(
        "job.finished",
        None if banks is None else frozenset(banks),
        {
            "job_id": job_id,
            "key_id": key_id or None,
            "state": state,
            "query": request.get("query"),
            "decision": None if result is None else result.get("decision"),
            "error": None if error is None else dict(error),
        },
    )


def video_indexed(video_id: str, bank: str, version: int) -> Event:
    """A new version of a video is searchable. It may be sent twice, with the same event id."""
    data = {"video_id": video_id, "bank": bank, "version": version}
    number = text_hash(f"video.indexed\0{video_id}\0{version}")[:32]
    return Event("video.indexed", frozenset({bank}), data, f"evt_{number}")


def video_deleted(video_id: str, bank: str) -> Event:
    """A video was deleted over the API."""
    return Event("video.deleted", frozenset({bank}), {"video_id": video_id, "bank": bank})


def _banks_of_match(bank: str, query_bank: str | None) -> frozenset[str]:
    return frozenset({bank} if query_bank is None else {bank, query_bank})
