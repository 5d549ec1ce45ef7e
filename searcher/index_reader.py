"""What an open data folder answers: searches of its shard, and counts."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from common.closeable import Closeable
from common.types import Float32Array, Hit
from searcher.index.hit_fields import HitFields
from searcher.index.protocols import AuditedIndex
from searcher.index.shard import Shard, ShardStats
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.storage.data_dir import FolderManifest
from searcher.storage.database import Database
from searcher.storage.staging import Staging
from searcher.storage.thumbnails import ThumbnailStore
from searcher.storage.uploads import UploadedVideos
from searcher.storage.video_store import VideoStore

# For the audit, one of this many searches contributes a query; the newest _SAMPLES queries are kept.
_SAMPLES, _SEARCHES_PER_SAMPLE = 32, 8


class IndexReader(Closeable):
    """The part of an index that answers. Any thread may search; searches never wait for changes, which
    run one at a time, under the lock `changing`."""

    # Whether a search is work of this process alone.
    in_process = True

    def __init__(
        self, folder: Path, manifest: FolderManifest, database: Database, shard: Shard
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.videos = VideoStore(database)
        self.staging = Staging(database)
        self.thumbnails = ThumbnailStore(folder)
        self.uploads = UploadedVideos(folder)
        self.changing = threading.RLock()
        self.notices: list[str] = []
        self._database = database
        self._shard = shard
        self.sampled: deque[Float32Array] = deque(maxlen=_SAMPLES)
        self._searches = 0

    def close(self) -> None:
        """Release the folder."""
        self._shard.close()
        self._database.close()

    @property
    def shard(self) -> Shard:
        """The index in memory."""
        return self._shard

    @property
    def stats(self) -> ShardStats:
        return self._shard.stats()

    @property
    def merge_trouble(self) -> str:
        """See `Shard.merge_trouble`."""
        return self._shard.merge_trouble

    @property
    def waiting(self) -> int:
        """See `Shard.waiting`."""
        return self._shard.waiting

    @property
    def candidates(self) -> int:
        """See `Shard.candidates`."""
        return self._shard.candidates

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `Shard.search`. Some queries are kept for the audit."""
        self._sample(vectors)
        return self._shard.search(vectors, k, only)

    def search_fields(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[HitFields]]:
        """As `search`, as the fields of an answer."""
        self._sample(vectors)
        return self._shard.search_fields(vectors, k, only)

    def _sample(self, vectors: Float32Array) -> None:
        self._searches += 1
        if self._searches % _SEARCHES_PER_SAMPLE == 1 and len(vectors):
            self.sampled.append(vectors[self._searches % len(vectors)].copy())

    def frozen_shard(self) -> AuditedIndex:
        """See `Shard.frozen`."""
        return self._shard.frozen()

    def shard_versions(self) -> dict[str, int]:
        """See `Shard.versions`."""
        return self._shard.versions()

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `Shard.vectors_of`."""
        return self._shard.vectors_of(video_id)
