"""Stores the thumbnails of the videos that are indexed in this process."""

from __future__ import annotations

from dataclasses import replace

from common.settings.thumbnails import ThumbnailSettings
from common.thumbnails import unpack_thumbnails
from common.types import Embedding
from searcher.storage.thumbnails import ThumbnailStore, ThumbnailWriter

_Key = tuple[str, int]


class Thumbnails:
    """The thumbnails of the videos in progress. Use it from one thread."""

    def __init__(self, store: ThumbnailStore, settings: ThumbnailSettings) -> None:
        self._store = store
        self._settings = settings
        # By id and version of the video.
        self._writers: dict[_Key, ThumbnailWriter] = {}

    def begin(self, video_id: str, version: int) -> None:
        """Keep the pictures of this version from now on. Raises StorageError."""
        if self._settings.enabled:
            self._writers[video_id, version] = self._store.begin(video_id)

    def take(self, embedding: Embedding) -> Embedding:
        """Write the pictures of a segment, if its video is in progress. Returns the embedding without
        them. Raises StorageError."""
        writer = self._writers.get((embedding.ref.video_id, embedding.ref.version))
        if writer is not None:
            writer.add(unpack_thumbnails(embedding.thumbnails))
        return replace(embedding, thumbnails=b"")

    def finish(self, video_id: str, version: int) -> None:
        """The index has this version now: its pictures can be read. Raises StorageError."""
        writer = self._writers.pop((video_id, version), None)
        if writer is not None:
            writer.finish()

    def drop(self, video_id: str, version: int) -> None:
        """The version is not indexed."""
        writer = self._writers.pop((video_id, version), None)
        if writer is not None:
            writer.drop()

    def drop_all(self) -> None:
        """No version in progress is indexed."""
        for key in list(self._writers):
            self.drop(*key)
