"""The index of one machine: videos, mirror, shard and snapshots in one data folder.

storyhash.json   format, profile, model_id     videos.sqlite   the catalogue
lock             one writer at a time          mirror/         every vector, durable
snapshots/       the shard, for a fast start    thumbnails/     small pictures, if they are wanted
uploads/         files that callers uploaded
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from common.settings import Settings
from common.types import Embedding, SegmentRef
from searcher.index.shard import Shard
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot
from searcher.index_transaction import Change
from searcher.mirror.base import Mirror
from searcher.mirror.change import write_to_mirror
from searcher.mirror.compaction import compacted
from searcher.mirror.factory import open_mirror
from searcher.recovery import (
    is_level,
    level,
    mirrored,
    rebuilt_shard,
    recover_catalogue,
    recovered_shard,
)
from searcher.storage.data_dir import (
    FolderManifest,
    check_same,
    claim_folder,
    require_manifest,
    take_lock,
)
from searcher.storage.database import Database
from searcher.storage.saved_shard import SavedShard
from searcher.storage.video import Video
from searcher.video_index import VideoIndex


class LocalIndex(VideoIndex):
    """An index whose vectors are in memory and in a mirror. See `VideoIndex`."""

    in_process = True

    def __init__(
        self,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        database: Database,
        mirror: Mirror | None,
        lock: IO[str] | None,
    ) -> None:
        """mirror, lock: None if the folder is open read-only."""
        super().__init__(folder, manifest, settings, database, lock)
        self._mirror = mirror
        self._shard = Shard(settings.searcher)
        self._saved = SavedShard(folder / "snapshots", settings.searcher.keep_snapshots)
        # True from the moment when the rows may be newer than the shard, until the shard has the change.
        self._shard_is_behind = False

    @classmethod
    def open_writer(
        cls, folder: Path, manifest: FolderManifest, settings: Settings, *, answering: bool = False
    ) -> LocalIndex:
        """Open for changes; the folder is created if it does not exist. Only one process may have it open
        for changes. answering: the process also answers queries, which must not wait for the mirror.

        Raises DataFolderError if another process has it open for changes, ModelMismatchError if the
        folder has vectors of another model.
        """
        lock = claim_folder(folder, manifest)
        # If opening fails, everything is released, because a caller may retry, for example after disk
        # space is freed.
        with ExitStack() as opened:
            opened.callback(lock.close)
            database = Database(folder / "videos.sqlite")
            opened.callback(database.close)
            mirror = open_mirror(
                folder, manifest.model_id, settings.searcher, settings.qdrant, answering=answering
            )
            opened.callback(mirror.close)
            index = cls(folder, manifest, settings, database, mirror, lock)
            index._take_over()
            index._shard.merge()
            opened.pop_all()
        return index

    @classmethod
    def open_reader(cls, folder: Path, manifest: FolderManifest, settings: Settings) -> LocalIndex:
        """Open for searching, without a lock. It answers from the newest snapshot. If that is older than
        the catalogue and no other process writes, the snapshot is updated first."""
        check_same(folder, require_manifest(folder), manifest)
        database = Database(folder / "videos.sqlite", read_only=True)
        index = cls(folder, manifest, settings, database, None, None)
        loaded = load_newest(folder / "snapshots", settings.searcher, manifest.model_id)
        fresh = loaded is not None and loaded.info.sequence == index.videos.sequence
        if not fresh and os.access(folder, os.W_OK):
            lock = take_lock(folder)
            if lock is not None:
                lock.close()
                with cls.open_writer(folder, manifest, settings) as writer:
                    writer.save_snapshot()
                    index.notices, index._shard = writer.notices, writer.shard
                return index
            index.written_elsewhere = (
                f"another process is writing to {folder}: results come from its last snapshot"
            )
            index.notices.append(index.written_elsewhere)
        if loaded is not None:
            index.notices += loaded.refused
            index._shard = loaded.shard
        return index

    @property
    def mirror(self) -> Mirror:
        """Every vector, on disk. Raises DataFolderError if the folder is open read-only."""
        if self._mirror is None:
            raise self._read_only()
        return self._mirror

    @property
    def shard(self) -> Shard:
        """The index in memory."""
        return self._shard

    @property
    def _searched(self) -> Shard:
        return self._shard

    def embeddings_of(self, videos: Sequence[Video]) -> dict[str, list[Embedding]]:
        return mirrored(videos, self.mirror)

    def segments_of(self, video_id: str) -> list[SegmentRef]:
        return [one.ref for batch in self.mirror.scan([video_id]) for one in batch]

    def level_with_mirror(self, video_id: str) -> bool:
        with self.changing:
            return is_level(self._shard, video_id, self.videos.get(video_id), self.mirror)

    def relevel(self, video_id: str) -> bool:
        with self.changing:
            video = self.videos.get(video_id)
            if video is not None and video.segments:
                return level(self._shard, [video], self.mirror)
            self._shard.remove_videos([video_id])
            return True

    def rebuild(self) -> None:
        """Build the shard again, only from the mirror."""
        self._shard.close()
        self._shard = rebuilt_shard(self._settings.searcher, self.videos, self.mirror)

    def apply(self, change: Change, record: Callable[[], None] = lambda: None) -> None:
        """Make a change completely or not at all.

        1. Write the new points to the mirror and delete those of older versions and of deleted videos. 2.
        Flush the mirror to disk. 3. In one transaction, change the rows and call `record`, which writes
        what belongs to the change. 4. Swap old for new in the shard in one step. After a crash before
        step 3 the caller must repeat the change. After step 3 the shard is updated from the mirror at the
        next start.
        """
        with self.changing:
            mirror = self.mirror
            rows = change.rows()
            half_done = self._half_done.copy()
            self._half_done.update(rows)
            write_to_mirror(change, rows, half_done, self.videos, mirror)
            behind, self._shard_is_behind = self._shard_is_behind, True
            try:
                self._commit(rows, change, record)
            except Exception:
                # Nothing was written. After an interrupt (a BaseException) it is unknown, so the flag
                # stays set.
                self._shard_is_behind = behind
                raise
            if not change:
                self._shard_is_behind = behind
                return
            self._shard.replace_videos(
                [embedding for one in change.whole for embedding in one.embeddings],
                [*rows.keys() - {one.video.video_id for one in change.late}]
                + [video_id for video_id, _ in change.deleted],
            )
            self._shard.add([embedding for one in change.late for embedding in one.embeddings])
            self._shard_is_behind = behind

    def finish_deletions(self) -> None:
        """See `VideoIndex.finish_deletions`. While no snapshot can be saved, the deletions stay
        unfinished; the next start finishes them."""
        with self.changing:
            gone = self.videos.unpurged()
            if not gone:
                return
            mirror = self.mirror
            absent = [one for one in gone if self.videos.get(one) is None]
            for video_id in absent:
                mirror.delete_video(video_id)
            mirror.flush()
            self._delete_files(absent)
            self._shard.remove_videos(absent)
        # Older snapshots still have the vectors, so only the new one is kept.
        self.save_snapshot(keep=1)
        if not self._shard_is_behind:
            self.videos.mark_purged(gone)

    def save_snapshot(self, *, keep: int | None = None) -> None:
        """Save the current shard, unless the newest snapshot already has it; then small graphs and
        waiting rows are merged instead, because nothing else is to be done.

        If the shard is behind the rows, for example after an interrupt, nothing is saved; the next start
        updates it from the mirror. keep: number of snapshots to keep (default: the setting); with a
        value, the snapshot is always written. Raises StorageError, DataFolderError.
        """
        with self.changing:
            self.check_folder()
            if self._shard_is_behind:
                return
            sequence, merges = self.videos.sequence, self._shard.merges
            if keep is None and self._saved.holds(sequence, merges):
                self._shard.merge(idle=True)
                return
            info, frozen = self._snapshot_info(), self._shard.frozen()
        self._saved.save(frozen, info, merges, keep)

    def freeze_shard(self) -> Callable[[Path], None] | None:
        if self._shard_is_behind:
            return None
        info, frozen = self._snapshot_info(), self._shard.frozen()

        def write(folder: Path) -> None:
            save_snapshot(folder, frozen, info, keep=1)

        return write

    def _snapshot_info(self) -> SnapshotInfo:
        offsets = {str(partition): at for partition, at in self.staging.offsets().items()}
        return SnapshotInfo(self.videos.sequence, self.manifest.model_id, len(self._shard), offsets)

    def compact(self) -> None:
        """Rewrite mirror and catalogue. See `VideoIndex.compact`."""
        with self.changing:
            rows = {video.video_id: video for video in self.videos.all()}
            self._mirror = compacted(self.folder, self.mirror, rows)
            self._database.compact()

    def _close_stores(self) -> None:
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def _recover(self) -> None:
        """Make catalogue, mirror and shard consistent."""
        mirror = self.mirror
        self.notices += recover_catalogue(self.videos, mirror)
        recovered = recovered_shard(
            self.folder / "snapshots",
            self._settings.searcher,
            self.manifest.model_id,
            self.videos,
            mirror,
        )
        self._shard = recovered.shard
        self._saved.loaded(recovered.snapshot, recovered.sequence)
        self.notices += recovered.said
