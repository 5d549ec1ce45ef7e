"""The query vectors in the body of `POST /v1/search`."""

from __future__ import annotations

import math

import numpy as np
import orjson
from fastapi import Request

from common.errors import UsageError
from common.http.request_body import JSON_TYPE, parsed, read_bytes, unsupported
from common.http.request_facts import header_of
from common.types import VECTOR_DIMENSION, Float32Array

MAX_VECTORS = 1024
RAW_TYPE = "application/octet-stream"
# As JSON a vector is ten times as long, and parsing holds up everything else.
MAX_JSON_VECTORS = 64
_NORM_TOLERANCE = 1e-3
# That of the squared norm, to first order.
_SQUARE_TOLERANCE = 2 * _NORM_TOLERANCE
_VECTOR_BYTES = 4 * VECTOR_DIMENSION
# A number of a JSON vector with all its digits takes no more than this.
_MAX_JSON_BYTES = MAX_JSON_VECTORS * VECTOR_DIMENSION * 28


async def read_vectors(request: Request) -> Float32Array:
    """float32 (n, 527) of the body, each of unit norm. Raises UsageError, ApiError (408, 413, 415)."""
    kind = header_of(request.scope, b"content-type") or ""
    if kind != RAW_TYPE:
        kind = kind.partition(";")[0].strip().lower()
    if kind == RAW_TYPE:
        vectors = _from_bytes(await read_bytes(request, MAX_VECTORS * _VECTOR_BYTES))
    elif kind == JSON_TYPE:
        vectors = await parsed(await read_bytes(request, _MAX_JSON_BYTES), vectors_from_json)
    else:
        raise unsupported(kind, f"{RAW_TYPE} or {JSON_TYPE}")
    # Not a number in, not a number out: the norms are finite only when everything is.
    with np.errstate(over="ignore", invalid="ignore"):
        if len(vectors) == 1:
            # The usual request, in fewer steps.
            square = float(np.dot(vectors[0], vectors[0]))
            if abs(square - 1.0) <= _SQUARE_TOLERANCE:
                return vectors
        squares = np.einsum("ij,ij->i", vectors, vectors)
        unit = np.abs(squares - 1.0) <= _SQUARE_TOLERANCE
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


def vectors_from_json(body: bytes) -> Float32Array:
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
        f"{MAX_JSON_VECTORS} vectors (send more as {RAW_TYPE}), {why}"
    )
