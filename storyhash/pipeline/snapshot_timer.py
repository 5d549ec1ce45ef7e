"""Saves snapshots at regular intervals."""

from __future__ import annotations

import time

from searcher.video_index import VideoIndex


class SnapshotTimer:
    """Saves a snapshot of the shard if the last one is old enough."""

    def __init__(self, index: VideoIndex, every_seconds: float) -> None:
        self._index = index
        self._every_seconds = every_seconds
        self._last = time.monotonic()

    def save_if_due(self) -> None:
        """Save a snapshot if it is due. Raises StorageError if it cannot be written; the next attempt is
        at the next interval."""
        if time.monotonic() - self._last >= self._every_seconds:
            self._last = time.monotonic()
            self._index.save_snapshot()
