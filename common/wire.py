"""Events as messages, and back: msgpack maps with a schema and its version.

docs/wire.md describes every field; tests/contract/wire holds one message of each kind, byte for byte.
A field a reader may do without is added under the same version; any other change raises it. A version
this code does not know is refused, never guessed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import msgpack
import numpy as np

from common.errors import SchemaVersionError, WireError
from common.events import Deletion, Event, HeldModel, MatchEvent, SegmentFailed, VideoEnd
from common.transport import Headers, Message, Received
from common.types import (
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    Array,
    CatalogEntry,
    Embedding,
    Float32Array,
    QueryEmbedding,
    Segment,
    SegmentRef,
)

Fields: TypeAlias = Mapping[str, Any]
# A message's key in the log when it is about the log itself; segment ids end in digits.
MODEL_KEY = b"@model"


def _new_trace() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with what its headers say: when its segment was produced (Unix seconds), and the trace
    it belongs to."""

    event: Event
    produced_at: float = field(default_factory=time.time)
    trace_id: str = field(default_factory=_new_trace)

    def about(self, event: Event) -> Envelope:
        """Another event that follows from this one."""
        return Envelope(event, self.produced_at, self.trace_id)


@dataclass(frozen=True, slots=True)
class _Schema:
    name: str
    version: int
    to_fields: Callable[[Any], Fields]
    from_fields: Callable[[Fields], Any]


def to_message(topic: str, envelope: Envelope) -> Message:
    """An event as it goes to a topic. All messages of a video lie in one partition."""
    event = envelope.event
    schema = _SCHEMAS[type(event)]
    headers: Headers = (
        ("schema", f"{schema.name}/{schema.version}".encode()),
        ("produced-at", repr(envelope.produced_at).encode()),
        ("trace-id", envelope.trace_id.encode()),
    )
    if isinstance(event, Embedding):
        headers = (*headers, ("model-id", event.model_id.encode()))
    partition_key = _video_of(event).encode()
    key = partition_key if isinstance(event, Segment) else log_key(event)
    # The model is told where a reader begins.
    partition = 0 if isinstance(event, HeldModel) else None
    return Message(topic, key, _pack(schema, event), headers, partition_key, partition)


def log_key(event: Event) -> bytes:
    """What names an event in the log. The version is part of it: compaction must never let a late
    message of an older version take the place of a newer one."""
    if isinstance(event, HeldModel):
        return MODEL_KEY
    if isinstance(event, (Embedding, SegmentFailed)):
        return segment_key(event.ref)
    if isinstance(event, Deletion):
        return f"{event.video_id}@deleted".encode()
    return video_key(_video_of(event), event.version if isinstance(event, VideoEnd) else 0)


def segment_key(ref: SegmentRef) -> bytes:
    """The key of one version of a segment in the log."""
    return f"{ref.segment_id}#{ref.version}".encode()


def video_key(video_id: str, version: int) -> bytes:
    """The key of the end of one version of a video in the log."""
    return f"{video_id}@v{version}".encode()


def tombstone(topic: str, key: bytes, video_id: str) -> Message:
    """Has compaction forget a key of this video."""
    return Message(topic, key, None, partition_key=video_id.encode())


def from_message(received: Received) -> Envelope:
    """The event in a message. Raises WireError, or SchemaVersionError for a newer one."""
    event = _unpack(received.value or b"")
    try:
        produced_at = float(received.header("produced-at") or b"nan")
    except ValueError:
        raise WireError("header produced-at: expected Unix seconds") from None
    trace = (received.header("trace-id") or b"").decode("ascii", "replace") or _new_trace()
    return Envelope(event, produced_at if produced_at == produced_at else time.time(), trace)


def encode_query(query: QueryEmbedding) -> bytes:
    """An embedded query, as `POST /v1/embed` answers it."""
    return _pack(_QUERY, query)


def decode_query(data: bytes) -> QueryEmbedding:
    """The reverse. Raises WireError."""
    query = _unpack(data)
    if not isinstance(query, QueryEmbedding):
        raise WireError(f"expected an embedded query, got {type(query).__name__}")
    return query


def encode_event(event: Event) -> bytes:
    """An event's value alone, for keeping it."""
    return _pack(_SCHEMAS[type(event)], event)


def decode_event(data: bytes) -> Any:
    """The reverse. Raises WireError."""
    return _unpack(data)


def _pack(schema: _Schema, value: Any) -> bytes:
    fields = {"schema": schema.name, "schema_version": schema.version, **schema.to_fields(value)}
    packed: bytes = msgpack.packb(fields)
    return packed


def _unpack(data: bytes) -> Any:
    try:
        fields = msgpack.unpackb(data)
        name, version = fields["schema"], fields["schema_version"]
    except (ValueError, KeyError, TypeError, msgpack.exceptions.UnpackException):
        raise WireError(
            "not a message of StoryHash: expected a msgpack map with a schema"
        ) from None
    schema = _BY_NAME.get(name) if isinstance(name, str) else None
    if schema is None:
        raise WireError(f"unknown schema {name!r}; known are {', '.join(_BY_NAME)}")
    if version != schema.version:
        raise SchemaVersionError(
            f"schema {name} has version {version!r}, this version of StoryHash knows {schema.version}; "
            "update the service, then replay the message"
        )
    try:
        return schema.from_fields(fields)
    except KeyError as error:
        raise WireError(f"{name}: field {error} is missing") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise WireError(f"{name}: {error}") from None


def _video_of(event: Event) -> str:
    if isinstance(event, (Segment, Embedding, SegmentFailed)):
        return event.ref.video_id
    return "" if isinstance(event, HeldModel) else event.video_id


def _ref_to(ref: SegmentRef) -> Fields:
    return {
        "video_id": ref.video_id,
        "start_seconds": ref.start_seconds,
        "end_seconds": ref.end_seconds,
        "version": ref.version,
        "bank": ref.bank,
    }


def _ref_from(fields: Fields) -> SegmentRef:
    return SegmentRef(
        str(fields["video_id"]),
        float(fields["start_seconds"]),
        float(fields["end_seconds"]),
        int(fields["version"]),
        str(fields["bank"]),
    )


def _floats(values: Array) -> bytes:
    """Little-endian, whatever the machine."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _array(data: Any, dtype: str, shape: tuple[int, ...]) -> Array:
    flat = np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<"))
    return flat.astype(dtype, copy=False).reshape(shape)


def _vector(data: Any, width: int) -> Float32Array:
    return _array(data, "float32", (width,))


def _embedding_to(one: Embedding) -> Fields:
    return {
        **_ref_to(one.ref),
        "vector": _floats(one.vector),
        "graph": _floats(one.graph),
        "informative": one.informative,
        "model_id": one.model_id,
    }


def _embedding_from(fields: Fields) -> Embedding:
    return Embedding(
        _ref_from(fields),
        _vector(fields["vector"], VECTOR_DIMENSION),
        _vector(fields["graph"], GRAPH_DIMENSION),
        bool(fields["informative"]),
        str(fields["model_id"]),
    )


def _end_to(end: VideoEnd) -> Fields:
    fields = asdict(end)
    return {**fields.pop("entry"), **fields}


def _end_from(fields: Fields) -> VideoEnd:
    if fields["outcome"] not in ("complete", "failed"):
        raise ValueError(f"outcome: expected complete or failed, got {fields['outcome']!r}")
    entry = CatalogEntry(
        *(fields[name] for name in ("video_id", "uri", "bank", "title", "metadata"))
    )
    names = ("duration_seconds", "segments", "error_code", "error_message")
    return VideoEnd(
        entry, int(fields["version"]), fields["outcome"], *(fields[name] for name in names)
    )


def _query_to(query: QueryEmbedding) -> Fields:
    return {
        "uri": query.uri,
        "duration_seconds": query.duration_seconds,
        "model_id": query.model_id,
        "views": list(query.views),
        "windows": len(query.window_start_seconds),
        "window_start_seconds": _floats(query.window_start_seconds),
        "window_end_seconds": _floats(query.window_end_seconds),
        "vectors": _floats(query.vectors),
        "informative": np.packbits(query.informative).tobytes(),
    }


def _query_from(fields: Fields) -> QueryEmbedding:
    views, windows = tuple(map(str, fields["views"])), int(fields["windows"])
    bits = np.frombuffer(fields["informative"], dtype=np.uint8)
    return QueryEmbedding(
        uri=str(fields["uri"]),
        duration_seconds=float(fields["duration_seconds"]),
        model_id=str(fields["model_id"]),
        views=views,
        window_start_seconds=_array(fields["window_start_seconds"], "float64", (windows,)),
        window_end_seconds=_array(fields["window_end_seconds"], "float64", (windows,)),
        vectors=_array(fields["vectors"], "float32", (len(views), windows, VECTOR_DIMENSION)),
        informative=np.unpackbits(bits, count=len(views) * windows)
        .astype(bool)
        .reshape(len(views), windows),
    )


_SCHEMAS: dict[type, _Schema] = {
    Segment: _Schema(
        "segment",
        1,
        lambda one: {**_ref_to(one.ref), "clip": one.clip},
        lambda fields: Segment(_ref_from(fields), bytes(fields["clip"])),
    ),
    Embedding: _Schema("embedding", 1, _embedding_to, _embedding_from),
    VideoEnd: _Schema("video-end", 1, _end_to, _end_from),
    SegmentFailed: _Schema(
        "segment-failed",
        1,
        lambda one: {**_ref_to(one.ref), "error_code": one.error_code},
        lambda fields: SegmentFailed(_ref_from(fields), str(fields["error_code"])),
    ),
    Deletion: _Schema(
        "deletion",
        1,
        asdict,
        lambda fields: Deletion(str(fields["video_id"]), int(fields["version"])),
    ),
    HeldModel: _Schema("model", 1, asdict, lambda fields: HeldModel(str(fields["model_id"]))),
    MatchEvent: _Schema(
        "match",
        1,
        asdict,
        lambda fields: MatchEvent(
            str(fields["video_id"]), int(fields["version"]), dict(fields["report"])
        ),
    ),
}
_QUERY = _Schema("query", 1, _query_to, _query_from)
_BY_NAME = {schema.name: schema for schema in (*_SCHEMAS.values(), _QUERY)}
