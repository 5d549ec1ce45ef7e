"""The seam every mirror stands behind, and the form a point has in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from common.types import Embedding, Float32Array, Hit, SegmentRef
from searcher.state import Filter

VECTOR_NAME, GRAPH_NAME = "fused", "graph"


class Mirror(Protocol):
    """Durable embeddings, keyed by point id; a later version of a segment takes its place."""

    @property
    def model_id(self) -> str:
        """The model whose vectors are in it."""
        ...

    def upsert(self, embeddings: Sequence[Embedding]) -> None:
        """Write points; repeating it changes nothing. Durable once `flush` has returned."""
        ...

    def delete_video(self, video_id: str, *, keep_version: int | None = None) -> None:
        """Delete every point of a video, or all but those of one version."""
        ...

    def flush(self) -> None:
        """Return when everything written so far would survive a power cut."""
        ...

    def count(self) -> int:
        """Points held."""
        ...

    def scan(self, video_id: str | None = None, batch: int = 1000) -> Iterator[list[Embedding]]:
        """Every point, or every point of one video, exactly as it was written."""
        ...

    def search(self, vectors: Float32Array, k: int, only: Filter) -> list[list[Hit]]:
        """As `Shard.search`; points without information are never returned."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def to_payload(embedding: Embedding) -> dict[str, Any]:
    """Everything of an embedding but its arrays, as JSON values."""
    ref = embedding.ref
    return {
        "segment_id": ref.segment_id,
        "video_id": ref.video_id,
        "bank": ref.bank,
        "version": ref.version,
        "start_seconds": ref.start_seconds,
        "end_seconds": ref.end_seconds,
        # A number, because the embedded engine finds no boolean.
        "informative": int(embedding.informative),
        "model_id": embedding.model_id,
    }


def to_ref(payload: Mapping[str, Any]) -> SegmentRef:
    """The identity in a payload."""
    return SegmentRef(
        video_id=payload["video_id"],
        start_seconds=payload["start_seconds"],
        end_seconds=payload["end_seconds"],
        version=payload["version"],
        bank=payload["bank"],
    )


def to_embedding(payload: Mapping[str, Any], vectors: Mapping[str, Any]) -> Embedding:
    """An embedding from its point."""
    return Embedding(
        ref=to_ref(payload),
        vector=np.asarray(vectors[VECTOR_NAME], dtype=np.float32),
        graph=np.asarray(vectors[GRAPH_NAME], dtype=np.float32),
        informative=bool(payload["informative"]),
        model_id=payload["model_id"],
    )
