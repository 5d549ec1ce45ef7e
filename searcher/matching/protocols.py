"""The interface of an index for matching."""

from __future__ import annotations

from typing import Protocol

from common.types import Float32Array, Hit
from searcher.index.state import EVERYTHING, Filter, VideoSegments


class SegmentIndex(Protocol):
    """Finds the nearest segments, and all segments of a video."""

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of each query vector, best first. vectors: float32 (n, 527)."""
        ...

    def vectors_of(self, video_id: str) -> VideoSegments:
        """The segments of a video in time order, with their vectors and frame codes."""
        ...
