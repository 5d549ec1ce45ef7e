"""`POST /v1/match`: has this video, or a part of it, been seen before?"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.errors import UsageError
from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.load_shedding import LoadShedder
from common.http.query_parameters import parameter
from common.http.request_facts import facts_of
from common.http.request_metrics import QueueMetrics
from common.http.roles import needs
from common.http.upload import BODIES, MAX_NAME, UploadStore
from common.metrics import Metrics
from common.state.roles import Role
from searcher.api.banks import BANK, banks_of, check_banks
from searcher.api.match.schemas import NOTICES_HEADER, MatchAnswer
from searcher.metrics import begin_decisions
from searcher.review.matching import MatchQueries, MatchTask
from searcher.serving import Catalogue, ServingIndex

AT_WORK, _WAITING = 2, 16
# The fields of a JSON body, of which a request has one.
ALLOWED = frozenset({"uri", "video_id"})

MATCH_DOCUMENTED: dict[str, Any] = {
    "parameters": [
        parameter(
            "name",
            {"type": "string"},
            f"Name of the video in the response; at most {MAX_NAME} characters are kept.",
        ),
        BANK,
        parameter(
            "thorough",
            {"type": "boolean"},
            "Run the second pass over the whole query, also where the first one finds a copy.",
        ),
    ],
    "requestBody": {
        "required": True,
        "content": {
            **BODIES,
            "application/json": {
                "schema": {
                    "description": "An address to fetch, or a video of the catalogue, which is "
                    "matched against the rest of it.",
                    "oneOf": [
                        {
                            "type": "object",
                            "required": [name],
                            "properties": {name: {"type": "string"}},
                            "additionalProperties": False,
                        }
                        for name in sorted(ALLOWED)
                    ],
                }
            },
        },
    },
}


def match_router(
    catalogue: Catalogue, queries: MatchQueries, metrics: Metrics, uploads: UploadStore
) -> APIRouter:
    """The route; the matching runs in a thread."""
    router = APIRouter(tags=["match"])
    begin_decisions(metrics)
    measured = QueueMetrics(metrics, "match")
    load_shedder = LoadShedder(AT_WORK, _WAITING, measured=measured)

    @router.post(
        "/v1/match",
        dependencies=needs(Role.READER, quota="upload"),
        openapi_extra=MATCH_DOCUMENTED,
        responses={200: {"model": MatchAnswer}, **ERRORS},
    )
    async def match(request: Request) -> Response:
        """Match an uploaded video, the video at an address, or a video of the catalogue."""
        banks, thorough = banks_of(request), flag(request, "thorough")
        caller = facts_of(request.scope).caller
        answering = catalogue.current()
        await check_banks(request, banks, answering.index.videos, queries.curation())
        # A long body is refused before it is sent; a place is taken once it is there.
        load_shedder.check_capacity(request)
        async with uploads.asked(request, ALLOWED) as given:
            task = MatchTask(
                given.name, given.path, given.sha256, **given.fields, banks=banks, thorough=thorough
            )
            return await load_shedder.answer(
                request,
                lambda cancellation: json_response(
                    queries.answer(answering, task, caller, cancellation),
                    headers=_notices(answering),
                ),
            )

    return router


def flag(request: Request, name: str) -> bool:
    """A query parameter that is true or false (the default). Raises UsageError."""
    value = request.query_params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise UsageError(f"{name}: expected true or false, got {value[:20]!r}")
    return value == "true"


def _notices(answering: ServingIndex) -> dict[str, str]:
    notices = answering.index.notices
    return {NOTICES_HEADER: json.dumps(notices)} if notices else {}
