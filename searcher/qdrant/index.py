"""The index over Qdrant: the collections hold every vector, this machine holds none.

One process indexes: its data folder has the catalogue, with videos that wait or failed, and what is
staged from a log. Any number of processes answer, without a data folder. Nothing is loaded at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from common.settings import Settings
from common.types import Embedding, SegmentRef
from searcher.index_transaction import Change
from searcher.qdrant.catalogue import RegisteredRows
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.recovery import recover, sweep
from searcher.qdrant.segments import QdrantSegments
from searcher.qdrant.store import QdrantStore
from searcher.storage.data_dir import FolderManifest, check_same, claim_folder, read_manifest
from searcher.storage.database import Database
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex


class QdrantIndex(VideoIndex):
    """An index whose vectors are in Qdrant. See `VideoIndex`, and `QdrantStore` for how a change becomes
    visible."""

    in_process = False

    def __init__(
        self,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        database: Database,
        store: QdrantStore,
        lock: IO[str] | None,
    ) -> None:
        """lock: None if it is open read-only."""
        super().__init__(folder, manifest, settings, database, lock)
        self.store = store
        self._segments = QdrantSegments(store, settings.searcher)
        # Changes of the catalogue that the register may not have yet.
        self._unshown: dict[str, Video] = {}
        self._unhidden: dict[str, int] = {}

    @classmethod
    def open_writer(
        cls,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        *,
        nodes: Nodes | None = None,
    ) -> QdrantIndex:
        """As `LocalIndex.open_writer`. nodes: instead of those that the settings name."""
        lock = claim_folder(folder, manifest)
        with ExitStack() as opened:
            opened.callback(lock.close)
            database = Database(folder / "videos.sqlite")
            opened.callback(database.close)
            store = _store(settings, manifest, nodes)
            opened.callback(store.close)
            index = cls(folder, manifest, settings, database, store, lock)
            index.notices += store.notices
            index._take_over()
            opened.pop_all()
        return index

    @classmethod
    def open_reader(
        cls,
        folder: Path,
        manifest: FolderManifest,
        settings: Settings,
        *,
        nodes: Nodes | None = None,
    ) -> QdrantIndex:
        """Open for searching. The folder need not exist; if it has a catalogue, that is read, and
        otherwise the register is. Raises DependencyError if there are no collections."""
        known = read_manifest(folder)
        check_same(folder, known, manifest)
        with ExitStack() as opened:
            store = _store(settings, manifest, nodes, create=False)
            opened.callback(store.close)
            path = folder / "videos.sqlite"
            if known is not None and path.exists():
                database = Database(path, read_only=True)
                videos = VideoStore(database)
            else:
                database = Database(None)
                videos = VideoStore(database, RegisteredRows(store.register))
            index = cls(folder, manifest, settings, database, store, None)
            index.videos = videos
            opened.pop_all()
        return index

    @property
    def _searched(self) -> QdrantSegments:
        return self._segments

    def check_store(self) -> None:
        """See `VideoIndex.check_store`."""
        self.store.check()

    def apply(self, change: Change, record: Callable[[], None] = lambda: None) -> None:
        """Make a change completely or not at all.

        1. Write the points of new versions; no search returns them. 2. In one transaction, change the
        rows and call `record`. 3. Write the register, which makes the change visible, and delete points
        of older versions. After a crash before step 2 the caller must repeat the change. Step 3 is
        repeated by the next change and at the next start.
        """
        with self.changing:
            self._check_writable()
            self._show()
            rows = change.rows()
            repeated = [one for one in change.whole if one.video.video_id in self._half_done]
            self._half_done.update(rows)
            if change.written:
                self.store.upsert(change.written)
            for one in repeated:
                self.store.keep_only(one.video.video_id, one.video.version, one.embeddings)
            gone = {
                video_id: max(version, self.videos.next_version(video_id) - 1)
                for video_id, version in change.deleted
            }

            def record_all() -> None:
                self.videos.mark_unshown(rows)
                record()

            self._commit(rows, change, record_all)
            self._unshown |= rows
            self._unhidden |= gone
            for video_id, version in change.deleted:
                if not version:
                    # Its version is not to be trusted, so it must not refuse later ones.
                    self.store.forget(video_id)
                    del self._unhidden[video_id]
            self._show()

    def embeddings_of(self, videos: Sequence[Video]) -> dict[str, list[Embedding]]:
        return {
            one.video_id: self.store.segments(one.video_id, one.version, one.segments)
            for one in videos
        }

    def segments_of(self, video_id: str) -> list[SegmentRef]:
        row = self.videos.get(video_id)
        found = self.store.segments_of_any_version(video_id)
        if row is None or not row.version:
            # What is left of a deleted video, if anything is.
            return found
        return [ref for ref in found if ref.version == row.version]

    def save_snapshot(self, *, keep: int | None = None) -> None:
        """Nothing to do: Qdrant stores the index. For a backup, use the snapshots of its own API."""

    def freeze_shard(self) -> None:
        """There is no shard here."""

    def compact(self) -> None:
        """Rewrite the catalogue without the bytes of what was deleted. Qdrant does the same with its
        segments when it optimises them. Raises DataFolderError if read-only, StorageError."""
        with self.changing:
            self._check_writable()
            self._database.compact()

    def relevel(self, video_id: str) -> bool:
        """Write what the register lacks of a video. Returns False if segments of it are missing."""
        with self.changing:
            video = self.videos.get(video_id)
            if video is None or not video.version:
                return True
            if not self.store.has_version(video_id, video.version, video.segments):
                return False
            if self._lock is not None:
                self.store.show([video])
            return True

    def level_with_mirror(self, video_id: str) -> bool:
        """Whether the searchable version of a video is that of the catalogue, with all its segments."""
        with self.changing:
            video = self.videos.get(video_id)
            if video is None or not video.version:
                # Another process may have indexed it.
                return True
            entries, _ = self.store.register.entries([video_id])
            current = entries[video_id].current
            return current >= video.version and self.store.has_version(
                video_id, current, video.segments
            )

    def finish_deletions(self) -> None:
        """Hide and remove deleted videos. Also finishes deletions of a process that was killed."""
        with self.changing:
            self._show()
            gone = self.videos.unpurged()
            if not gone:
                return
            absent = [one for one in gone if self.videos.get(one) is None]
            self._unhidden |= {one: self.videos.next_version(one) - 1 for one in absent}
            self._show()
            self._delete_files(absent)
            self.videos.mark_purged(gone)

    def _close_stores(self) -> None:
        """Nothing to do: the store is closed with what is searched."""

    def _show(self) -> None:
        """Bring the register up to the catalogue."""
        if self._unshown or self._unhidden:
            self.store.show(list(self._unshown.values()), self._unhidden.items())
            self.videos.mark_shown([*self._unshown, *self._unhidden])
            self._unshown.clear()
            self._unhidden.clear()

    def _recover(self) -> None:
        """Make catalogue and register consistent."""
        recovered = recover(self.videos, self.store)
        self.notices += recovered.said
        self._unshown |= recovered.unshown
        self._unhidden |= recovered.unhidden
        self._show()
        sweep(self.videos, self.store)


def _store(
    settings: Settings, manifest: FolderManifest, nodes: Nodes | None, *, create: bool = True
) -> QdrantStore:
    return QdrantStore(
        nodes or Nodes.connect(settings.qdrant),
        settings.qdrant,
        settings.searcher,
        manifest.model_id,
        create=create,
    )
