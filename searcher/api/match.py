"""`POST /v1/match`: has this video, or a part of it, been seen before?"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import UsageError
from common.http.errors import json_response
from common.http.load_shedding import LoadShedder
from common.http.request_facts import Caller, facts_of
from common.http.request_metrics import QueueMetrics
from common.http.roles import needs
from common.http.server import NOTICES_HEADER
from common.http.upload import BODIES, MatchRequest, UploadStore
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from searcher.api.banks import banks_of, check_banks
from searcher.api.protocols import Catalogue, EmbedQuery, ServingIndex
from searcher.api.schemas import BANK, ERRORS, MatchAnswer, parameter
from searcher.api.videos import unknown_video
from searcher.index.state import Banks, Filter
from searcher.matching.cascade import match_cascade
from searcher.matching.match_json import report_to_json
from searcher.matching.matcher import MatchReport
from searcher.metrics import begin_decisions, observe_decision

AT_WORK, _WAITING = 2, 16
_ALLOWED = frozenset({"uri", "video_id"})

_DOCUMENTED: dict[str, Any] = {
    "parameters": [
        parameter("name", {"type": "string"}, "Name of the video in the response."),
        BANK,
        parameter(
            "thorough",
            {"type": "boolean"},
            "Always run the second pass, also when the first one finds a copy.",
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
                        for name in sorted(_ALLOWED)
                    ],
                }
            },
        },
    },
}


def match_router(
    catalogue: Catalogue, embed: EmbedQuery, metrics: Metrics, settings: HttpSettings
) -> APIRouter:
    """The route; `embed` and the matching run in a thread."""
    router = APIRouter(tags=["match"])
    begin_decisions(metrics)
    measured = QueueMetrics(metrics, "match")
    load_shedder = LoadShedder(AT_WORK, _WAITING, measured=measured)
    uploads = UploadStore(settings, metrics)

    @router.post(
        "/v1/match",
        dependencies=needs(Role.READER),
        openapi_extra=_DOCUMENTED,
        responses={200: {"model": MatchAnswer}, **ERRORS},
    )
    async def match(request: Request) -> Response:
        """Match an uploaded video, the video at an address, or a video of the catalogue."""
        banks, thorough = banks_of(request), _flag(request, "thorough")
        caller = facts_of(request.scope).caller
        answering = catalogue.current()
        check_banks(request, banks, answering.index.videos)
        # A long body is refused before it is sent; a place is taken once it is there.
        load_shedder.check_capacity()
        async with uploads.asked(request, _ALLOWED) as given, load_shedder.entered():

            def work(cancellation: Cancellation) -> dict[str, Any]:
                report = _report(
                    *(answering, embed, given, banks, caller),
                    thorough=thorough,
                    cancellation=cancellation,
                )
                observe_decision(metrics, report)
                return report_to_json(report, answering.index.videos.uri_of)

            answer = await load_shedder.run(work, request.receive)
        return json_response(answer, headers=_notices(answering))

    return router


def _report(
    answering: ServingIndex,
    embed: EmbedQuery,
    given: MatchRequest,
    banks: Banks,
    caller: Caller,
    *,
    thorough: bool,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> MatchReport:
    """The answer; a video of the catalogue is not found in itself."""
    video_id = given.fields.get("video_id")
    if video_id is None:
        source = given.path or given.fields["uri"]
        with embed(source, given.name, answering.model_id, cancellation) as take_pass:
            return match_cascade(
                answering.matcher,
                take_pass,
                only=Filter(banks),
                thorough=thorough,
                cancellation=cancellation,
            )
    video = answering.index.videos.get(video_id)
    if video is None or not caller.may_see(video.bank):
        raise unknown_video(video_id)
    return answering.matcher.match_video(video, banks, cancellation=cancellation)


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise UsageError(f"{name}: expected true or false, got {value[:20]!r}")
    return value == "true"


def _notices(answering: ServingIndex) -> dict[str, str]:
    notices = answering.index.notices
    return {NOTICES_HEADER: json.dumps(notices)} if notices else {}
