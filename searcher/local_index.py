"""The index of one machine: videos, mirror, shard and snapshots in one data folder.

storyhash.json   format, profile, model_id     videos.sqlite   the catalogue
lock             one writer at a time          mirror/         every vector, durable
snapshots/       the shard, for a fast start    thumbnails/     small pictures, if they are wanted
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

from common.errors import DataFolderError, VideoError
from common.settings import Settings
from common.types import Embedding, Float32Array, Hit, SegmentRef
from searcher.index.protocols import AuditedIndex
from searcher.index.shard import Shard, ShardStats
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.index_transaction import Change, CompleteVideo
from searcher.mirror.base import Mirror
from searcher.mirror.compaction import compacted
from searcher.mirror.factory import open_mirror
from searcher.storage.data_dir import (
    FolderManifest,
    check_same,
    claim_folder,
    require_manifest,
    take_lock,
)
from searcher.storage.database import Database
from searcher.storage.recovery import (
    is_level,
    level,
    mirrored,
    rebuilt_shard,
    recover_catalogue,
    recovered_shard,
)
from searcher.storage.saved_shard import SavedShard
from searcher.storage.staging import Staging
from searcher.storage.thumbnails import ThumbnailStore
from searcher.storage.video import Video, now
from searcher.storage.video_store import VideoStore

# For the audit, one of this many searches contributes a query; the newest _SAMPLES queries are kept.
_SAMPLES, _SEARCHES_PER_SAMPLE = 32, 8


class LocalIndex:
    """An open data folder. Any thread may search and change it. Changes run one at a time, under the lock
    `changing`; searches never wait."""

    # Whether a search is work of this process alone.
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
        self.folder = folder
        self.manifest = manifest
        self.videos = VideoStore(database)
        self.staging = Staging(database)
        self.thumbnails = ThumbnailStore(folder)
        self.changing = threading.RLock()
        self.notices: list[str] = []
        self._settings = settings
        self._database = database
        self._mirror = mirror
        self._lock = lock
        self._saved = SavedShard(folder / "snapshots", settings.searcher.keep_snapshots)
        # Ids of videos for which an interrupted change may have left points in the mirror.
        self._half_done: set[str] = set()
        # True from the moment when the rows may be newer than the shard, until the shard has the change.
        self._shard_is_behind = False
        self._shard = Shard(settings.searcher)
        self.sampled: deque[Float32Array] = deque(maxlen=_SAMPLES)
        self._searches = 0

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
                folder,
                manifest.model_id,
                settings.searcher,
                settings.qdrant,
                answering=answering,
            )
            opened.callback(mirror.close)
            index = cls(folder, manifest, settings, database, mirror, lock)
            index.thumbnails.sweep()
            index._recover()
            index._half_done.update(index.videos.pending())
            index.finish_deletions()
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
                    index.notices, index._shard = writer.notices, writer._shard
                return index
            index.notices.append(
                f"another process is writing to {folder}: results come from its last snapshot"
            )
        if loaded is not None:
            index.notices += loaded.refused
            index._shard = loaded.shard
        return index

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stats(self) -> ShardStats:
        return self._shard.stats()

    @property
    def merge_trouble(self) -> str:
        """See `Shard.merge_trouble`."""
        return self._shard.merge_trouble

    @property
    def waiting(self) -> int:
        """See `Shard.waiting`."""
        return self._shard.waiting

    @property
    def candidates(self) -> int:
        """See `Shard.candidates`."""
        return self._shard.candidates

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `Shard.search`. Some queries are kept for the audit."""
        self._sample(vectors)
        return self._shard.search(vectors, k, only)

    def _sample(self, vectors: Float32Array) -> None:
        self._searches += 1
        if self._searches % _SEARCHES_PER_SAMPLE == 1 and len(vectors):
            self.sampled.append(vectors[self._searches % len(vectors)].copy())

    def frozen_shard(self) -> AuditedIndex:
        """See `Shard.frozen`."""
        return self._shard.frozen()

    def shard_versions(self) -> dict[str, int]:
        """See `Shard.versions`."""
        return self._shard.versions()

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `Shard.vectors_of`."""
        return self._shard.vectors_of(video_id)

    def replace_video(self, video: Video, embeddings: Sequence[Embedding]) -> None:
        """Make these embeddings the new version of a video. After a crash its row is pending until the
        call is repeated, and the snapshot still has the old version. Raises ValueError for embeddings of
        another version, DataFolderError if read-only."""
        if any(one.ref.version != video.version for one in embeddings):
            raise ValueError(f"embeddings: expected version {video.version} of {video.video_id}")
        with self.changing:
            self._check_writable()
            self.videos.begin(video)
            self.apply(Change(whole=[CompleteVideo(video, embeddings)]))

    def apply(self, change: Change, record: Callable[[], None] = lambda: None) -> None:
        """Make a change completely or not at all.

        1. Write the new points to the mirror and delete those of older versions and of deleted videos. 2.
        Flush the mirror to disk. 3. In one transaction, change the rows and call `record`, which writes
        what belongs to the change. 4. Swap old for new in the shard in one step. After a crash before
        step 3 the caller must repeat the change. After step 3 the shard is updated from the mirror at the
        next start.
        """
        with self.changing:
            mirror = self._writable()
            rows = {one.video.video_id: complete_row(one) for one in change.whole}
            rows |= {one.video.video_id: one.video for one in change.late}
            old = {video_id: self.videos.get(video_id) for video_id in rows}
            written = [
                embedding for one in (*change.whole, *change.late) for embedding in one.embeddings
            ]
            for one in change.whole:
                video_id, before = one.video.video_id, old[one.video.video_id]
                if video_id in self._half_done:
                    mirror.delete_video(video_id, keep_version=before.version if before else None)
            self._half_done.update(rows)
            if written:
                if not self.videos.owns_mirror:
                    self.videos.own_mirror()
                mirror.upsert(written, rows)
            for one in change.whole:
                before = old[one.video.video_id]
                if before is not None and before.version:
                    mirror.delete_video(one.video.video_id, keep_version=one.video.version)
            for video_id, _ in change.deleted:
                mirror.delete_video(video_id)
            if change:
                mirror.flush()
            behind, self._shard_is_behind = self._shard_is_behind, True
            # The rows and what `record` writes are in one transaction.
            try:
                with self._database.change():
                    for row in rows.values():
                        self.videos.commit(row)
                    for video_id, version in change.deleted:
                        self.videos.delete(video_id, version)
                    record()
            except Exception:
                # Nothing was written. After an interrupt (a BaseException) it is unknown, so the flag
                # stays set.
                self._shard_is_behind = behind
                raise
            self._half_done.difference_update(rows)
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

    def embeddings_of(self, videos: Sequence[Video]) -> dict[str, list[Embedding]]:
        """The embeddings in the mirror of the complete version of each video, by video_id."""
        return mirrored(videos, self._writable())

    def segments_of(self, video_id: str) -> list[SegmentRef]:
        """Every segment of a video in the mirror, including those with only low-information frames."""
        mirror = self._writable()
        return [one.ref for batch in mirror.scan([video_id]) for one in batch]

    def mark_failed(self, video: Video, error: VideoError) -> None:
        """Record why a video could not be indexed. An older version stays searchable."""
        with self.changing:
            self._check_writable()
            self.videos.fail(video, error.code, str(error))

    def delete_video(self, video_id: str) -> bool:
        """Remove a video from catalogue, mirror, shard and all snapshots. Returns False if it is
        unknown."""
        return self.delete_videos([video_id]) == 1

    def delete_videos(self, video_ids: Sequence[str]) -> int:
        """As `delete_video`, with one snapshot for all. Returns the number of known videos."""
        with self.changing:
            self._check_writable()
            known = [one for one in video_ids if self.videos.get(one) is not None]
            for video_id in known:
                self.videos.delete(video_id)
            if known:
                self.finish_deletions()
            return len(known)

    def save_snapshot(self, *, keep: int | None = None) -> None:
        """Save the current shard, unless the newest snapshot already has it; then small graphs are merged
        instead, because nothing else is to be done.

        If the shard is behind the rows, for example after an interrupt, nothing is saved; the next start
        updates it from the mirror. keep: number of snapshots to keep (default: the setting); with a
        value, the snapshot is always written. Raises StorageError.
        """
        with self.changing:
            if self._shard_is_behind:
                return
            sequence, merges = self.videos.sequence, self._shard.merges
            if keep is None and self._saved.holds(sequence, merges):
                self._shard.merge(idle=True)
                return
            info, frozen = self._snapshot_info(), self._shard.frozen()
        self._saved.save(frozen, info, merges, keep)

    def freeze_shard(self) -> Callable[[Path], None] | None:
        """A function that writes a snapshot of the shard as it is now into an empty folder, at any later
        time. None if there is nothing to write that the next start could use. Call it under the lock
        `changing`."""
        if self._shard_is_behind:
            return None
        info, frozen = self._snapshot_info(), self._shard.frozen()

        def write(folder: Path) -> None:
            save_snapshot(folder, frozen, info, keep=1)

        return write

    def _snapshot_info(self) -> SnapshotInfo:
        offsets = {str(partition): at for partition, at in self.staging.offsets().items()}
        return SnapshotInfo(self.videos.sequence, self.manifest.model_id, len(self._shard), offsets)

    def rebuild(self) -> None:
        """Build the shard again, only from the mirror."""
        self._shard.close()
        self._shard = rebuilt_shard(self._settings.searcher, self.videos, self._writable())

    def compact(self) -> None:
        """Rewrite mirror and catalogue without the bytes of what was deleted. Changes wait, searches do
        not. Raises UsageError if the mirror is a server, StorageError."""
        with self.changing:
            rows = {video.video_id: video for video in self.videos.all()}
            self._mirror = compacted(self.folder, self._writable(), rows)
            self._database.compact()

    def close(self) -> None:
        """Release the folder. All changes are durable already; no snapshot is saved."""
        self._shard.close()
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None
        self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _check_writable(self) -> None:
        """Raises DataFolderError if the folder is open read-only."""
        self._writable()

    def _writable(self) -> Mirror:
        if self._mirror is None:
            raise DataFolderError(f"{self.folder} is open read-only")
        return self._mirror

    def relevel(self, video_id: str) -> bool:
        """Make the shard's segments of a video equal to the mirror's. Returns False if some are missing
        in the mirror."""
        with self.changing:
            video = self.videos.get(video_id)
            if video is not None and video.segments:
                return level(self._shard, [video], self._writable())
            self._shard.remove_videos([video_id])
            return True

    def level_with_mirror(self, video_id: str) -> bool:
        """Whether the shard has exactly the segments that the mirror has of the video's complete
        version."""
        with self.changing:
            video = self.videos.get(video_id)
            return is_level(self._shard, video_id, video, self._writable())

    def _recover(self) -> None:
        """Make catalogue, mirror and shard consistent."""
        mirror = self._writable()
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

    def finish_deletions(self) -> None:
        """Remove deleted videos from mirror, shard, snapshots and thumbnails. Also finishes deletions of
        a process that was killed."""
        with self.changing:
            gone = self.videos.unpurged()
            if not gone:
                return
            mirror = self._writable()
            for video_id in gone:
                if self.videos.get(video_id) is None:
                    mirror.delete_video(video_id)
            mirror.flush()
            self.thumbnails.delete(one for one in gone if self.videos.get(one) is None)
            self._shard.remove_videos([one for one in gone if self.videos.get(one) is None])
        # Older snapshots still have the vectors, so only the new one is kept.
        self.save_snapshot(keep=1)
        self.videos.mark_purged(gone)


def complete_row(one: CompleteVideo) -> Video:
    """The row of a video that has just become complete."""
    return replace(
        one.video,
        state="ready",
        segments=len(one.embeddings),
        uninformative_segments=sum(not each.informative for each in one.embeddings),
        indexed_at=now(),
    )
