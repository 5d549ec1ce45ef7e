"""The interface of all mirrors, and which of their points have the rows of the catalogue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from common.types import Embedding, SegmentRef
from searcher.storage.video import Video

NO_VIDEOS: Mapping[str, Video] = {}


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
