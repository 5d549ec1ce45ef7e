"""The interfaces of what an index searches: for an audit, and as a whole."""

from __future__ import annotations

import random
from typing import Protocol

from common.types import Float32Array, Hit
from searcher.index.hit_fields import HitFields
from searcher.index.shard import ShardStats
from searcher.index.state import EVERYTHING, Filter, VideoSegments


class AuditedIndex(Protocol):
    """Searches with and without its graph."""

    def __len__(self) -> int:
        """Number of searchable segments."""
        ...

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `SegmentIndex.search`."""
        ...

    def search_exact(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        """As `search`, but exact."""
        ...

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `SegmentIndex.vectors_of`."""
        ...

    def some_videos(self, count: int, rng: random.Random) -> list[str]:
        """Ids of `count` random searchable videos; fewer if there are fewer."""
        ...


class SearchedSegments(Protocol):
    """The searchable segments of an index: a `Shard`, or the collections of a Qdrant server."""

    @property
    def merge_trouble(self) -> str:
        """See `Shard.merge_trouble`."""
        ...

    @property
    def waiting(self) -> int:
        """See `Shard.waiting`."""
        ...

    @property
    def candidates(self) -> int:
        """See `Shard.candidates`."""
        ...

    def stats(self) -> ShardStats:
        """Counts and memory use."""
        ...

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `Shard.search`."""
        ...

    def search_fields(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[HitFields]]:
        """See `Shard.search_fields`."""
        ...

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `Shard.vectors_of`."""
        ...

    def versions(self) -> dict[str, int]:
        """See `Shard.versions`."""
        ...

    def frozen(self) -> AuditedIndex:
        """A state that later changes do not alter, as far as it can be had."""
        ...

    def close(self) -> None:
        """End background work and connections."""
        ...
