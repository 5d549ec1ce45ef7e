#!/usr/bin/env python3
"""Write one made-up value of every kind of message to tests/contract/wire.

python -m scripts.make_wire_golden

A file that is there and differs is not touched: what has been released stays readable, so a change of
bytes is a new version of its schema, and a new file.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.messaging.codec import Schema
from common.messaging.event_schemas import EVENTS
from common.messaging.events import (
    Deletion,
    Event,
    LogModel,
    MatchEvent,
    SegmentFailed,
    VideoEnd,
    segments_digest,
)
from common.messaging.query_schemas import QUERIES, QueryPiece
from common.thumbnails import Thumbnail, pack_thumbnails
from common.types import (
    FRAME_CODE_SIZE,
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    CatalogEntry,
    Embedding,
    QueryEmbedding,
    Segment,
    SegmentRef,
)

FOLDER = Path(__file__).parents[1] / "tests" / "contract" / "wire"

_REF = SegmentRef("films/ä film.mp4", 4.0, 8.5, version=1_700_000_000_123, bank="news")
_MODEL_ID = "offline-0123456789ab"
_VECTOR = np.zeros(VECTOR_DIMENSION, dtype=np.float32)
# Halves and quarters are the same bits on every machine.
_VECTOR[[0, 1, 511, 526]] = (0.5, -0.5, 0.5, -0.5)
_WINDOWS = np.array([0.0, 2.0, 4.0])

EVENT_SAMPLES: tuple[Event, ...] = (
    Segment(_REF, b"\x00\x00\x00\x18ftypmp42 made up \xff"),
    Embedding(
        _REF,
        _VECTOR,
        (np.arange(GRAPH_DIMENSION) / 8).astype(np.float32),
        informative=True,
        model_id=_MODEL_ID,
        frames=(np.arange(2 * FRAME_CODE_SIZE) - 64).astype(np.int8).reshape(2, FRAME_CODE_SIZE),
        thumbnails=pack_thumbnails(
            [Thumbnail(at, b"RIFF\x04\x00\x00\x00WEBP made up") for at in (4.0, 4.5)]
        ),
    ),
    VideoEnd(
        CatalogEntry(
            _REF.video_id,
            "/archive/films/ä film.mp4",
            _REF.bank,
            "Ein Film",
            {"rights": "ours", "number": 2**70, "tags": ["a", None, 1.5]},
        ),
        _REF.version,
        "complete",
        duration_seconds=8.5,
        segments=2,
        error_code="damaged",
        error_message="3 frames are damaged",
        segments_digest=segments_digest(["films/ä film.mp4@0-4000", "films/ä film.mp4@4000-8500"]),
        origin="archive-1/0123456789ab",
    ),
    SegmentFailed(_REF, "unreadable"),
    Deletion(_REF.video_id, _REF.version + 1),
    LogModel(_MODEL_ID),
    MatchEvent(
        _REF.video_id,
        _REF.version,
        {
            "schema_version": 2,
            "query": {"uri": "films/ä film.mp4", "duration_seconds": 8.5},
            "model_id": _MODEL_ID,
            "decision": "copy",
            "matches": [{"video_id": "older.mp4", "probability": 0.75, "evidence": {"hits": 7}}],
            "candidates": [{"video_id": "other.mp4", "probability": 0.0625, "evidence": {}}],
        },
    ),
)
QUERY_SAMPLE = QueryEmbedding(
    uri="upload.mp4",
    duration_seconds=8.5,
    model_id=_MODEL_ID,
    views=("identity", "mirrored"),
    window_start_seconds=_WINDOWS,
    window_end_seconds=_WINDOWS + 4,
    vectors=np.stack([np.stack([_VECTOR, -_VECTOR, _VECTOR * 0]), np.stack([_VECTOR] * 3)]),
    informative=np.array([[True, True, False], [True, True, True]]),
    damaged="3 frames are damaged",
)
_SHOWN = np.where(QUERY_SAMPLE.informative[:, :, None], QUERY_SAMPLE.vectors, np.float32(0))
PIECE_SAMPLE = QueryPiece(replace(QUERY_SAMPLE, vectors=_SHOWN, number=2, pieces=3))
SAMPLES = (*EVENT_SAMPLES, QUERY_SAMPLE, PIECE_SAMPLE)


# A field with a default joins a version that stays: its sample is written anew under another name, and
# the one before it lies there for good.
_JOINED = {
    ("embedding", 1): "-thumbnails",
    ("video-end", 1): "-digest",
    ("query", 1): "-damaged",
    ("match", 1): "-candidates",
}
EARLIER = (
    *("embedding-1.msgpack", "embedding-1-frames.msgpack"),
    *("video-end-1.msgpack", "query-1.msgpack", "match-1.msgpack"),
)


def golden_path(schema: Schema) -> Path:
    """Where the value of one version of a schema lies, with every field it has."""
    joined = _JOINED.get((schema.name, schema.version), "")
    return FOLDER / f"{schema.name}-{schema.version}{joined}.msgpack"


def newest(value: object) -> Schema:
    """The schema a value is written with."""
    of_type = [schema for schema in (*EVENTS, *QUERIES) if schema.type is type(value)]
    return max(of_type, key=lambda schema: schema.version)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    changed = 0
    for value in SAMPLES:
        schema = newest(value)
        path, data = golden_path(schema), schema.pack(value)
        if not path.exists():
            path.write_bytes(data)
            print(f"{path.name}: {len(data)} bytes")
        elif path.read_bytes() != data:
            changed += 1
            print(
                f"{path.name} differs: raise the version of schema {schema.name}, see docs/wire.md"
            )
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
