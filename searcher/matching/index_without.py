"""An index in which some videos are not found: more hits are asked for until enough are of others."""

from __future__ import annotations

from common.types import Float32Array, Hit
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.matching.protocols import SegmentIndex

# Hits of one vector that are asked for at most: beyond so many segments of the videos left out, fewer
# than k of others are given.
_MOST_HITS = 1 << 14


class IndexWithout:
    """`index` as if it did not hold the videos of `without`."""

    def __init__(self, index: SegmentIndex, without: frozenset[str]) -> None:
        self._index = index
        self._without = without

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of other videos; fewer where 16,384 hits hold no more."""
        return [self._nearest(vectors[at : at + 1], k, only) for at in range(len(vectors))]

    def vectors_of(self, video_id: str) -> VideoSegments:
        """A video's segments."""
        return self._index.vectors_of(video_id)

    def _nearest(self, vector: Float32Array, k: int, only: Filter) -> list[Hit]:
        asked = k + len(self._without)
        while True:
            (hits,) = self._index.search(vector, asked, only)
            kept = [hit for hit in hits if hit.ref.video_id not in self._without][:k]
            if len(kept) == k or len(hits) < asked or asked >= _MOST_HITS:
                return kept
            asked = min(4 * asked, _MOST_HITS)
