"""`/v1/generations`: indexes of one catalogue made by different models, one of which answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.load_shedding import LoadShedder
from common.http.request_body import documented_body, no_body, read_model
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.state.roles import Role
from searcher.api.maintenance.generation_schemas import (
    GenerationItem,
    GenerationName,
    GenerationPage,
)

Result = TypeVar("Result")
_MAX_JSON_BYTES = 1 << 12
# Following and dropping one opens and closes an index: one after the other.
_AT_WORK, _WAITING = 1, 8


class Generations(Protocol):
    """Follows and activates generations. A generation is described like in GenerationItem."""

    def generations(self) -> Sequence[dict[str, Any]]: ...

    def follow(self, name: str) -> dict[str, Any]: ...

    def activate(self, name: str) -> dict[str, Any]: ...

    def drop(self, name: str) -> None: ...


def generations_router(generations: Generations) -> APIRouter:
    """The routes. The first generation's name is empty."""
    router = APIRouter(tags=["generations"])
    changes = LoadShedder(_AT_WORK, _WAITING)

    async def changed(request: Request, change: Callable[[], Result]) -> Result:
        return await changes.answer(request, lambda _: change())

    async def named(request: Request) -> str:
        name = (await read_model(request, GenerationName, _MAX_JSON_BYTES)).generation
        facts_of(request.scope).target = name
        return name

    @router.get(
        "/v1/generations",
        dependencies=needs(Role.READER, all_banks=True),
        responses={200: {"model": GenerationPage}, **ERRORS},
    )
    def list_generations() -> Response:
        """List the generations that the searcher follows."""
        return json_response({"items": generations.generations(), "next_cursor": None})

    @router.post(
        "/v1/generations",
        status_code=201,
        dependencies=needs(Role.ADMIN, change="generations.follow", all_banks=True),
        openapi_extra=documented_body(GenerationName),
        responses={201: {"model": GenerationItem}, **ERRORS},
    )
    async def follow(request: Request) -> Response:
        """Follow another generation: its log is read into an index of its own. One that is followed
        already stays as it is."""
        name = await named(request)
        return json_response(await changed(request, lambda: generations.follow(name)), 201)

    @router.post(
        "/v1/generations/activate",
        dependencies=needs(Role.ADMIN, change="generations.activate", all_banks=True),
        openapi_extra=documented_body(GenerationName),
        responses={200: {"model": GenerationItem}, **ERRORS},
    )
    async def activate(request: Request) -> Response:
        """Activate a generation: it answers queries from the next one on. The previous generation is
        still followed."""
        name = await named(request)
        return json_response(await changed(request, lambda: generations.activate(name)))

    @router.delete(
        "/v1/generations/{name}",
        status_code=204,
        dependencies=needs(Role.ADMIN, change="generations.drop", all_banks=True),
        responses={204: _DROPPED, **ERRORS},
    )
    async def drop(name: str, request: Request) -> Response:
        """Stop following a generation and delete its index."""
        await no_body(request)
        await changed(request, lambda: generations.drop(name))
        return Response(status_code=204)

    return router


_DROPPED: dict[str, Any] = {"description": "The index is deleted; the topics are kept."}
