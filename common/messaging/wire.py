"""Events as messages, and back: keys, headers, partitions, and values by their schema.

docs/wire.md describes every field; tests/contract/wire holds the bytes of one value of each kind. Unknown
versions are rejected.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgpack

from common.errors import FutureVersionError, WireError
from common.messaging.codec import Schemas
from common.messaging.event_schemas import EVENTS
from common.messaging.events import Deletion, Event, LogModel, MatchEvent, SegmentFailed, VideoEnd
from common.messaging.query_schemas import QUERIES, QueryPiece
from common.messaging.transport import Headers, Message, ReceivedMessage
from common.messaging.unreadable import SEGMENT_HEADER
from common.tracing import TRACEPARENT_HEADER, checked_traceparent
from common.types import Embedding, QueryEmbedding, Segment, SegmentRef

EVENT_SCHEMAS, _QUERIES = Schemas(EVENTS), Schemas(QUERIES)
# Queries up to this size are written with all vectors, zeros too, for older readers.
_WHOLE_QUERY_BYTES = 32 << 20
# No piece has more: ten minutes of the whole picture at all windows, and of 40 views at every second.
MOST_PIECE_BYTES = 160 << 20
# A version is a moment of the brokers' clock. The clocks of two brokers may differ a little.
VERSION_AHEAD_MS = 600_000
# Extra tolerance if the writer's clock gave the time, as in older topics.
_WRITERS_CLOCK_MS = 86_400_000


def new_trace() -> str:
    """A new trace id."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with its headers: when its segment was produced (Unix seconds), its trace id, and the span
    that it comes from (empty if spans are not recorded)."""

    event: Event
    produced_at: float = field(default_factory=time.time)
    trace_id: str = field(default_factory=new_trace)
    traceparent: str = ""

    def about(self, event: Event) -> Envelope:
        """Another event with the same headers."""
        return Envelope(event, self.produced_at, self.trace_id, self.traceparent)


def to_message(topic: str, envelope: Envelope) -> Message:
    """The message of an event. All messages of a video go to one partition."""
    event = envelope.event
    schema = EVENT_SCHEMAS.of(event)
    headers: Headers = (
        ("schema", f"{schema.name}/{schema.version}".encode()),
        ("produced-at", repr(envelope.produced_at).encode()),
        ("trace-id", envelope.trace_id.encode()),
    )
    if envelope.traceparent:
        headers = (*headers, (TRACEPARENT_HEADER, envelope.traceparent.encode()))
    if isinstance(event, (Embedding, LogModel)):
        headers = (*headers, ("model-id", event.model_id.encode()))
    if isinstance(event, Segment):
        # The key is only the video; with this header an unreadable message still names its segment.
        headers = (*headers, (SEGMENT_HEADER, segment_key(event.ref)))
    value = schema.pack(event)
    if isinstance(event, LogModel):
        # In the partition that readers read first. Each claim has its own key, so that compaction cannot
        # replace the first claim by a later one.
        return Message(topic, f"@model/{envelope.trace_id}".encode(), value, headers, partition=0)
    return Message(topic, log_key(event), value, headers, video_of(event).encode())


def log_key(event: Event) -> bytes:
    """The key of an event. It includes version and outcome, so that compaction replaces an event neither
    by a late message of an older version nor by a failure after a success."""
    if isinstance(event, Embedding):
        return segment_key(event.ref)
    if isinstance(event, SegmentFailed):
        return failed_key(event.ref.segment_id, event.ref.version)
    if isinstance(event, VideoEnd):
        return video_key(event.video_id, event.version)
    if isinstance(event, Deletion):
        return f"{event.video_id}@deleted".encode()
    return video_of(event).encode()


def segment_key(ref: SegmentRef) -> bytes:
    """The key of one version of a segment in the log."""
    return f"{ref.segment_id}#{ref.version}".encode()


def failed_key(segment_id: str, version: int) -> bytes:
    """The key of the failure of one version of a segment."""
    return f"{segment_id}#{version}@failed".encode()


def video_key(video_id: str, version: int) -> bytes:
    """The key of the end of one version of a video in the log."""
    return f"{video_id}@v{version}".encode()


def tombstone(topic: str, key: bytes, video_id: str) -> Message:
    """A message that makes compaction remove a key of this video."""
    return Message(topic, key, None, partition_key=video_id.encode())


def from_message(received: ReceivedMessage) -> Envelope:
    """The event in a message. Without headers it has the present time and a new trace id.

    A deletion covers only versions from before it was written. Raises WireError, SchemaVersionError for a
    newer schema, FutureVersionError for a version later than the message; the result is the same at any
    time.
    """
    event = _within_its_time(decode_event(received.value or b""), received)
    header = received.header("produced-at")
    produced_at = time.time() if header is None else _unix_seconds(header)
    trace = _text(received.header("trace-id")) or new_trace()
    parent = checked_traceparent(_text(received.header(TRACEPARENT_HEADER)))
    return Envelope(event, produced_at, trace, parent)


def encode_query(query: QueryEmbedding) -> bytes:
    """An embedded query, or a piece of one, as `POST /v1/embed` returns it. Zero vectors of long queries
    are omitted."""
    fits_one_message = query.pieces == 1 and query.vectors.nbytes <= _WHOLE_QUERY_BYTES
    return _QUERIES.pack(query if fits_one_message else QueryPiece(query))


def decode_query(data: bytes) -> QueryEmbedding:
    """The reverse. Raises WireError."""
    return _query_of(_QUERIES.unpack(data))


class QueryReader:
    """Reads the pieces of an embedded query from bytes as they come."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(max_buffer_size=MOST_PIECE_BYTES)
        self._read = 0
        self._pieces = 1

    def feed(self, block: bytes) -> Iterator[QueryEmbedding]:
        """The pieces that end in this block. Raises WireError for what is no query, for a piece that is
        larger than any can be, and for pieces out of order."""
        try:
            self._unpacker.feed(block)
            for fields in self._unpacker:
                query = _query_of(_QUERIES.read(fields))
                self._check(query)
                self._read, self._pieces = query.number, query.pieces
                yield query
        except msgpack.exceptions.BufferFull:
            raise WireError(
                f"query: expected pieces of at most {MOST_PIECE_BYTES} bytes, got a larger one"
            ) from None
        except (ValueError, TypeError, msgpack.exceptions.UnpackException):
            raise WireError("not a message of StoryHash: expected msgpack maps") from None

    def end(self) -> None:
        """Raises WireError where pieces are missing."""
        if self._read != self._pieces:
            raise WireError(f"query: expected {self._pieces} pieces, got {self._read}")

    def _check(self, query: QueryEmbedding) -> None:
        if query.number != self._read + 1 or (self._read and query.pieces != self._pieces):
            raise WireError(
                f"query: expected piece {self._read + 1} of {self._pieces}, got {query.number} of "
                f"{query.pieces}"
            )


def _query_of(read: QueryEmbedding | QueryPiece) -> QueryEmbedding:
    return read.query if isinstance(read, QueryPiece) else read


def encode_event(event: Event) -> bytes:
    """An event's value alone, for keeping it."""
    return EVENT_SCHEMAS.pack(event)


def decode_event(data: bytes) -> Any:
    """The reverse. Raises WireError."""
    return EVENT_SCHEMAS.unpack(data)


def latest_version(appended_ms: int, *, by_log: bool = True) -> int:
    """The latest version a message may have that was appended at this moment."""
    return appended_ms + VERSION_AHEAD_MS + (0 if by_log else _WRITERS_CLOCK_MS)


def _within_its_time(event: Event, received: ReceivedMessage) -> Event:
    if received.appended_ms is None or isinstance(event, (LogModel, MatchEvent)):
        return event
    version = event.version if isinstance(event, (VideoEnd, Deletion)) else event.ref.version
    latest = latest_version(received.appended_ms, by_log=received.by_log)
    if version <= latest:
        return event
    if isinstance(event, Deletion):
        return Deletion(event.video_id, max(1, latest))
    raise FutureVersionError(
        f"version {version} of {video_of(event)!r} is "
        f"{_span(version - received.appended_ms)} later than its message; correct the "
        "clock of the sending machine and send the video again (storyhash ingest --again)"
    )


def _span(milliseconds: int) -> str:
    """A duration in words, in the largest unit of which it has at least two."""
    seconds = milliseconds / 1000
    for size, unit in ((31_557_600, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _text(header: bytes | None) -> str:
    return (header or b"").decode("ascii", "replace")


def _unix_seconds(header: bytes) -> float:
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise WireError(f"header produced-at: expected Unix seconds, got {header[:40]!r}")
    return seconds


def video_of(event: Event) -> str:
    """The id of the video that an event is about."""
    if isinstance(event, (Segment, Embedding, SegmentFailed)):
        return event.ref.video_id
    return "" if isinstance(event, LogModel) else event.video_id
