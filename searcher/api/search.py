"""`POST /v1/search`: the nearest segments of vectors. This is the hot path, so it does only what is
needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import request_response

from common.errors import ModelMismatchError, UsageError
from common.http.load_shedding import LoadShedder
from common.http.request_body import JSON_TYPE, parsed, read_bytes, unsupported
from common.http.request_facts import facts_of
from common.http.request_metrics import QueueMetrics
from common.http.roles import needs
from common.metrics import Metrics
from common.state.curation import NOTHING, Curation
from common.state.roles import Role
from common.types import VECTOR_DIMENSION, Float32Array, Hit
from searcher.api.banks import banks_of, check_banks
from searcher.api.protocols import Catalogue, ServingIndex
from searcher.api.schemas import BANK, ERRORS, SearchAnswer, SearchBody, parameter
from searcher.index.state import EVERYTHING, Filter
from searcher.review.curated import filter_of

MAX_VECTORS, MAX_K, DEFAULT_K = 1024, 1000, 10
# As JSON a vector is ten times as long, and parsing holds up everything else.
MAX_JSON_VECTORS = 64
# Hits in one answer: as JSON some 6 MB.
MAX_HITS = 20_000
_NORM_TOLERANCE = 1e-3
_VECTOR_BYTES = 4 * VECTOR_DIMENSION
# A number of a JSON vector with all its digits takes no more than this.
_MAX_JSON_BYTES = MAX_JSON_VECTORS * VECTOR_DIMENSION * 28
_RAW_TYPE = "application/octet-stream"
# Up to about a millisecond of search the event loop does it itself: a thread would cost as much again.
_INLINE_WORK = 512
_USUAL_BEAM = 64
# As many rows compared one by one take as long as one step of a beam.
_ROWS_A_STEP = 50
_AT_WORK, _WAITING = 2, 64

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


class _BareRoute(APIRoute):
    """Documented as every route, but called without FastAPI's reading of parameters and bodies, which
    costs a fifth of a search. The role is checked all the same."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        checks = [given.dependency for given in self.dependencies if given.dependency]

        async def checked(request: Request) -> Response:
            for check in checks:
                await check(request)
            return await endpoint(request)

        self.app = request_response(checked)


def add_search(
    app: FastAPI,
    catalogue: Catalogue,
    metrics: Metrics,
    curation: Callable[[], Curation] = lambda: NOTHING,
) -> None:
    """Add the route, for the index that answers now. curation: what people have set."""
    load_shedder = LoadShedder(_AT_WORK, _WAITING, measured=QueueMetrics(metrics, "search"))

    async def search(request: Request) -> Response:
        """Search the nearest indexed segments of each query vector."""
        started = time.perf_counter()
        k, only, model_id = _parameters(request)
        vectors = await _read_vectors(request)
        if len(vectors) * k > MAX_HITS:
            raise UsageError(
                f"vectors x k: expected at most {MAX_HITS:,} hits per response, got "
                f"{len(vectors)} x {k}; ask for fewer per vector, or send several requests"
            )
        answering = catalogue.current()
        check_banks(request, only.banks, answering.index.videos, curation())
        only = filter_of(curation(), only.banks)
        if model_id and model_id != answering.model_id:
            raise ModelMismatchError(
                f"the vectors are of model {model_id}, the index of {answering.model_id}"
            )
        work = partial(_search, answering, vectors, k, only, metrics)
        # A search in few rows may take many times as long.
        steps = max(k, _USUAL_BEAM) + answering.index.waiting // _ROWS_A_STEP
        if only is EVERYTHING and len(vectors) * steps <= _INLINE_WORK:
            answer = work()
        else:
            answer = await load_shedder.answer(request, lambda _: work())
        metrics.query_duration_seconds.observe(time.perf_counter() - started)
        return Response(answer, media_type="application/json")

    app.router.add_api_route(
        "/v1/search",
        search,
        methods=["POST"],
        dependencies=needs(Role.READER),
        tags=["search"],
        openapi_extra=_DOCUMENTED,
        responses={200: {"model": SearchAnswer}, **ERRORS},
        route_class_override=_BareRoute,
    )


def _search(
    answering: ServingIndex, vectors: Float32Array, k: int, only: Filter, metrics: Metrics
) -> bytes:
    started = time.perf_counter()
    found = answering.index.search(vectors, k, only)
    metrics.search_duration_seconds.observe(time.perf_counter() - started)
    return orjson.dumps(
        {
            "model_id": answering.model_id,
            "generation": answering.generation,
            "items": [[_hit(hit) for hit in hits] for hits in found],
        }
    )


def _hit(hit: Hit) -> dict[str, object]:
    ref = hit.ref
    return {
        "segment_id": ref.segment_id,
        "video_id": ref.video_id,
        "bank": ref.bank,
        "start_seconds": ref.start_seconds,
        "end_seconds": ref.end_seconds,
        "version": ref.version,
        "score": hit.score,
    }


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


async def _read_vectors(request: Request) -> Float32Array:
    """float32 (n, 527) of the body, each of unit norm. Raises UsageError, ApiError (408, 413, 415)."""
    kind = request.headers.get("content-type", "")
    if kind != _RAW_TYPE:
        kind = kind.partition(";")[0].strip().lower()
    if kind == _RAW_TYPE:
        vectors = _from_bytes(await read_bytes(request, MAX_VECTORS * _VECTOR_BYTES))
    elif kind == JSON_TYPE:
        vectors = await parsed(await read_bytes(request, _MAX_JSON_BYTES), _from_json)
    else:
        raise unsupported(kind, f"{_RAW_TYPE} or {JSON_TYPE}")
    # Not a number in, not a number out: the norms are finite only when everything is.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
        # Within 0.001 of 1, to first order.
        unit = np.abs(squares - 1.0) <= 2 * _NORM_TOLERANCE
    if not unit.all():
        raise _not_unit(squares)
    return vectors


def _not_unit(squares: Float32Array) -> UsageError:
    if not np.isfinite(squares).all():
        return UsageError(
            "vectors: expected finite numbers; at least one is not, or is far too large"
        )
    worst = int(np.argmax(np.abs(squares - 1.0)))
    return UsageError(
        f"vectors: expected unit norm (within {_NORM_TOLERANCE}), vector {worst} has "
        f"norm {math.sqrt(squares[worst]):.4g}"
    )


def _from_bytes(body: bytes) -> Float32Array:
    if not body or len(body) % _VECTOR_BYTES:
        raise UsageError(
            f"the body: expected n x {VECTOR_DIMENSION} little-endian float32 numbers, "
            f"n x {_VECTOR_BYTES} bytes with n from 1 to {MAX_VECTORS}, got {len(body)} bytes"
        )
    vectors = np.frombuffer(body, dtype="<f4").reshape(-1, VECTOR_DIMENSION)
    return vectors.astype(np.float32, copy=False)


def _from_json(body: bytes) -> Float32Array:
    """The shape is checked before anything is made of it."""
    # Vectors have a bracket each, and one around them.
    if body.count(b"[") > MAX_JSON_VECTORS + 1:
        raise _no_vectors(f"got more than {MAX_JSON_VECTORS} lists")
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _no_vectors(f"got no JSON: {error}") from None
    if not isinstance(given, dict) or given.keys() != {"vectors"}:
        raise _no_vectors("got something else")
    rows = given["vectors"]
    if not isinstance(rows, list) or not rows:
        raise _no_vectors("got no list of vectors, or an empty one")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != VECTOR_DIMENSION:
            raise _no_vectors(f"vector {number} is something else")
        # A bool is an int to Python, and a text with digits a number to numpy.
        if not set(map(type, row)) <= {int, float}:
            raise _no_vectors(f"vector {number} holds something that is no number")
    with np.errstate(over="ignore"):
        return np.asarray(rows, dtype=np.float32)


def _no_vectors(why: str) -> UsageError:
    return UsageError(
        f'the body: expected {{"vectors": [[{VECTOR_DIMENSION} numbers], ...]}} with up to '
        f"{MAX_JSON_VECTORS} vectors (send more as {_RAW_TYPE}), {why}"
    )
