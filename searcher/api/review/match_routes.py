"""`/v1/matches`: the matches that were found, and the verdicts on them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.errors import UsageError
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.etag import tagged_response
from common.http.idempotency import IDEMPOTENCY_KEY, made_response, once_of
from common.http.paging import Cursor, Limit, RowNumber, StateThreads, page_json
from common.http.request_body import accepts, documented_body, read_model
from common.http.request_facts import Caller, facts_of
from common.http.roles import banks_for, needs
from common.state import verdicts
from common.state.feedback import by_decision, by_reviewers
from common.state.matches import MatchFilter, StoredMatch
from common.state.roles import Role
from searcher.api.review.match_csv import CSV_TYPE, csv_response
from searcher.api.review.stored_match_schemas import Disagreement, MatchPage, StoredMatchItem
from searcher.api.review.verdict_schemas import (
    AddedVerdicts,
    NewVerdict,
    NewVerdicts,
    Verdict,
    VerdictItem,
    VerdictPage,
)
from searcher.api.video_path import VIDEO_ID, PartOfVideo
from searcher.decisions import Decision
from searcher.review.match_view import matches_to_json
from searcher.review.reviews import Reviews
from searcher.review.titles import TitleOf, titles_of
from searcher.serving import Catalogue
from searcher.visible_video import visible_video

_AS_CSV = {CSV_TYPE: {"schema": {"type": "string"}}}
# Characters of the matches' ids that the audit log keeps.
_MAX_TARGET = 200
# Notes are text of people.
_MAX_JSON_BYTES = 1 << 16
_DISAGREE = {"reviewers": by_reviewers, "decision": by_decision}
_BANK = Query(description="Only matches with references of these banks (default: all).")


def match_store_router(reviews: Reviews, catalogue: Catalogue) -> APIRouter:
    """The routes. Register them before those of videos, which take any path."""
    router = APIRouter(tags=["matches"])
    of_videos = APIRouter(tags=["matches"], route_class=PartOfVideo)
    run = StateThreads().run

    def page(only: MatchFilter, cursor: int | None, limit: int) -> dict[str, Any]:
        matches, following, total = reviews.state.matches.page(only, cursor, limit)
        items = matches_to_json(reviews.state, matches, titles(), visible=only.visible)
        return page_json(items, following, total)

    def titles() -> TitleOf:
        return titles_of(catalogue.current().index.videos)

    def one(match_id: int, request: Request) -> StoredMatch:
        match = reviews.state.matches.get(match_id, facts_of(request.scope).caller.banks)
        if match is None:
            raise unknown_match(match_id)
        return match

    @router.get(
        "/v1/matches",
        dependencies=needs(Role.READER),
        responses={200: {"model": MatchPage, "content": _AS_CSV}, **ERRORS},
    )
    async def list_matches(
        request: Request,
        limit: Limit = 100,
        cursor: Cursor = None,
        bank: Annotated[list[str] | None, _BANK] = None,
        decision: Annotated[
            Decision | None, Query(description="`no_match`: by an exception.")
        ] = None,
        verdict: Annotated[
            list[Verdict] | None, Query(description="Latest verdict; `none`: without one.")
        ] = None,
        min_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
        min_coverage: Annotated[
            float | None, Query(ge=0, le=1, description="Matched share of the query.")
        ] = None,
        since: Annotated[
            str | None,
            Query(description="Only matches found since this time, also again, ISO 8601."),
        ] = None,
        query_fingerprint: Annotated[str | None, Query(description="Only this query.")] = None,
        video_id: Annotated[
            str | None, Query(description="Only this video, as query or reference.")
        ] = None,
        ref_video_id: Annotated[str | None, Query(description="Only this reference.")] = None,
        disagreement: Annotated[
            Disagreement | None,
            Query(
                description="Only matches on which two reviewers disagree, or whose verdict contradicts "
                "the decision."
            ),
        ] = None,
    ) -> Response:
        """List the matches that were found, newest first, without their evidence; with `Accept: text/csv`
        as CSV."""
        only = MatchFilter(
            visible=facts_of(request.scope).caller.banks,
            banks=banks_for(request, frozenset(bank)) if bank else None,
            decision=decision,
            verdicts=frozenset(verdict) if verdict else None,
            min_probability=min_probability,
            min_coverage=min_coverage,
            since=None if since is None else _milliseconds(since),
            fingerprint=query_fingerprint,
            video_id=video_id,
            ref_video_id=ref_video_id,
            also=[] if disagreement is None else [_DISAGREE[disagreement]()],
        )

        def listed() -> Response:
            found = page(only, cursor, limit)
            as_csv = accepts(request, CSV_TYPE)
            return csv_response(request, found) if as_csv else json_response(found)

        return await run(listed)

    @router.get(
        "/v1/matches/{match_id}",
        dependencies=needs(Role.READER),
        responses={200: {"model": StoredMatchItem}, **ERRORS},
    )
    async def show_match(match_id: RowNumber, request: Request) -> Response:
        """Get one match: ranges, evidence, the rule that decided, the best non-match, all verdicts."""
        visible = facts_of(request.scope).caller.banks
        (value,) = await run(
            lambda: matches_to_json(
                reviews.state, [one(match_id, request)], titles(), whole=True, visible=visible
            )
        )
        return tagged_response(request, value)

    @router.get(
        "/v1/matches/{match_id}/verdicts",
        dependencies=needs(Role.READER),
        responses={200: {"model": VerdictPage}, **ERRORS},
    )
    async def list_verdicts(
        match_id: RowNumber, request: Request, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        """List the verdicts on a match, newest first."""

        def found() -> dict[str, Any]:
            match = one(match_id, request)
            return page_json(*reviews.state.verdicts.page(match.id, cursor, limit))

        return json_response(await run(found))

    @router.post(
        "/v1/matches/{match_id}/verdicts",
        status_code=201,
        dependencies=needs(Role.REVIEWER, change="verdicts.add"),
        openapi_extra={**documented_body(NewVerdict), "parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"model": VerdictItem}, **ERRORS},
    )
    async def add_verdict(match_id: RowNumber, request: Request) -> Response:
        """Judge a match. Earlier verdicts are kept; the latest one counts."""
        caller = facts_of(request.scope).caller
        given = await read_model(request, NewVerdict, _MAX_JSON_BYTES)
        new = _new_verdict(given, caller)
        once = once_of(request, given.model_dump_json())
        added = await run(lambda: reviews.state.verdicts.add(match_id, new, caller.banks, once))
        if added is None:
            raise unknown_match(match_id)
        return made_response(added[0], 201, replayed=added[1])

    @router.post(
        "/v1/verdicts",
        status_code=201,
        dependencies=needs(Role.REVIEWER, change="verdicts.add"),
        openapi_extra={**documented_body(NewVerdicts), "parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"model": AddedVerdicts}, **ERRORS},
    )
    async def add_verdicts(request: Request) -> Response:
        """Judge several matches alike. If one of them is unknown, none is judged."""
        facts = facts_of(request.scope)
        caller = facts.caller
        given = await read_model(request, NewVerdicts, _MAX_JSON_BYTES)
        new = _new_verdict(given, caller)
        once = once_of(request, given.model_dump_json())
        match_ids = list(dict.fromkeys(given.match_ids))
        facts.target = " ".join(map(str, match_ids))[:_MAX_TARGET]

        def add(match_id: int) -> tuple[dict[str, Any], bool]:
            # After a crash in between, the same request again judges the rest.
            of_match = None if once is None else replace(once, route=f"{once.route} {match_id}")
            added = reviews.state.verdicts.add(match_id, new, caller.banks, of_match)
            if added is None:
                raise unknown_match(match_id)
            return added

        def add_all() -> list[tuple[dict[str, Any], bool]]:
            # Each verdict is stored with its answer, so the whole request needs none.
            with reviews.state.answers.claimed(once):
                for match_id in match_ids:
                    one(match_id, request)
                return list(map(add, match_ids))

        added = await run(add_all)
        replayed = all(before for _, before in added)
        return made_response({"items": [item for item, _ in added]}, 201, replayed=replayed)

    @of_videos.get(
        f"/v1/videos/{VIDEO_ID}/matches",
        dependencies=needs(Role.READER),
        responses={200: {"model": MatchPage}, **ERRORS},
    )
    async def matches_of_video(
        video_id: str, request: Request, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        """List the matches of a video, as query or as reference, newest first."""
        caller = facts_of(request.scope).caller
        visible_video(catalogue.current().index.videos, video_id, caller)
        only = MatchFilter(visible=caller.banks, video_id=video_id)
        return json_response(await run(lambda: page(only, cursor, limit)))

    router.routes.extend(of_videos.routes)
    return router


def unknown_match(match_id: int) -> ApiError:
    """The refusal of a match that does not exist or that the caller may not see."""
    return ApiError(404, "unknown_match", f"no match {match_id}; /v1/matches lists them")


def _new_verdict(given: NewVerdict, caller: Caller) -> verdicts.NewVerdict:
    return verdicts.NewVerdict(
        given.verdict, given.reason, given.note, author=caller.name, key_id=caller.key_id
    )


_DECODED_OFFSET = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")


def _milliseconds(given: str) -> int:
    """A time in milliseconds since 1970; without an offset it is UTC. Raises UsageError."""
    # In an address, the plus of an offset is a space unless it is encoded: 2026-05-04T12:00:00 02:00.
    text = _DECODED_OFFSET.sub(r"\1+\2", given)
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return int(1000 * time.timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f"since: expected a time such as 2026-05-04T12:00:00Z, got {given[:50]!r}"
        ) from None
