"""`GET /v1/matches/{id}/evidence`: a match as one file, for people and for programs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.cancellation import Cancellation
from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.load_shedding import LoadShedder
from common.http.paging import RowNumber
from common.http.request_body import accepts
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.state.roles import Role
from searcher.api.evidence.schemas import EvidencePack
from searcher.api.review.match_routes import unknown_match
from searcher.evidence.pack import evidence_pack
from searcher.evidence.page import POLICY, evidence_page
from searcher.review.reviews import Reviews
from searcher.serving import Catalogue

HTML_TYPE = "text/html"
# Files are read for their hashes: few at a time.
_AT_WORK, _WAITING = 2, 8
_AS_HTML = {HTML_TYPE: {"schema": {"type": "string"}}}


def evidence_router(reviews: Reviews, catalogue: Catalogue) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["matches"])
    load_shedder = LoadShedder(_AT_WORK, _WAITING)

    @router.get(
        "/v1/matches/{match_id}/evidence",
        dependencies=needs(Role.READER),
        responses={200: {"model": EvidencePack, "content": _AS_HTML}, **ERRORS},
    )
    async def evidence(match_id: RowNumber, request: Request) -> Response:
        """Get the evidence pack of a match: words, rule, ranges, pairs with thumbnails, hashes of
        pictures and files, verdicts; with `Accept: text/html` as one HTML page without a script. Files on
        the service's machine are read for their hashes."""
        banks = facts_of(request.scope).caller.banks

        def pack(cancellation: Cancellation) -> dict[str, Any]:
            match = reviews.state.matches.get(match_id, banks)
            if match is None:
                raise unknown_match(match_id)
            return evidence_pack(reviews.state, catalogue.current().index, match, cancellation)

        value = await load_shedder.answer(request, pack)
        headers = {"Cache-Control": "private, no-store"}
        if not accepts(request, HTML_TYPE):
            return json_response(value, headers=headers)
        headers |= {
            "Content-Security-Policy": f"{POLICY}; sandbox; frame-ancestors 'none'",
            "Content-Disposition": f'attachment; filename="match-{match_id}.html"',
        }
        return Response(evidence_page(value), headers=headers, media_type=HTML_TYPE)

    return router
