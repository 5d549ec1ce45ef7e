"""The collections of Qdrant, as an index searches them."""

from __future__ import annotations

import threading
import time

from common.errors import StoryHashError
from common.settings import SearcherSettings
from common.types import Float32Array, Hit
from searcher.index.hit_fields import HitFields, fields_of
from searcher.index.shard import ShardStats
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.qdrant.store import QdrantStore

# After a failure, so long no count is asked for.
_PAUSE_SECONDS = 60.0


class QdrantSegments:
    """See `SearchedSegments`. Qdrant has the vectors and merges them: nothing waits for it here."""

    merge_trouble = ""
    waiting = 0

    def __init__(self, store: QdrantStore, settings: SearcherSettings) -> None:
        self.candidates = settings.ef_search or settings.ef_construction
        self._store = store
        self._live = 0
        self._counting = threading.Lock()
        # By `time.monotonic`; later than now after a count that failed.
        self._count_at = 0.0

    def stats(self) -> ShardStats:
        """Counts of the collection, those of the last answer while it does not respond. Only one call at
        a time waits for it, and none soon after a failure: metrics are read every few seconds, and a
        Qdrant that hangs takes most of a minute."""
        if time.monotonic() >= self._count_at and self._counting.acquire(blocking=False):
            try:
                self._live = len(self._store)
            except StoryHashError:
                self._count_at = time.monotonic() + _PAUSE_SECONDS
            finally:
                self._counting.release()
        return ShardStats(self._live, 0, self._live, 0, 0.0)

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        return self._store.search(vectors, k, only)

    def search_fields(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[HitFields]]:
        return [[fields_of(hit) for hit in hits] for hits in self.search(vectors, k, only)]

    def vectors_of(self, video_id: str) -> VideoSegments:
        return self._store.vectors_of(video_id)

    def versions(self) -> dict[str, int]:
        return self._store.register.versions()

    def frozen(self) -> QdrantStore:
        """The collections themselves, which change."""
        return self._store

    def close(self) -> None:
        self._store.close()
