"""The index of one machine: a data folder that ties videos, mirror, shard and snapshots together.

storyhash.json   format, profile, model_id     videos.sqlite   the catalogue
lock             one writer at a time          mirror/         every vector, durable
snapshots/       the shard, for a fast start
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

from common.errors import DataFolderError, VideoError
from common.settings import Settings
from common.types import Embedding, Float32Array, Hit, SegmentRef
from searcher.index.shard import Shard, ShardStats
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot
from searcher.index.state import EVERYTHING, Filter, VideoSegments
from searcher.index_transaction import Change, CompleteVideo
from searcher.mirror.base import Mirror
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
from searcher.storage.staging import Staging
from searcher.storage.video_store import Video, VideoStore, now

# Queries kept for the audit: the newest so many, one in so many.
_SAMPLES, _SEARCHES_A_SAMPLE = 32, 8


class LocalIndex:
    """One process' hold on a data folder. Any thread may search or change it; changes take turns under
    `changing`, searches wait for nothing."""

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
        self.changing = threading.RLock()
        self._snapshotting = threading.Lock()
        self.notices: list[str] = []
        self._settings = settings
        self._database = database
        self._mirror = mirror
        self._lock = lock
        self._snapshot_sequence = -1
        # Videos of which a change that was cut short may have left points in the mirror.
        self._half_done: set[str] = set()
        # From the moment at which rows may say more than the shard holds, until it holds it.
        self._shard_is_behind = False
        self._shard = Shard(settings.searcher)
        self.sampled: deque[Float32Array] = deque(maxlen=_SAMPLES)
        self._searches = 0

    @classmethod
    def open_writer(
        cls, folder: Path, manifest: FolderManifest, settings: Settings, *, answering: bool = False
    ) -> LocalIndex:
        """Open for changes, making the folder where there is none; only one process may. `answering`:
        queries are answered meanwhile and must not wait for the mirror.

        Raises DataFolderError while another process writes, ModelMismatchError when the folder
        holds another model's vectors.
        """
        lock = claim_folder(folder, manifest)
        # Release all of it where opening fails: whoever waits for room on the disk opens it again.
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
            index._recover()
            index._half_done.update(index.videos.pending())
            index.finish_deletions()
            index._shard.merge()
            opened.pop_all()
        return index

    @classmethod
    def open_reader(cls, folder: Path, manifest: FolderManifest, settings: Settings) -> LocalIndex:
        """Open for searching. Needs no lock: it answers from the newest snapshot, and where that is
        behind and nobody writes, it brings it up to date first."""
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

    def __enter__(self) -> LocalIndex:
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
        """See `Shard.search`. Now and then a query is kept for the audit."""
        self._searches += 1
        if self._searches % _SEARCHES_A_SAMPLE == 1 and len(vectors):
            self.sampled.append(vectors[self._searches % len(vectors)].copy())
        return self._shard.search(vectors, k, only)

    def frozen_shard(self) -> Shard:
        """See `Shard.frozen`."""
        return self._shard.frozen()

    def shard_versions(self) -> dict[str, int]:
        """See `Shard.versions`."""
        return self._shard.versions()

    def vectors_of(self, video_id: str) -> VideoSegments:
        """See `Shard.vectors_of`."""
        return self._shard.vectors_of(video_id)

    def replace_video(self, video: Video, embeddings: Sequence[Embedding]) -> None:
        """Make these embeddings the video's whole new version. After a crash its row is pending until
        it is done again, while the snapshot answers with the old version."""
        if any(one.ref.version != video.version for one in embeddings):
            raise ValueError(f"embeddings: expected version {video.version} of {video.video_id}")
        with self.changing:
            self._writable()
            self.videos.begin(video)
            self.apply(Change(whole=[CompleteVideo(video, embeddings)]))

    def apply(self, change: Change, record: Callable[[], None] = lambda: None) -> None:
        """Make a change, all of it or nothing.

        1. the points are written to the mirror, those of older versions and of deleted videos deleted
        there; 2. the mirror is flushed to disk; 3. in one transaction the rows change and `record`
        notes what goes with them; 4. the shard swaps old for new in one step. After a crash before 3
        the same change must be asked for again; after 3 the shard is made level from the mirror.
        """
        with self.changing:
            mirror = self._writable()
            rows = {one.video.video_id: _ready(one) for one in change.whole}
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
            # Rows, and what is noted with them, in one transaction.
            try:
                with self._database.change():
                    for row in rows.values():
                        self.videos.commit(row)
                    for video_id, version in change.deleted:
                        self.videos.delete(video_id, version)
                    record()
            except Exception:
                # Nothing of it was written. After an interrupt nobody knows.
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
        """What the mirror holds of the whole version of each of these videos, by video_id."""
        return mirrored(videos, self._writable())

    def segments_of(self, video_id: str) -> list[SegmentRef]:
        """Every segment the mirror holds of a video, also those without information."""
        mirror = self._writable()
        return [one.ref for batch in mirror.scan([video_id]) for one in batch]

    def mark_failed(self, video: Video, error: VideoError) -> None:
        """Note why a video could not be indexed; an older version of it stays searchable."""
        with self.changing:
            self._writable()
            self.videos.fail(video, error.code, str(error))

    def delete_video(self, video_id: str) -> bool:
        """Remove a video from catalogue, mirror, shard and every snapshot; False if unknown."""
        return self.delete_videos([video_id]) == 1

    def delete_videos(self, video_ids: Sequence[str]) -> int:
        """As `delete_video`, with one snapshot for all; how many were known."""
        with self.changing:
            self._writable()
            known = [one for one in video_ids if self.videos.get(one) is not None]
            for video_id in known:
                self.videos.delete(video_id)
            if known:
                self.finish_deletions()
            return len(known)

    def save_snapshot(self, *, keep: int | None = None) -> None:
        """Write the shard as it is now, unless the newest snapshot already holds it.

        A shard that was not brought level with the rows, as after an interrupt, is not written: the next
        start makes it level from the mirror.
        """
        with self.changing:
            if self._shard_is_behind:
                return
            sequence = self.videos.sequence
            if sequence == self._snapshot_sequence and keep is None:
                return
            offsets = {str(partition): at for partition, at in self.staging.offsets().items()}
            info = SnapshotInfo(sequence, self.manifest.model_id, len(self._shard), offsets)
            frozen = self._shard.frozen()
        with self._snapshotting:
            save_snapshot(
                self.folder / "snapshots",
                frozen,
                info,
                keep=keep or self._settings.searcher.keep_snapshots,
            )
            self._snapshot_sequence = sequence

    def rebuild(self) -> None:
        """Make the shard anew from the mirror alone."""
        self._shard.close()
        self._shard = rebuilt_shard(self._settings.searcher, self.videos, self._writable())

    def close(self) -> None:
        """Release the folder. Everything changed is durable already; a snapshot is not made."""
        self._shard.close()
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None
        self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _writable(self) -> Mirror:
        if self._mirror is None:
            raise DataFolderError(f"{self.folder} is open read-only")
        return self._mirror

    def relevel(self, video_id: str) -> bool:
        """Make the shard hold of a video what the mirror does; False where that lacks a part of it."""
        with self.changing:
            video = self.videos.get(video_id)
            if video is not None and video.segments:
                return level(self._shard, [video], self._writable())
            self._shard.remove_videos([video_id])
            return True

    def level_with_mirror(self, video_id: str) -> bool:
        """Whether the shard holds of a video just what the mirror holds of its whole version."""
        with self.changing:
            video = self.videos.get(video_id)
            return is_level(self._shard, video_id, video, self._writable())

    def _recover(self) -> None:
        """Bring catalogue, mirror and shard level with one another."""
        mirror = self._writable()
        self.notices += recover_catalogue(self.videos, mirror)
        self._shard, self._snapshot_sequence, said = recovered_shard(
            self.folder / "snapshots",
            self._settings.searcher,
            self.manifest.model_id,
            self.videos,
            mirror,
        )
        self.notices += said

    def finish_deletions(self) -> None:
        """Purge what was deleted from the snapshots too, also after a process was killed while it did."""
        with self.changing:
            gone = self.videos.unpurged()
            if not gone:
                return
            mirror = self._writable()
            for video_id in gone:
                if self.videos.get(video_id) is None:
                    mirror.delete_video(video_id)
            mirror.flush()
            self._shard.remove_videos([one for one in gone if self.videos.get(one) is None])
        # Older snapshots still hold the vectors, so only the new one is kept.
        self.save_snapshot(keep=1)
        self.videos.mark_purged(gone)


def _ready(one: CompleteVideo) -> Video:
    """The row of a video that has just become whole."""
    return replace(
        one.video,
        state="ready",
        segments=len(one.embeddings),
        uninformative_segments=sum(not each.informative for each in one.embeddings),
        indexed_at=now(),
    )
