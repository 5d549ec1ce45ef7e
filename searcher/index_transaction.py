"""One atomic change of the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from common.types import Embedding
from searcher.storage.video import Video, now


@dataclass(frozen=True, slots=True)
class CompleteVideo:
    """A version of a video with all its segments; it replaces every older version."""

    video: Video
    embeddings: Sequence[Embedding]

    @property
    def row(self) -> Video:
        """The row of the video when it has just become complete."""
        return replace(
            self.video,
            state="ready",
            segments=len(self.embeddings),
            uninformative_segments=sum(not one.informative for one in self.embeddings),
            indexed_at=now(),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """whole: new versions. late: segments that are added to the searchable version, with the new row of
    the video. deleted: (video_id, version); all versions up to this one are deleted."""

    whole: Sequence[CompleteVideo] = ()
    late: Sequence[CompleteVideo] = ()
    deleted: Sequence[tuple[str, int]] = field(default=())

    @property
    def written(self) -> list[Embedding]:
        """All embeddings of the change."""
        return [one for video in (*self.whole, *self.late) for one in video.embeddings]

    def rows(self) -> dict[str, Video]:
        """The new row of each video that gets embeddings, by video_id."""
        rows = {one.video.video_id: one.row for one in self.whole}
        return rows | {one.video.video_id: one.video for one in self.late}

    def __bool__(self) -> bool:
        return bool(self.whole or self.late or self.deleted)
