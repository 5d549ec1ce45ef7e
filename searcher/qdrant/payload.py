"""The vectors and the payload of a point, in mirrors and in an index in Qdrant."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from common.types import Embedding, Int8Array, SegmentRef, frames_from_bytes
from common.uris import public_uri
from searcher.storage.video import Video

VECTOR_NAME, GRAPH_NAME = "fused", "graph"
# The largest field of a payload: what does not need it leaves it out.
FRAMES_FIELD = "frames"


def to_payload(
    ref: SegmentRef, informative: bool, model_id: str, frames: Int8Array, video: Video | None = None
) -> dict[str, Any]:
    """Everything of an embedding but its arrays, as JSON values: each costs the embedded engine as much
    as a hundred numbers of a vector. Numbers with a fraction are text: Qdrant reads some of them one bit
    off."""
    kept = {}
    if video is not None:
        # Its points are fetched already: what else an address holds is needed no more.
        public = replace(video, uri=public_uri(video.uri))
        kept["video"] = json.dumps(asdict(public))
    if len(frames):
        kept[FRAMES_FIELD] = base64.b64encode(frames.tobytes()).decode()
    return {
        **kept,
        "video_id": ref.video_id,
        "bank": ref.bank,
        "version": ref.version,
        "start_seconds": repr(float(ref.start_seconds)),
        "end_seconds": repr(float(ref.end_seconds)),
        # A number, because the embedded engine finds no boolean.
        "informative": int(informative),
        "model_id": model_id,
    }


def to_ref(payload: Mapping[str, Any]) -> SegmentRef:
    """The segment identity in a payload."""
    return SegmentRef(
        video_id=payload["video_id"],
        start_seconds=float(payload["start_seconds"]),
        end_seconds=float(payload["end_seconds"]),
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
        frames=frames_from_bytes(base64.b64decode(payload.get(FRAMES_FIELD, ""))),
    )
