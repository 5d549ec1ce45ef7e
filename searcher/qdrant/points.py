"""The points of the index in Qdrant: one per segment of a version of a video."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from qdrant_client import models

from common.types import VECTOR_DIMENSION, Embedding, Hit, SegmentRef
from searcher.index.state import Filter
from searcher.qdrant.payload import GRAPH_NAME, VECTOR_NAME, to_embedding, to_payload, to_ref

_NAMESPACE = uuid.UUID("5b0f3a1e-6f0f-5d0c-9a57-2f6f1c1d7a10")
# What a hit needs of a payload.
REF_FIELDS = ["video_id", "bank", "version", "start_seconds", "end_seconds"]
# The payload fields that filters use. A cluster in strict mode refuses a filter on another field.
SEGMENT_INDEXES = {
    "video_id": models.PayloadSchemaType.KEYWORD,
    "bank": models.PayloadSchemaType.KEYWORD,
    "version": models.PayloadSchemaType.INTEGER,
}
Conditions: TypeAlias = list[Any]


def segment_point_id(ref: SegmentRef) -> str:
    """The id of a segment of one version: points of two versions never replace each other."""
    return str(uuid.uuid5(_NAMESPACE, f"{ref.version}\n{ref.segment_id}"))


def video_point_id(video_id: str) -> str:
    """The id of a video's entry in the register."""
    return str(uuid.uuid5(_NAMESPACE, f"video\n{video_id}"))


def segment_point(one: Embedding) -> models.PointStruct:
    """The point of a segment. A low-information segment has no searchable vector, so that no search
    returns it and none needs a filter for it."""
    vectors: dict[str, Any] = {GRAPH_NAME: one.graph.tolist()}
    if one.informative:
        vectors[VECTOR_NAME] = one.vector.tolist()
    return models.PointStruct(
        id=segment_point_id(one.ref),
        vector=vectors,
        payload=to_payload(one.ref, one.informative, one.model_id, one.frames),
    )


def segment_of(record: models.Record) -> Embedding:
    """The embedding of a point with its payload and vectors."""
    vectors: dict[str, Any] = dict(record.vector) if isinstance(record.vector, Mapping) else {}
    vectors.setdefault(VECTOR_NAME, np.zeros(VECTOR_DIMENSION, dtype=np.float32))
    return to_embedding(record.payload or {}, vectors)


def hit_of(point: models.ScoredPoint) -> Hit:
    """The hit of a point that was found."""
    return Hit(to_ref(point.payload or {}), point.score)


def search_filter(only: Filter, hidden: Sequence[Any] = ()) -> models.Filter | None:
    """The conditions of a search; None if there are none. hidden: conditions; no segment is found that
    meets one of them."""
    must: Conditions = []
    must_not: Conditions = [*hidden]
    if only.banks is not None:
        # Never as a condition in `must` and the same one in `must_not`: Qdrant 1.18 ignores the second.
        must.append(any_of("bank", only.banks - only.exclude_banks))
    elif only.exclude_banks:
        must_not.append(any_of("bank", only.exclude_banks))
    if only.exclude_videos:
        must_not.append(any_of("video_id", only.exclude_videos))
    return models.Filter(must=must, must_not=must_not) if must or must_not else None


def of_version(video_id: str, version: int) -> models.Filter:
    """The segments of one version of a video."""
    return models.Filter(must=[equals("video_id", video_id), equals("version", version)])


def equals(field: str, value: str | int) -> models.FieldCondition:
    """The field has this value."""
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def any_of(field: str, values: Iterable[str]) -> models.FieldCondition:
    """The field has one of these values."""
    return models.FieldCondition(key=field, match=models.MatchAny(any=sorted(values)))


def version_below(version: int, *, equal: bool) -> models.FieldCondition:
    """Versions before this one, and this one too if `equal`."""
    below = models.Range(lte=version) if equal else models.Range(lt=version)
    return models.FieldCondition(key="version", range=below)
