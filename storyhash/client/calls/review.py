"""Matches, verdicts and exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from searcher.api.curation.exception_schemas import (
    AddedException,
    ExceptionItem,
    ExceptionPage,
    NewException,
)
from searcher.api.evidence.schemas import EvidencePack
from searcher.api.review.feedback_schemas import FeedbackPage
from searcher.api.review.stored_match_schemas import Disagreement, MatchPage, StoredMatchItem
from searcher.api.review.verdict_schemas import (
    AddedVerdicts,
    NewVerdict,
    NewVerdicts,
    Verdict,
    VerdictItem,
    VerdictPage,
)
from searcher.decisions import Decision
from storyhash.client.call import Call, as_model, as_nothing, as_text, body_of, new_key, operation


@operation("GET", "/v1/matches")
def list_matches(
    *,
    banks: Sequence[str] = (),
    decision: Decision | None = None,
    verdicts: Sequence[Verdict] = (),
    min_probability: float | None = None,
    min_coverage: float | None = None,
    since: datetime | str | None = None,
    query_fingerprint: str | None = None,
    video_id: str | None = None,
    ref_video_id: str | None = None,
    disagreement: Disagreement | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[MatchPage]:
    """A page of the matches that were found, newest first. verdicts: the latest one; `none` for matches
    without one. since: found again or first since then. video_id: as query or as reference."""
    query = {
        "limit": limit,
        "cursor": cursor,
        "bank": list(banks),
        "decision": decision,
        "verdict": list(verdicts),
        "min_probability": min_probability,
        "min_coverage": min_coverage,
        "since": since.isoformat() if isinstance(since, datetime) else since,
        "query_fingerprint": query_fingerprint,
        "video_id": video_id,
        "ref_video_id": ref_video_id,
        "disagreement": disagreement,
    }
    return Call(as_model(MatchPage), query=query)


def matches_as_csv(**filters: Any) -> Call[str]:
    """The page that `list_matches` gets with these arguments, as CSV."""
    page: Call[Any] = list_matches(**filters)
    return replace(page, read=as_text, headers={"Accept": "text/csv"})


@operation("GET", "/v1/feedback")
def list_feedback(*, limit: int = 100, cursor: str | None = None) -> Call[FeedbackPage]:
    """A page of the banks with a match: the precision of their decisions, as people judged them."""
    return Call(as_model(FeedbackPage), query={"limit": limit, "cursor": cursor})


@operation("GET", "/v1/matches/{match_id}")
def show_match(match_id: int) -> Call[StoredMatchItem]:
    """One match, with its evidence and verdicts."""
    return Call(as_model(StoredMatchItem), path={"match_id": match_id})


@operation("GET", "/v1/matches/{match_id}/evidence")
def evidence_of_match(match_id: int) -> Call[EvidencePack]:
    """The evidence pack of a match, with the hashes of its pictures and files."""
    return Call(as_model(EvidencePack), path={"match_id": match_id})


def evidence_as_html(match_id: int) -> Call[str]:
    """The evidence pack of a match as one HTML page."""
    pack: Call[Any] = evidence_of_match(match_id)
    return replace(pack, read=as_text, headers={"Accept": "text/html"})


@operation("GET", "/v1/videos/{video_id}/matches")
def list_matches_of_video(
    video_id: str, *, limit: int = 100, cursor: str | None = None
) -> Call[MatchPage]:
    """A page of the matches of a video, as query or as reference, newest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call(as_model(MatchPage), path={"video_id": video_id}, query=query)


@operation("GET", "/v1/matches/{match_id}/verdicts")
def list_verdicts(
    match_id: int, *, limit: int = 100, cursor: str | None = None
) -> Call[VerdictPage]:
    """A page of the verdicts on a match, newest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call(as_model(VerdictPage), path={"match_id": match_id}, query=query)


@operation("POST", "/v1/matches/{match_id}/verdicts")
def add_verdict(
    match_id: int,
    verdict: Verdict,
    *,
    reason: str | None = None,
    note: str | None = None,
    idempotency_key: str | None = None,
) -> Call[VerdictItem]:
    """Judge a match; `none` withdraws the verdicts before."""
    body = body_of(NewVerdict, verdict=verdict, reason=reason, note=note)
    once = idempotency_key or new_key()
    return Call(as_model(VerdictItem), path={"match_id": match_id}, json=body, once=once)


@operation("POST", "/v1/verdicts")
def add_verdicts(
    match_ids: Sequence[int],
    verdict: Verdict,
    *,
    reason: str | None = None,
    note: str | None = None,
    idempotency_key: str | None = None,
) -> Call[AddedVerdicts]:
    """Judge up to 200 matches alike. If one of them is unknown, none is judged."""
    body = body_of(
        NewVerdicts, match_ids=list(match_ids), verdict=verdict, reason=reason, note=note
    )
    return Call(as_model(AddedVerdicts), json=body, once=idempotency_key or new_key())


@operation("GET", "/v1/exceptions")
def list_exceptions(
    *,
    banks: Sequence[str] = (),
    kind: Literal["pair", "range"] | None = None,
    query_fingerprint: str | None = None,
    ref_video_id: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[ExceptionPage]:
    """A page of the exceptions, newest first."""
    query = {
        "limit": limit,
        "cursor": cursor,
        "bank": list(banks),
        "kind": kind,
        "query_fingerprint": query_fingerprint,
        "ref_video_id": ref_video_id,
    }
    return Call(as_model(ExceptionPage), query=query)


@operation("GET", "/v1/exceptions/{exception_id}")
def show_exception(exception_id: int) -> Call[ExceptionItem]:
    """One exception."""
    return Call(as_model(ExceptionItem), path={"exception_id": exception_id})


@operation("POST", "/v1/exceptions")
def add_exception(
    ref_video_id: str,
    reason: str,
    *,
    query_fingerprint: str | None = None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    note: str | None = None,
    dry_run: bool = False,
    idempotency_key: str | None = None,
) -> Call[AddedException]:
    """Except a pair, with `query_fingerprint`, or a range of the reference, with `start_seconds` and
    `end_seconds`. dry_run: only tell which stored matches it would change."""
    body = body_of(
        NewException,
        kind="range" if query_fingerprint is None else "pair",
        ref_video_id=ref_video_id,
        query_fingerprint=query_fingerprint,
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        reason=reason,
        note=note,
    )
    query = {"dry_run": "true" if dry_run else None}
    once = idempotency_key or new_key()
    return Call(as_model(AddedException), query=query, json=body, once=once)


@operation("DELETE", "/v1/exceptions/{exception_id}")
def delete_exception(exception_id: int) -> Call[None]:
    """Delete an exception: stored matches get their decision back."""
    return Call(as_nothing, path={"exception_id": exception_id})
