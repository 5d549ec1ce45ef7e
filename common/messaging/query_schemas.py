"""The vectors of a query as a msgpack map, whole or in pieces: see `event_schemas`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.messaging.codec import (
    BYTES,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    Field,
    Fields,
    Schema,
    array_of,
    bytes_of,
)
from common.types import VECTOR_DIMENSION, BoolArray, Float32Array, QueryEmbedding


@dataclass(frozen=True, slots=True)
class QueryPiece:
    """A query, or a piece of one, of which only the vectors that are not zero are written."""

    query: QueryEmbedding


def _said_to(query: QueryEmbedding) -> Fields:
    return {
        "uri": query.uri,
        "duration_seconds": query.duration_seconds,
        "model_id": query.model_id,
        "views": list(query.views),
        "windows": len(query.window_start_seconds),
        "window_start_seconds": bytes_of(query.window_start_seconds),
        "window_end_seconds": bytes_of(query.window_end_seconds),
    }


def _query_to(query: QueryEmbedding) -> Fields:
    return {
        **_said_to(query),
        "vectors": bytes_of(query.vectors),
        "informative": np.packbits(query.informative).tobytes(),
        # Omitted if nothing is damaged, so such a query keeps its bytes.
        **({"damaged": query.damaged} if query.damaged else {}),
    }


def _informative(fields: Fields) -> BoolArray:
    """bool (V, W)."""
    views, windows = len(fields["views"]), fields["windows"]
    bits = np.frombuffer(fields["informative"], dtype=np.uint8)
    if len(bits) != -(-views * windows // 8):
        raise ValueError(f"informative: expected {views * windows} bits, got {len(bits)} bytes")
    return np.unpackbits(bits, count=views * windows).astype(bool).reshape(views, windows)


def _read_query(
    fields: Fields, vectors: Float32Array, informative: BoolArray, number: int, pieces: int
) -> QueryEmbedding:
    windows = fields["windows"]
    return QueryEmbedding(
        uri=fields["uri"],
        duration_seconds=float(fields["duration_seconds"]),
        model_id=fields["model_id"],
        views=tuple(fields["views"]),
        window_start_seconds=array_of(fields["window_start_seconds"], "float64", (windows,)),
        window_end_seconds=array_of(fields["window_end_seconds"], "float64", (windows,)),
        vectors=vectors,
        informative=informative,
        damaged=fields["damaged"],
        number=number,
        pieces=pieces,
    )


def _query_from(fields: Fields) -> QueryEmbedding:
    shape = (len(fields["views"]), fields["windows"], VECTOR_DIMENSION)
    informative = _informative(fields)
    return _read_query(fields, array_of(fields["vectors"], "float32", shape), informative, 1, 1)


def _piece_to(piece: QueryPiece) -> Fields:
    query = piece.query
    return {
        **_said_to(query),
        "vectors": bytes_of(query.vectors[query.informative]),
        "informative": np.packbits(query.informative).tobytes(),
        "damaged": query.damaged,
        "number": query.number,
        "pieces": query.pieces,
    }


def _piece_from(fields: Fields) -> QueryPiece:
    informative = _informative(fields)
    shape = (int(informative.sum()), VECTOR_DIMENSION)
    rows = array_of(fields["vectors"], "float32", shape)
    vectors = np.zeros((*informative.shape, VECTOR_DIMENSION), dtype=np.float32)
    vectors[informative] = rows
    query = _read_query(fields, vectors, informative, fields["number"], fields["pieces"])
    return QueryPiece(query)


_QUERY_FIELDS = (
    Field("uri", TEXT, "Name of the query."),
    Field("duration_seconds", NUMBER, "Length of the query."),
    Field("model_id", TEXT, "The model that made the vectors."),
    Field("views", TEXTS, "Names of the V views, all different."),
    Field("windows", WHOLE, "W, the number of windows."),
    Field("window_start_seconds", BYTES, "float64 (W,), little-endian."),
    Field("window_end_seconds", BYTES, "float64 (W,), little-endian."),
)
_INFORMATIVE = Field(
    "informative", BYTES, "V x W bits, the most significant bit of a byte first, padded with 0."
)
_DAMAGED = "Which part of the query could not be decoded, in words, or empty."
QUERIES = (
    Schema(
        "query",
        1,
        QueryEmbedding,
        (
            *_QUERY_FIELDS,
            Field("vectors", BYTES, "float32 (V, W, 527), little-endian."),
            _INFORMATIVE,
            Field("damaged", TEXT, _DAMAGED, default=""),
        ),
        _query_to,
        _query_from,
    ),
    Schema(
        "query-piece",
        1,
        QueryPiece,
        (
            *_QUERY_FIELDS,
            Field(
                "vectors",
                BYTES,
                "float32 (n, 527), little-endian: of the n windows that are informative, in the order "
                "of their bits.",
            ),
            _INFORMATIVE,
            Field("damaged", TEXT, _DAMAGED),
            Field("number", WHOLE, "Which piece of the query this is, from 1."),
            Field("pieces", WHOLE, "Number of pieces; they come one after the other."),
        ),
        _piece_to,
        _piece_from,
    ),
)
