"""The index with its mirror: what is read from the mirror, and whether the shard equals it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import DataFolderError
from common.settings import Settings
from common.types import Embedding, SegmentRef
from searcher.index.shard import Shard
from searcher.index_reader import IndexReader
from searcher.mirror.base import Mirror
from searcher.storage.data_dir import FolderManifest
from searcher.storage.database import Database
from searcher.storage.recovery import is_level, level, mirrored, rebuilt_shard
from searcher.storage.video import Video


class MirroredIndex(IndexReader):
    """An index whose vectors are also in a mirror. mirror: None if the folder is open read-only."""

    def __init__(
        self,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        database: Database,
        mirror: Mirror | None,
    ) -> None:
        super().__init__(folder, manifest, database, Shard(settings.searcher))
        self._settings = settings
        self._mirror = mirror

    @property
    def mirror(self) -> Mirror:
        """Every vector, on disk. Raises DataFolderError if the folder is open read-only."""
        return self._writable()

    @property
    def keeps_thumbnails(self) -> bool:
        """Whether the thumbnails that come with the log are kept."""
        return self._settings.thumbnails.enabled

    def embeddings_of(self, videos: Sequence[Video]) -> dict[str, list[Embedding]]:
        """The embeddings in the mirror of the complete version of each video, by video_id."""
        return mirrored(videos, self._writable())

    def segments_of(self, video_id: str) -> list[SegmentRef]:
        """Every segment of a video in the mirror, including those with only low-information frames."""
        mirror = self._writable()
        return [one.ref for batch in mirror.scan([video_id]) for one in batch]

    def relevel(self, video_id: str) -> bool:
        """Make the shard's segments of a video equal to the mirror's. Returns False if some are missing
        in the mirror."""
        with self.changing:
            video = self.videos.get(video_id)
            if video is not None and video.segments:
                return level(self._shard, [video], self._writable())
            self._shard.remove_videos([video_id])
            return True

    def level_with_mirror(self, video_id: str) -> bool:
        """Whether the shard has exactly the segments that the mirror has of the video's complete
        version."""
        with self.changing:
            video = self.videos.get(video_id)
            return is_level(self._shard, video_id, video, self._writable())

    def rebuild(self) -> None:
        """Build the shard again, only from the mirror."""
        self._shard.close()
        self._shard = rebuilt_shard(self._settings.searcher, self.videos, self._writable())

    def close(self) -> None:
        super().close()
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def _check_writable(self) -> None:
        """Raises DataFolderError if the folder is open read-only."""
        self._writable()

    def _writable(self) -> Mirror:
        if self._mirror is None:
            raise DataFolderError(f"{self.folder} is open read-only")
        return self._mirror
