"""`/v1/exceptions`: pairs that are no match, and ranges that never count."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.etag import tagged_response
from common.http.idempotency import IDEMPOTENCY_KEY, made_response, once_of
from common.http.paging import Cursor, Limit, RowNumber, StateThreads, page_json
from common.http.request_body import documented_body, no_body, read_model
from common.http.request_facts import Caller, facts_of
from common.http.roles import banks_for, needs
from common.state import exceptions
from common.state.roles import Role
from common.state.video_names import query_of_video
from searcher.api.curation.exception_schemas import (
    AddedException,
    ExceptionItem,
    ExceptionPage,
    NewException,
)
from searcher.deletion.steps import forget_deleted
from searcher.review.reviews import Reviews, decide_stored
from searcher.serving import Catalogue
from searcher.visible_video import visible_video

_MAX_JSON_BYTES = 1 << 16


def exception_router(reviews: Reviews, catalogue: Catalogue) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["exceptions"])
    run = StateThreads().run

    def is_hidden(fingerprint: str | None, caller: Caller) -> bool:
        """Whether a query is a video that the caller may not see."""
        if fingerprint is None or not fingerprint.startswith(query_of_video("")):
            return False
        video_id = fingerprint.removeprefix(query_of_video(""))
        video = catalogue.current().index.videos.get(video_id)
        return video is not None and not caller.may_see(video.bank)

    def shown(one: exceptions.StoredException, caller: Caller) -> dict[str, Any]:
        """The JSON for a caller who may see the reference."""
        hidden = {"query_fingerprint": None} if is_hidden(one.fingerprint, caller) else {}
        return {**one.to_json(), **hidden}

    @router.post(
        "/v1/exceptions",
        status_code=201,
        dependencies=needs(Role.REVIEWER, change="exceptions.add"),
        openapi_extra={**documented_body(NewException), "parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"model": AddedException}, 200: _TRIED, **ERRORS},
    )
    async def add_exception(
        request: Request,
        dry_run: Annotated[
            bool, Query(description="Store nothing; only show what would change.")
        ] = False,
    ) -> Response:
        """Add an exception for a pair or a range. New answers obey it, and stored matches are decided
        again."""
        facts = facts_of(request.scope)
        caller = facts.caller
        given = await read_model(request, NewException, _MAX_JSON_BYTES)
        once = once_of(request, given.model_dump_json())

        def add() -> tuple[dict[str, Any], bool]:
            answering = catalogue.current()
            video = visible_video(answering.index.videos, given.ref_video_id, caller)
            new = exceptions.NewException(
                given.kind,
                video.bank,
                given.ref_video_id,
                given.reason,
                given.note,
                fingerprint=given.query_fingerprint,
                start_seconds=given.start_seconds,
                end_seconds=given.end_seconds,
                author=caller.name,
                key_id=caller.key_id,
            )
            added = reviews.state.exceptions.add(
                new, decide_stored, caller.banks, once, dry_run=dry_run
            )
            forget_deleted(reviews.state, [given.ref_video_id], answering.index.videos)
            reviews.follow_moves({given.ref_video_id: video.bank}, answering.index.videos)
            return added

        if dry_run:
            facts.change = ""
        added, replayed = await run(add)
        if dry_run:
            return json_response(added)
        facts.target = str(added["id"])
        location = f"/v1/exceptions/{added['id']}"
        return made_response(added, 201, location, replayed=replayed)

    @router.get(
        "/v1/exceptions",
        dependencies=needs(Role.READER),
        responses={200: {"model": ExceptionPage}, **ERRORS},
    )
    async def list_exceptions(
        request: Request,
        limit: Limit = 100,
        cursor: Cursor = None,
        bank: Annotated[list[str] | None, Query(description="Only these banks.")] = None,
        kind: Annotated[Literal["pair", "range"] | None, Query()] = None,
        query_fingerprint: Annotated[str | None, Query(description="Only this query.")] = None,
        ref_video_id: Annotated[str | None, Query(description="Only this reference.")] = None,
    ) -> Response:
        """List the exceptions, newest first."""
        banks, caller = banks_for(request, frozenset(bank or ())), facts_of(request.scope).caller

        def found() -> dict[str, Any]:
            items, following, total = reviews.state.exceptions.page(
                frozenset() if is_hidden(query_fingerprint, caller) else banks,
                cursor,
                limit,
                kind=kind,
                fingerprint=query_fingerprint,
                ref_video_id=ref_video_id,
            )
            return page_json([shown(one, caller) for one in items], following, total)

        return json_response(await run(found))

    @router.get(
        "/v1/exceptions/{exception_id}",
        dependencies=needs(Role.READER),
        responses={200: {"model": ExceptionItem}, **ERRORS},
    )
    async def show_exception(exception_id: RowNumber, request: Request) -> Response:
        """Get one exception."""
        caller = facts_of(request.scope).caller

        def found() -> dict[str, Any]:
            one = reviews.state.exceptions.get(exception_id, caller.banks)
            if one is None:
                raise _unknown(exception_id)
            return shown(one, caller)

        return tagged_response(request, await run(found))

    @router.delete(
        "/v1/exceptions/{exception_id}",
        status_code=204,
        dependencies=needs(Role.REVIEWER, change="exceptions.delete"),
        responses={204: _DELETED, **ERRORS},
    )
    async def delete_exception(exception_id: RowNumber, request: Request) -> Response:
        """Delete an exception: answers no longer obey it, and stored matches get their decision back."""
        await no_body(request)
        banks = facts_of(request.scope).caller.banks
        known = await run(
            lambda: reviews.state.exceptions.remove(exception_id, decide_stored, banks)
        )
        if not known:
            raise _unknown(exception_id)
        return Response(status_code=204)

    return router


_TRIED: dict[str, Any] = {
    "model": AddedException,
    "description": "With `dry_run`: nothing was stored.",
}
_DELETED: dict[str, Any] = {"description": "The exception is deleted."}


def _unknown(exception_id: int) -> ApiError:
    return ApiError(
        404, "unknown_exception", f"no exception {exception_id}; /v1/exceptions lists them"
    )
