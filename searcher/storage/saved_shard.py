"""The snapshots of an index: written if something changed since the last one."""

from __future__ import annotations

import threading
from pathlib import Path

from searcher.index.shard import Shard
from searcher.index.snapshot import SnapshotInfo, keep_newest, save_snapshot

# Of a shard that no snapshot holds as it is.
NO_SNAPSHOT = -1


class SavedShard:
    """Knows which snapshot holds the shard as it is. keep: number of snapshots to keep."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._writing = threading.Lock()
        # Changes of the catalogue and merges of the shard that the newest snapshot has.
        self._held = (NO_SNAPSHOT, 0)
        # Snapshots that this process has written or verified.
        self._intact: set[Path] = set()

    def loaded(self, path: Path | None, sequence: int) -> None:
        """A shard was read from `path`; `sequence`: that of the catalogue if it equals the shard, else
        NO_SNAPSHOT."""
        self._held = (sequence, 0)
        if path is not None:
            self._intact.add(path)

    def holds(self, sequence: int, merges: int) -> bool:
        """Whether the newest snapshot has these changes and merges."""
        return self._held == (sequence, merges)

    def save(self, frozen: Shard, info: SnapshotInfo, merges: int, keep: int | None) -> None:
        """Write a snapshot, unless one of a newer catalogue was written since the shard was frozen: what
        was deleted meanwhile must not come back. Raises StorageError."""
        with self._writing:
            if info.sequence < self._held[0]:
                keep_newest(self._folder, keep or self._keep)
                return
            path = save_snapshot(
                self._folder, frozen, info, keep=keep or self._keep, intact=self._intact
            )
            self._intact = {one for one in (*self._intact, path) if one.exists()}
            self._held = (info.sequence, merges)
