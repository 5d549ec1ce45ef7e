"""Snapshots from time to time."""

from __future__ import annotations

import time

from searcher.local_index import LocalIndex


class SnapshotTimer:
    """Writes the shard to disk when the last time is long enough ago."""

    def __init__(self, index: LocalIndex, every_seconds: float) -> None:
        self._index = index
        self._every_seconds = every_seconds
        self._last = time.monotonic()

    def save_if_due(self) -> None:
        """Raises StorageError when the disk refuses; the next try is not before the next time."""
        if time.monotonic() - self._last >= self._every_seconds:
            self._last = time.monotonic()
            self._index.save_snapshot()
