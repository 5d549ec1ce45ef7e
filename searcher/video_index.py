"""An index in a data folder: what is the same wherever its vectors are.

There are two kinds: `LocalIndex` (a shard in memory, with its mirror) and `QdrantIndex`. What both do is
`final` here; what each does in its own way is abstract here. So each method has one place.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar, final

from common.closeable import Closeable
from common.errors import DataFolderError, VideoError
from common.settings import Settings
from common.types import Embedding, Float32Array, Hit, SegmentRef
from searcher.index.hit_fields import HitFields
from searcher.index.protocols import AuditedIndex, SearchedSegments
from searcher.index.shard import ShardStats
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.index_transaction import Change, CompleteVideo
from searcher.storage.data_dir import FolderManifest, check_lock
from searcher.storage.database import Database
from searcher.storage.staging import Staging
from searcher.storage.thumbnails import ThumbnailStore
from searcher.storage.uploads import UPLOADS_PART, UploadedVideos
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from searcher.transform.pictures import References

# For the audit, one of this many searches contributes a query; the newest _SAMPLES queries are kept.
_SAMPLES, _SEARCHES_PER_SAMPLE = 32, 8


class VideoIndex(Closeable, ABC):
    """The catalogue and the vectors of its videos. Any thread may search and change it. Changes run one
    at a time, under the lock `changing`; searches never wait."""

    in_process: ClassVar[bool]
    """Whether a search is work of this process alone."""

    def __init__(
        self,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        database: Database,
        lock: IO[str] | None,
    ) -> None:
        """lock: of the folder; None if it is open read-only."""
        self.folder = folder
        self.manifest = manifest
        self.videos = VideoStore(database)
        self.staging = Staging(database)
        self.thumbnails = ThumbnailStore(folder)
        self.uploads = UploadedVideos(folder)
        self.changing = threading.RLock()
        self.notices: list[str] = []
        # Of a folder that another process changes meanwhile, which is no problem; also in `notices`.
        self.written_elsewhere = ""
        self.sampled: deque[Float32Array] = deque(maxlen=_SAMPLES)
        self._searches = 0
        self._settings = settings
        self._database = database
        self._lock = lock
        # Ids of videos for which an interrupted change may have left points.
        self._half_done: set[str] = set()

    @property
    @abstractmethod
    def _searched(self) -> SearchedSegments:
        """What a search looks into."""

    @final
    @property
    def references(self) -> References:
        """The pictures of the videos of the catalogue."""
        return References(self.videos.uri_of, self.thumbnails.of)

    @final
    @property
    def stats(self) -> ShardStats:
        return self._searched.stats()

    @final
    @property
    def merge_trouble(self) -> str:
        """See `Shard.merge_trouble`."""
        return self._searched.merge_trouble

    @final
    @property
    def waiting(self) -> int:
        """See `Shard.waiting`."""
        return self._searched.waiting

    @final
    @property
    def candidates(self) -> int:
        """See `Shard.candidates`."""
        return self._searched.candidates

    @final
    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `Shard.search`. Some queries are kept for the audit."""
        self._sample(vectors)
        return self._searched.search(vectors, k, only)

    @final
    def search_fields(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[HitFields]]:
        """As `search`, as the fields of an answer."""
        self._sample(vectors)
        return self._searched.search_fields(vectors, k, only)

    def _sample(self, vectors: Float32Array) -> None:
        self._searches += 1
        if self._searches % _SEARCHES_PER_SAMPLE == 1 and len(vectors):
            self.sampled.append(vectors[self._searches % len(vectors)].copy())

    @final
    def frozen_shard(self) -> AuditedIndex:
        """See `Shard.frozen`."""
        return self._searched.frozen()

    @final
    def shard_versions(self) -> dict[str, int]:
        """See `Shard.versions`."""
        return self._searched.versions()

    @final
    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `Shard.vectors_of`."""
        return self._searched.vectors_of(video_id)

    @final
    @property
    def keeps_thumbnails(self) -> bool:
        """Whether the thumbnails that come with the log are kept."""
        return self._settings.thumbnails.enabled

    @abstractmethod
    def embeddings_of(self, videos: Sequence[Video]) -> dict[str, list[Embedding]]:
        """The stored embeddings of the complete version of each video, by video_id."""

    @abstractmethod
    def segments_of(self, video_id: str) -> list[SegmentRef]:
        """Every stored segment of a video, including those with only low-information frames."""

    @abstractmethod
    def level_with_mirror(self, video_id: str) -> bool:
        """Whether searches see exactly the segments that are stored of the video's complete version."""

    @abstractmethod
    def relevel(self, video_id: str) -> bool:
        """Have searches see what is stored of a video. Returns False if some segments are missing
        there."""

    @abstractmethod
    def apply(self, change: Change, record: Callable[[], None] = lambda: None) -> None:
        """Make a change completely or not at all. record: writes what belongs to the change, in the
        transaction of its rows."""

    @final
    def _commit(
        self, rows: Mapping[str, Video], change: Change, record: Callable[[], None]
    ) -> None:
        """The part of `apply` in the catalogue, in one transaction. rows: those of the change."""
        with self._database.change():
            for row in rows.values():
                self.videos.commit(row)
            for video_id, version in change.deleted:
                self.videos.delete(video_id, version)
            record()
        self._half_done.difference_update(rows)

    @final
    def replace_video(self, video: Video, embeddings: Sequence[Embedding]) -> None:
        """Make these embeddings the new version of a video. After a crash its row is pending until the
        call is repeated, and searches find the old version. Raises ValueError for embeddings of another
        version, DataFolderError if read-only."""
        if any(one.ref.version != video.version for one in embeddings):
            raise ValueError(f"embeddings: expected version {video.version} of {video.video_id}")
        with self.changing:
            self._check_writable()
            self.videos.begin(video)
            self.apply(Change(whole=[CompleteVideo(video, embeddings)]))

    @final
    def mark_failed(self, video: Video, error: VideoError) -> None:
        """Record why a video could not be indexed. An older version stays searchable. An uploaded file is
        deleted."""
        with self.changing:
            self._check_writable()
            message = str(error)
            if self.uploads.holds(video.uri):
                message = message.replace(video.uri, "the upload")
            self.videos.fail(video, error.code, message)
            self.uploads.delete([video.video_id])

    @final
    def delete_from_searches(self, video_id: str) -> bool:
        """Remove a video at once from the catalogue and from what searches find; `finish_deletions`
        removes the rest. Returns False if it is unknown."""
        with self.changing:
            if self.videos.get(video_id) is None:
                return False
            self.apply(Change(deleted=[(video_id, 0)]))
            return True

    @final
    def delete_videos(self, video_ids: Sequence[str]) -> int:
        """Remove videos from the catalogue, and then from everywhere else, as `finish_deletions`. Returns
        the number of known videos."""
        with self.changing:
            self._check_writable()
            known = [one for one in video_ids if self.videos.get(one) is not None]
            for video_id in known:
                # Points of a version that was begun and is not complete may be there.
                begun = video_id in self._half_done
                self.videos.delete(video_id, self.videos.next_version(video_id) if begun else 0)
            if known:
                self.finish_deletions()
            return len(known)

    @abstractmethod
    def finish_deletions(self) -> None:
        """Remove what is left of deleted videos, with their thumbnails and uploaded files. Also finishes
        deletions of a process that was killed."""

    @final
    def _delete_files(self, video_ids: Sequence[str]) -> None:
        self.thumbnails.delete(video_ids)
        self.uploads.delete(video_ids)

    @abstractmethod
    def save_snapshot(self, *, keep: int | None = None) -> None:
        """Save what is only in memory, for a fast start. keep: number of snapshots to keep (default: the
        setting). Raises StorageError."""

    @abstractmethod
    def freeze_shard(self) -> Callable[[Path], None] | None:
        """A function that writes a snapshot of the shard as it is now into an empty folder, at any later
        time. None if there is nothing to write that the next start could use. Call it under the lock
        `changing`."""

    @abstractmethod
    def compact(self) -> None:
        """Rewrite what is stored without the bytes of what was deleted. Changes wait, searches do not.
        Raises UsageError if the mirror is a server, DataFolderError if read-only, StorageError."""

    def check_store(self) -> None:
        """Raises DependencyError if a server that searches need does not answer now."""

    @final
    def close(self) -> None:
        """Release the folder. All changes are durable already; no snapshot is saved."""
        self._searched.close()
        self._database.close()
        self._close_stores()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @abstractmethod
    def _close_stores(self) -> None:
        """Close what only this kind of index has, before the lock is released."""

    @final
    def _take_over(self) -> None:
        """Bring a folder that was just opened for changes into order: what an earlier process left half
        done is removed or ended."""
        self.thumbnails.sweep()
        self.uploads.sweep()
        self.videos.set_uris(list(self.uploads.moved(self.videos.uris(UPLOADS_PART))))
        self._recover()
        self._half_done.update(self.videos.pending())
        self.finish_deletions()

    @abstractmethod
    def _recover(self) -> None:
        """Make the catalogue and the stored vectors consistent."""

    @final
    def check_folder(self) -> None:
        """Raises DataFolderError if the folder that is open for changes is not the one at its path any
        more, for example because a backup was copied there."""
        lock = self._lock
        if lock is not None:
            check_lock(self.folder, lock)

    @final
    def _check_writable(self) -> None:
        """Raises DataFolderError if the folder is open read-only, or was replaced."""
        if self._lock is None:
            raise self._read_only()
        self.check_folder()

    @final
    def _read_only(self) -> DataFolderError:
        return DataFolderError(f"{self.folder} is open read-only")
