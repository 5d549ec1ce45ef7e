"""What matching needs of an index."""

from __future__ import annotations

from typing import Protocol

from common.types import Float32Array, Hit
from searcher.index.state import EVERYTHING, Filter, VideoSegments


class SegmentIndex(Protocol):
    """Nearest segments, and all segments of one video."""

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of each query vector, float32 (n, 527)."""
        ...

    def vectors_of(self, video_id: str) -> VideoSegments:
        """A video's segments, with their vectors and their frames."""
        ...
