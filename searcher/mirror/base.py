"""The interface of all mirrors, and the form of a point."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np

from common.types import Embedding, Int8Array, SegmentRef, frames_from_bytes
from common.uris import public_uri
from searcher.storage.video import Video

NO_VIDEOS: Mapping[str, Video] = {}
VECTOR_NAME, GRAPH_NAME = "fused", "graph"
# The largest field of a payload: what does not need it leaves it out.
FRAMES_FIELD = "frames"


class Mirror(Protocol):
    """Durable embeddings by point id; a later version of a segment replaces it."""

    @property
    def model_id(self) -> str:
        """The model of its vectors."""
        ...

    def upsert(
        self, embeddings: Sequence[Embedding], videos: Mapping[str, Video] = NO_VIDEOS
    ) -> None:
        """Write points; idempotent. Durable after `flush`.

        videos: catalogue rows by video id; each is stored with the first of the video's points, so that
        the catalogue can be rebuilt from the mirror.
        """
        ...

    def delete_video(self, video_id: str, *, keep_version: int | None = None) -> None:
        """Delete every point of a video, or all except those of one version."""
        ...

    def flush(self) -> None:
        """Return when everything written so far is durable, even after a power failure."""
        ...

    def count(self) -> int:
        """Number of points."""
        ...

    def scan(
        self, video_ids: Sequence[str] | None = None, batch: int = 1000
    ) -> Iterator[list[Embedding]]:
        """Every point, or every point of some videos, exactly as written, in any order."""
        ...

    def videos(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The catalogue row of every video, as a mapping, with the number of points of the row's
        version."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


def keepers(refs: Sequence[SegmentRef], videos: Mapping[str, Video]) -> dict[SegmentRef, Video]:
    """The rows to store, by the segment whose point stores each: the earliest of its video."""
    first: dict[str, SegmentRef] = {}
    for ref in refs:
        earliest = first.get(ref.video_id)
        if ref.video_id in videos and (earliest is None or ref < earliest):
            first[ref.video_id] = ref
    return {ref: videos[video_id] for video_id, ref in first.items()}


def counted(points: Iterable[Mapping[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Rows with the number of points of their version, from the payloads of all points."""
    rows: dict[str, dict[str, Any]] = {}
    counts: Counter[tuple[str, int]] = Counter()
    for payload in points:
        counts[payload["video_id"], payload["version"]] += 1
        stored = payload.get("video")
        if stored is not None:
            row = json.loads(stored) if isinstance(stored, str) else dict(stored)
            newest = rows.get(payload["video_id"])
            # Segments that join later bring the row as it is with them.
            if newest is None or _age(newest) < _age(row):
                rows[payload["video_id"]] = row
    for video_id, row in rows.items():
        yield row, counts[video_id, row["version"]]


def _age(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["version"], row["segments"]


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
