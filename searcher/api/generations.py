"""`/v1/generations`: indexes of one catalogue made by different models, one of which answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fastapi import APIRouter
from starlette.responses import Response

from common.http import json_response
from searcher.api.schemas import ERRORS, GenerationItem, GenerationName, GenerationPage


class Generations(Protocol):
    """What follows and swaps them. A generation is told as GenerationItem describes it."""

    def generations(self) -> Sequence[dict[str, Any]]: ...

    def follow(self, name: str) -> dict[str, Any]: ...

    def activate(self, name: str) -> dict[str, Any]: ...

    def drop(self, name: str) -> None: ...


def generations_router(generations: Generations) -> APIRouter:
    """The routes. The first generation's name is empty."""
    router = APIRouter(tags=["generations"])

    @router.get("/v1/generations", responses={200: {"model": GenerationPage}, **ERRORS})
    def list_generations() -> Response:
        """Every generation that is followed."""
        return json_response({"items": generations.generations(), "next_cursor": None})

    @router.post(
        "/v1/generations", status_code=201, responses={201: {"model": GenerationItem}, **ERRORS}
    )
    def follow(told: GenerationName) -> Response:
        """Follow a further generation: its log is read into an index of its own."""
        return json_response(generations.follow(told.generation), 201)

    @router.post("/v1/generations/activate", responses={200: {"model": GenerationItem}, **ERRORS})
    def activate(told: GenerationName) -> Response:
        """Have a generation answer, from the next query on; the one before is kept for the way back."""
        return json_response(generations.activate(told.generation))

    @router.delete("/v1/generations/{name}", status_code=204, responses={204: _DROPPED, **ERRORS})
    def drop(name: str) -> Response:
        """Follow a generation no more and delete its index."""
        generations.drop(name)
        return Response(status_code=204)

    return router


_DROPPED: dict[str, Any] = {"description": "Its index is gone; its topics stay."}
