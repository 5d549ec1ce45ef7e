"""One atomic change of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.types import Embedding
from searcher.storage.video import Video


@dataclass(frozen=True, slots=True)
class CompleteVideo:
    """A version of a video with all its segments; it replaces every older version."""

    video: Video
    embeddings: Sequence[Embedding]


@dataclass(frozen=True, slots=True)
class Change:
    """whole: new versions. late: segments that are added to the searchable version, with the new row of
    the video. deleted: (video_id, version); all versions up to this one are deleted."""

    whole: Sequence[CompleteVideo] = ()
    late: Sequence[CompleteVideo] = ()
    deleted: Sequence[tuple[str, int]] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.whole or self.late or self.deleted)
