"""The interface of an index for an audit."""

from __future__ import annotations

import random
from typing import Protocol

from common.types import Float32Array, Hit
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
