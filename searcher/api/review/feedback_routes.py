"""`GET /v1/feedback`: what the verdicts say of the decisions, per bank."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.paging import Limit, StateThreads, TextCursor, page_json
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.state.feedback import BankFeedback
from common.state.roles import Role
from searcher.api.review.feedback_schemas import FeedbackPage
from searcher.review.reviews import Reviews


def feedback_router(reviews: Reviews) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["matches"])
    run = StateThreads().run

    @router.get(
        "/v1/feedback",
        dependencies=needs(Role.READER),
        responses={200: {"model": FeedbackPage}, **ERRORS},
    )
    async def feedback(request: Request, limit: Limit = 100, cursor: TextCursor = "") -> Response:
        """List the banks with a match: how many matches people judged right and wrong, the precision, and
        on how many they disagree."""
        caller = facts_of(request.scope).caller
        found = await run(lambda: reviews.state.feedback.per_bank(caller.banks))
        # PostgreSQL may order names in another way.
        banks = sorted(found, key=lambda one: one.bank)
        following = [one for one in banks if one.bank > cursor]
        more = following[limit - 1].bank if len(following) > limit else None
        return json_response(page_json(list(map(_to_json, following[:limit])), more, len(banks)))

    return router


def _to_json(one: BankFeedback) -> dict[str, Any]:
    precision = one.precision
    return {
        "bank": one.bank,
        "matches": one.matches,
        "right": one.right,
        "wrong": one.wrong,
        "unsure": one.unsure,
        "precision": None if precision is None else round(precision, 4),
        "reviewers_disagree": one.by_reviewers,
        "decision_contradicted": one.by_decision,
    }
