"""What one step does to the index, all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.types import Embedding
from searcher.storage.video_store import Video


@dataclass(frozen=True, slots=True)
class CompleteVideo:
    """A version of a video with all its segments, to take the place of every older one."""

    video: Video
    embeddings: Sequence[Embedding]


@dataclass(frozen=True, slots=True)
class Change:
    """whole: new versions. late: segments that join the version that is searchable, with the video's row
    as it is with them. deleted: (video_id, version): gone up to that version."""

    whole: Sequence[CompleteVideo] = ()
    late: Sequence[CompleteVideo] = ()
    deleted: Sequence[tuple[str, int]] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.whole or self.late or self.deleted)
