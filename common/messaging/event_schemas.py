"""Events as msgpack maps: every schema, field by field. The tables of docs/wire.md are made from this
and `query_schemas`.

An optional field is added to the same version, with a default. Any other change is a new version beside
the old one, which stays readable as long as a log may contain it. Unknown fields are ignored.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from common.errors import UsageError
from common.ids import check_id_bytes
from common.messaging.codec import (
    BYTES,
    FLAG,
    MAP,
    NUMBER,
    TEXT,
    WHOLE,
    Field,
    Fields,
    Schema,
    array_of,
    bytes_of,
    floats,
)
from common.messaging.events import Deletion, LogModel, MatchEvent, SegmentFailed, VideoEnd
from common.thumbnails import unpack_thumbnails
from common.types import (
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    CatalogEntry,
    Embedding,
    Segment,
    SegmentRef,
    frames_from_bytes,
)
from common.uris import public_uri

_REF_FIELDS = (
    Field("video_id", TEXT, "The video; not empty."),
    Field("start_seconds", NUMBER, "Where the segment begins in the video."),
    Field("end_seconds", NUMBER, "Where it ends; later than it begins."),
    Field("version", WHOLE, "Of the video, at least 1; a newer one replaces older ones."),
    Field("bank", TEXT, "The bank of the video; not empty."),
)


def _ref_to(ref: SegmentRef) -> Fields:
    return {
        "video_id": ref.video_id,
        "start_seconds": ref.start_seconds,
        "end_seconds": ref.end_seconds,
        "version": ref.version,
        "bank": ref.bank,
    }


def _id_from(fields: Fields) -> str:
    video_id: str = fields["video_id"]
    try:
        check_id_bytes(video_id)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return video_id


def _ref_from(fields: Fields) -> SegmentRef:
    return SegmentRef(
        _id_from(fields),
        float(fields["start_seconds"]),
        float(fields["end_seconds"]),
        fields["version"],
        fields["bank"],
    )


def _embedding_to(embedding: Embedding) -> Fields:
    return {
        **_ref_to(embedding.ref),
        "vector": bytes_of(embedding.vector),
        "graph": bytes_of(embedding.graph),
        "informative": embedding.informative,
        "model_id": embedding.model_id,
        "frames": embedding.frames.tobytes(),
        "thumbnails": embedding.thumbnails,
    }


def _embedding_from(fields: Fields) -> Embedding:
    unpack_thumbnails(fields["thumbnails"])
    return Embedding(
        _ref_from(fields),
        array_of(fields["vector"], "float32", (VECTOR_DIMENSION,)),
        array_of(fields["graph"], "float32", (GRAPH_DIMENSION,)),
        fields["informative"],
        fields["model_id"],
        frames_from_bytes(fields["frames"]),
        fields["thumbnails"],
    )


def _end_to(end: VideoEnd) -> Fields:
    fields = asdict(end)
    entry = fields.pop("entry")
    # JSON, because it is the user's own and msgpack holds neither every integer nor every text.
    public_fields = {"uri": public_uri(entry["uri"]), "metadata": json.dumps(entry["metadata"])}
    return {**entry, **public_fields, **fields}


def _end_from(fields: Fields) -> VideoEnd:
    metadata = json.loads(fields["metadata"])
    if not isinstance(metadata, dict):
        raise ValueError("metadata: expected a JSON object")
    entry = CatalogEntry(_id_from(fields), fields["uri"], fields["bank"], fields["title"], metadata)
    return VideoEnd(
        entry,
        fields["version"],
        fields["outcome"],
        float(fields["duration_seconds"]),
        fields["segments"],
        fields["error_code"],
        fields["error_message"],
        fields["segments_digest"],
        fields["origin"],
    )


EVENTS = (
    Schema(
        "segment",
        1,
        Segment,
        (*_REF_FIELDS, Field("clip", BYTES, "A small H.264 MP4; its times begin at 0.")),
        lambda one: {**_ref_to(one.ref), "clip": one.clip},
        lambda fields: Segment(_ref_from(fields), fields["clip"]),
    ),
    Schema(
        "embedding",
        1,
        Embedding,
        (
            *_REF_FIELDS,
            Field(
                "vector",
                floats(VECTOR_DIMENSION),
                "512 visual numbers, then 15 of motion; norm 1, or all 0 if not informative.",
            ),
            Field("graph", floats(GRAPH_DIMENSION), "The scene graph."),
            Field("informative", FLAG, "Whether the segment shows anything to compare."),
            Field("model_id", TEXT, "Fingerprint of weights, sampling, tracker and fusion."),
            Field(
                "frames",
                BYTES,
                "int8 (T, 64): a frame code for each half second; 0 for low-information frames.",
                default=b"",
            ),
            Field(
                "thumbnails",
                BYTES,
                "Small pictures of the segment, at most 512 KiB together. Each has its time in the video "
                "in milliseconds and its number of bytes, both uint32 and little-endian, then its bytes, "
                "WebP. Empty unless STORYHASH_THUMBNAILS__ENABLED is set for the embedder.",
                default=b"",
            ),
        ),
        _embedding_to,
        _embedding_from,
    ),
    Schema(
        "video-end",
        1,
        VideoEnd,
        (
            Field("video_id", TEXT, "The video; not empty."),
            Field(
                "uri",
                TEXT,
                "Path or address of the video, without query and credentials; not empty.",
            ),
            Field("bank", TEXT, "The bank of the video; not empty."),
            Field("title", TEXT, "The title, or empty."),
            Field("metadata", TEXT, "Metadata of the user: a JSON object, as text."),
            Field("version", WHOLE, "The version that has ended; at least 1."),
            Field("outcome", TEXT, "`complete`, or `failed`: then its segments do not count."),
            Field("duration_seconds", NUMBER, "Length of the video; 0 if it failed."),
            Field("segments", WHOLE, "Their number; the video is complete when all have arrived."),
            Field("error_code", TEXT, "Why it failed; `damaged` if a part was lost; else empty."),
            Field("error_message", TEXT, "The same in words, or empty."),
            Field(
                "segments_digest",
                TEXT,
                "BLAKE2b-128, hex, of the sorted segment ids, each after its length in bytes "
                "(8 bytes, little-endian); the video is complete when its segments have this digest.",
                default="",
            ),
            Field("origin", TEXT, "Name of the producer that sent it.", default=""),
        ),
        _end_to,
        _end_from,
    ),
    Schema(
        "segment-failed",
        1,
        SegmentFailed,
        (*_REF_FIELDS, Field("error_code", TEXT, "The reason in its dead letter.")),
        lambda one: {**_ref_to(one.ref), "error_code": one.error_code},
        lambda fields: SegmentFailed(_ref_from(fields), fields["error_code"]),
    ),
    Schema(
        "deletion",
        1,
        Deletion,
        (
            Field("video_id", TEXT, "The video; not empty."),
            Field("version", WHOLE, "This version and all older ones are deleted."),
        ),
        asdict,
        lambda fields: Deletion(fields["video_id"], fields["version"]),
    ),
    Schema(
        "model",
        1,
        LogModel,
        (Field("model_id", TEXT, "The model of all vectors in the log."),),
        asdict,
        lambda fields: LogModel(fields["model_id"]),
    ),
    Schema(
        "match",
        1,
        MatchEvent,
        (
            Field("video_id", TEXT, "The video that became searchable; not empty."),
            Field("version", WHOLE, "The version of the video."),
            Field("report", MAP, "What `storyhash match --json` prints of a query."),
        ),
        asdict,
        lambda fields: MatchEvent(fields["video_id"], fields["version"], fields["report"]),
    ),
)
