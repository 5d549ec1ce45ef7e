"""`POST /v1/search`: the nearest segments of vectors.

This is the hot path. A search that is known to be short runs in the event loop, because a thread would
cost as much again, together with those that arrived at the same time (`joint_searches`); longer ones wait
for one of two threads. Each request has a time limit, and the caller
may set a shorter one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from common.cancellation import Cancellation
from common.errors import ModelMismatchError, UsageError
from common.http.direct_routes import DirectRoute
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError
from common.http.load_shedding import LoadShedder
from common.http.openapi import DocumentedApp
from common.http.query_parameters import parameter
from common.http.request_facts import facts_of, header_of, is_alone
from common.http.request_metrics import QueueMetrics
from common.http.roles import needs
from common.metrics import Metrics
from common.slices import slices
from common.state.curation import NOTHING, Curation
from common.state.roles import Role
from common.types import VECTOR_DIMENSION, Float32Array
from searcher.api.banks import BANK, banks_of, check_banks
from searcher.api.search.joint_searches import JointSearches
from searcher.api.search.query_vectors import MAX_VECTORS, read_vectors
from searcher.api.search.schemas import TIMEOUT_HEADER, SearchAnswer, SearchBody
from searcher.curation.scope_and_policy import filter_of
from searcher.index.hit_fields import HitFields
from searcher.index.state import EVERYTHING, Filter
from searcher.serving import Catalogue, ServingIndex
from searcher.video_index import VideoIndex

MAX_K, DEFAULT_K = 1000, 10
# Hits in one answer: as JSON some 6 MB.
MAX_HITS = 20_000
MAX_TIMEOUT_MS = 60_000
_TIMEOUT_HEADER = TIMEOUT_HEADER.lower().encode()
# Up to about a millisecond of search the event loop does it itself.
_INLINE_WORK = 512
# Steps of a search whose graph needs fewer candidates: what else a search does.
_LEAST_STEPS = 32
# As many rows compared one by one take as long as one step of a beam.
_ROWS_A_STEP = 50
_AT_WORK, _WAITING = 2, 64
# Vectors that are searched before a thread looks whether its caller still waits.
_VECTORS_AT_ONCE = 256

_DOCUMENTED: dict[str, Any] = {
    "parameters": [
        parameter(
            "k",
            {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": DEFAULT_K},
            f"Segments per query vector; vectors x k is at most {MAX_HITS:,}.",
        ),
        BANK,
        parameter(
            "model_id", {"type": "string"}, "Respond with 409 if the index is of another model."
        ),
        {
            "name": TIMEOUT_HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
            "description": "Milliseconds from the head of the request, after which the response is 504.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": (
                        f"float32, little-endian, shape (n, {VECTOR_DIMENSION}), unit norm, n "
                        f"up to {MAX_VECTORS}."
                    ),
                }
            },
            "application/json": {"schema": SearchBody.model_json_schema()},
        },
    },
}


def add_search(
    app: DocumentedApp,
    catalogue: Catalogue,
    metrics: Metrics,
    curation: Callable[[], Curation] = lambda: NOTHING,
) -> None:
    """Add the route, for the index that answers now. curation: what people have set."""
    load_shedder = LoadShedder(
        _AT_WORK, _WAITING, retry_seconds=1, status=429, measured=QueueMetrics(metrics, "search")
    )
    joint_searches = JointSearches()

    async def search(request: Request) -> Response:
        """Search the nearest indexed segments of each query vector."""
        limit_ms = _timeout_ms(request)
        if limit_ms is None:
            return await answer(request)
        async with _within(limit_ms):
            return await answer(request)

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        k, only, model_id = _parameters(request)
        vectors = await read_vectors(request)
        if len(vectors) * k > MAX_HITS:
            raise UsageError(
                f"vectors x k: expected at most {MAX_HITS:,} hits per response, got "
                f"{len(vectors)} x {k}; ask for fewer per vector, or send several requests"
            )
        answering = catalogue.current()
        await check_banks(request, only.banks, answering.index.videos, curation())
        only = filter_of(curation(), only.banks)
        if model_id and model_id != answering.model_id:
            raise ModelMismatchError(
                f"the vectors are of model {model_id}, the index of {answering.model_id}"
            )
        most = _most_at_once(answering.index, k)
        # A search in few rows may take many times as long.
        if only is EVERYTHING and len(vectors) <= most:
            with metrics.search_duration_seconds.time():
                alone = is_alone(request.scope)
                hits = await joint_searches.search(answering.index, vectors, k, most, alone=alone)
            found = _body(answering, hits)
        else:
            work = partial(_search, answering, vectors, k, only, metrics)
            async with _within(MAX_TIMEOUT_MS):
                found = await load_shedder.answer(request, work)
        metrics.query_duration_seconds.observe(time.perf_counter() - started)
        return Response(found, media_type="application/json")

    path = "/v1/search"
    app.add_api_route(
        path,
        search,
        methods=["POST"],
        dependencies=needs(Role.READER, quota="query"),
        tags=["search"],
        openapi_extra=_DOCUMENTED,
        responses={200: {"model": SearchAnswer}, **ERRORS},
    )
    route = app.routes[-1]
    assert isinstance(route, APIRoute)
    app.direct["POST", path] = DirectRoute(route, search)


def _most_at_once(index: VideoIndex, k: int) -> int:
    """Vectors that the event loop can search at once; 0 for another machine, whose answer is never waited
    for there."""
    if not index.in_process:
        return 0
    return _INLINE_WORK // (max(k, index.candidates, _LEAST_STEPS) + index.waiting // _ROWS_A_STEP)


def _search(
    answering: ServingIndex,
    vectors: Float32Array,
    k: int,
    only: Filter,
    metrics: Metrics,
    cancellation: Cancellation,
) -> bytes:
    """The body of the answer. Raises CancelledError between two parts of a large search."""
    started = time.perf_counter()
    found: list[list[HitFields]] = []
    for some in slices(vectors, _VECTORS_AT_ONCE):
        cancellation.check()
        found += answering.index.search_fields(some, k, only)
    metrics.search_duration_seconds.observe(time.perf_counter() - started)
    return _body(answering, found)


def _body(answering: ServingIndex, found: list[list[HitFields]]) -> bytes:
    return orjson.dumps(
        {"model_id": answering.model_id, "generation": answering.generation, "items": found}
    )


@asynccontextmanager
async def _within(limit_ms: int) -> AsyncIterator[None]:
    """Ends the block after this time. Raises ApiError (504)."""
    try:
        async with asyncio.timeout(limit_ms / 1000) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise ApiError(
            504,
            "deadline_exceeded",
            f"no answer within {limit_ms} ms; allow more ({TIMEOUT_HEADER}, up to "
            f"{MAX_TIMEOUT_MS}), or ask for fewer vectors",
            close=True,
        ) from None


def _timeout_ms(request: Request) -> int | None:
    """What the caller allows, if it says so. Raises UsageError."""
    text = header_of(request.scope, _TIMEOUT_HEADER)
    if text is None:
        return None
    given = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= given <= MAX_TIMEOUT_MS:
        raise UsageError(
            f"{TIMEOUT_HEADER}: expected a whole number from 1 to {MAX_TIMEOUT_MS}, got {text[:20]!r}"
        )
    return given


def _parameters(request: Request) -> tuple[int, Filter, str]:
    if not request.scope["query_string"] and facts_of(request.scope).caller.banks is None:
        return DEFAULT_K, EVERYTHING, ""
    given = request.query_params
    text = given.get("k", str(DEFAULT_K))
    k = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= k <= MAX_K:
        raise UsageError(f"k: expected a whole number from 1 to {MAX_K}, got {text[:20]!r}")
    banks = banks_of(request)
    return k, EVERYTHING if banks is None else Filter(banks), given.get("model_id", "")
