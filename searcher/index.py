"""The index of one machine: a data folder that ties videos, mirror, shard and snapshots together.

storyhash.json   format, profile, model_id     videos.sqlite   the catalogue
lock             one writer at a time          mirror/         every vector, durable
snapshots/       the shard, for a quick start
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from common.errors import DataFolderError, StorageError, VideoError
from common.settings import Settings
from common.types import Embedding, Float32Array, Hit, SegmentRef
from searcher.folder import (
    FolderManifest,
    check_same,
    read_manifest,
    require_manifest,
    take_lock,
    write_manifest,
)
from searcher.mirror.base import Mirror
from searcher.mirror.opening import open_mirror
from searcher.shard import Shard, ShardStats
from searcher.snapshot import SnapshotInfo, load_newest, save_snapshot
from searcher.state import EVERYTHING, Filter
from searcher.videos import Video, VideoStore


class LocalIndex:
    """One process' hold on a data folder. Searches may run from any thread; changes from one."""

    def __init__(
        self,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        videos: VideoStore,
        mirror: Mirror | None,
        lock: IO[str] | None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.videos = videos
        self.notices: list[str] = []
        self._settings = settings
        self._mirror = mirror
        self._lock = lock
        self._snapshot_sequence = -1
        self._shard = Shard(settings.searcher)

    @classmethod
    def open_writer(cls, folder: Path, manifest: FolderManifest, settings: Settings) -> LocalIndex:
        """Open for changes, making the folder where there is none; only one process may.

        Raises DataFolderError while another process writes, ModelMismatchError when the folder
        holds another model's vectors.
        """
        held = read_manifest(folder)
        check_same(folder, held, manifest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = take_lock(folder)
            if lock is None:
                holder = (folder / "lock").read_text().strip() or "unknown"
                raise DataFolderError(
                    f"{folder} is in use by process {holder}; wait for it, or choose another --data"
                )
            if held is None:
                write_manifest(folder, manifest)
        except OSError as error:
            raise StorageError(
                f"{folder}: {error.strerror}; choose another folder with --data"
            ) from None
        index = cls(
            folder,
            manifest,
            settings,
            VideoStore(folder / "videos.sqlite"),
            open_mirror(folder, manifest.model_id, settings.searcher, settings.qdrant),
            lock,
        )
        index._load()
        index._finish_deletions()
        return index

    @classmethod
    def open_reader(cls, folder: Path, manifest: FolderManifest, settings: Settings) -> LocalIndex:
        """Open for searching. Needs no lock: it answers from the newest snapshot, and where that is
        behind and nobody writes, it brings it up to date first."""
        check_same(folder, require_manifest(folder), manifest)
        store = VideoStore(folder / "videos.sqlite", read_only=True)
        index = cls(folder, manifest, settings, store, None, None)
        loaded = load_newest(folder / "snapshots", settings.searcher, manifest.model_id)
        fresh = loaded is not None and loaded.info.sequence == store.sequence
        if not fresh and os.access(folder, os.W_OK):
            lock = take_lock(folder)
            if lock is not None:
                lock.close()
                with cls.open_writer(folder, manifest, settings) as writer:
                    writer.save_snapshot()
                    index.notices, index._shard = writer.notices, writer._shard
                return index
            index.notices.append(
                f"another process is writing to {folder}: answers come from its last snapshot"
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

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """See `Shard.search`."""
        return self._shard.search(vectors, k, only)

    def vectors_of(self, video_id: str) -> tuple[list[SegmentRef], Float32Array]:
        """See `Shard.vectors_of`."""
        return self._shard.vectors_of(video_id)

    def replace_video(self, video: Video, embeddings: Sequence[Embedding]) -> None:
        """Make these embeddings the video's whole new version.

        1. the row is marked pending; 2. the points are written to the mirror, the old version's
        are deleted there; 3. the mirror is flushed to disk; 4. the row is made ready with the new
        version; 5. the shard swaps old for new in one step. After a crash before 4 the row is still
        pending and `index` does the video again, while the snapshot answers with the old version;
        after 4 the new version is loaded from the mirror.
        """
        mirror = self._writable()
        if any(one.ref.version != video.version for one in embeddings):
            raise ValueError(f"embeddings: expected version {video.version} of {video.video_id}")
        self.videos.begin(video)
        mirror.upsert(embeddings)
        mirror.delete_video(video.video_id, keep_version=video.version)
        mirror.flush()
        self.videos.commit(
            replace(
                video,
                state="ready",
                segments=len(embeddings),
                uninformative_segments=sum(not one.informative for one in embeddings),
            )
        )
        self._shard.replace_video(video.video_id, embeddings)

    def mark_failed(self, video: Video, error: VideoError) -> None:
        """Note why a video could not be indexed; an older version of it stays searchable."""
        self._writable()
        self.videos.fail(video, error.code, str(error))

    def delete_video(self, video_id: str) -> bool:
        """Remove a video from catalogue, mirror, shard and every snapshot; False if unknown."""
        self._writable()
        if self.videos.get(video_id) is None:
            return False
        self.videos.delete(video_id)
        self._finish_deletions()
        return True

    def save_snapshot(self, *, keep: int | None = None) -> None:
        """Write the shard as it is now, unless the newest snapshot already holds it."""
        sequence = self.videos.sequence
        if sequence == self._snapshot_sequence and keep is None:
            return
        info = SnapshotInfo(sequence, self.manifest.model_id, len(self._shard), {})
        save_snapshot(
            self.folder / "snapshots",
            self._shard,
            info,
            keep=keep or self._settings.searcher.keep_snapshots,
        )
        self._snapshot_sequence = sequence

    def rebuild(self) -> None:
        """Make the shard anew from the mirror alone."""
        mirror = self._writable()
        self._shard.wait_for_build()
        self._shard = Shard(self._settings.searcher)
        versions = self.videos.versions()
        for batch in mirror.scan():
            self._shard.add(
                [one for one in batch if versions.get(one.ref.video_id) == one.ref.version]
            )

    def close(self) -> None:
        """Let go of the folder. Everything changed is durable already; a snapshot is not made."""
        self._shard.wait_for_build()
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None
        self.videos.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _writable(self) -> Mirror:
        if self._mirror is None:
            raise DataFolderError(f"{self.folder} is open for searching only")
        return self._mirror

    def _load(self) -> None:
        """Take up the newest good snapshot and bring it level with the catalogue."""
        mirror = self._writable()
        loaded = load_newest(
            self.folder / "snapshots", self._settings.searcher, self.manifest.model_id
        )
        if loaded is None or loaded.info.sequence < 0:
            if loaded is not None:
                self.notices += [f"{why}; rebuilt from the mirror" for why in loaded.refused]
            self.rebuild()
            return
        self.notices += [
            f"{why}; the older snapshot {loaded.info.sequence} is used and brought up to date"
            for why in loaded.refused
        ]
        self._shard = loaded.shard
        if loaded.info.sequence == self.videos.sequence and not loaded.refused:
            self._snapshot_sequence = loaded.info.sequence
            return
        versions = self.videos.versions()
        held = self._shard.versions()
        self._shard.remove_videos([gone for gone in held if gone not in versions])
        for video_id, version in versions.items():
            if held.get(video_id) == version:
                continue
            points = [one for batch in mirror.scan(video_id) for one in batch]
            current = [one for one in points if one.ref.version == version]
            if current:
                self._shard.replace_video(video_id, current)

    def _finish_deletions(self) -> None:
        """Purge what was deleted, also by a process that was killed while it did so."""
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
