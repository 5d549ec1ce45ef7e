"""The catalogue behind the API of `storyhash serve`: it answers queries, and adds and deletes videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.http.upload import check_address
from common.metrics import Metrics
from common.settings import IngestSettings
from common.types import CatalogEntry
from ingest.catalogue import check_entry
from ingest.fetch import check_allowed
from ingest.fingerprint import source_fingerprint
from searcher.metrics import STAGE
from searcher.storage.video import Video
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_plan import Relabelled, WorkItem, is_described, is_here
from storyhash.services.described import described
from storyhash.services.serve.index_queue import IndexQueue
from storyhash.services.serve.opened_catalogue import Opened, OpenedCatalogue


@dataclass(frozen=True, slots=True)
class OpenedWithQueue(Opened):
    """Also what is indexed next. second: the index of the second opinion, None if there is none."""

    queue: IndexQueue
    second: VideoIndex | None = None


class ServedCatalogue(OpenedCatalogue[OpenedWithQueue]):
    """Answers, and takes videos for the queue."""

    def __init__(self, metrics: Metrics, settings: IngestSettings) -> None:
        super().__init__()
        self._metrics = metrics
        self._settings = settings

    def add_video(self, entry: CatalogEntry) -> Video:
        """Queue a video. A video that is indexed or pending with the same description is not queued
        again. An indexed video with another description keeps its vectors.

        Raises UsageError for a path and for invalid text, FetchError for a URL that is not allowed.
        """
        check_address(entry.uri)
        check_entry(entry)
        check_allowed(entry.uri, self._settings)
        return self._queued(entry, source_fingerprint(entry.uri))

    def add_upload(self, entry: CatalogEntry, file: Path, sha256: str) -> Video:
        """Keep an uploaded file and queue its video, as `add_video`. entry: its uri is the name that the
        sender gives the file. file: see `UploadedVideos.taken_in`. Raises UsageError for invalid text,
        StorageError."""
        check_entry(entry)
        index = self.opened.answering.index
        fingerprint = source_fingerprint(str(file))
        path = index.uploads.path(entry.video_id, sha256, entry.uri)
        # The queue is not drawn from until the file is there. A file without a row would be left over
        # after a crash, a row without its file only fails.
        with index.changing:
            video = self._queued(replace(entry, uri=str(path)), fingerprint)
            index.uploads.keep(file, entry.video_id, path)
        return video

    def _queued(self, entry: CatalogEntry, fingerprint: str) -> Video:
        opened = self.opened
        index = opened.answering.index
        with index.changing:
            video = index.videos.get(entry.video_id)
            if video is None or video.state == "failed" or not _is_same(video, entry):
                version = index.videos.next_version(entry.video_id)
                item = WorkItem(entry, version, "", fingerprint)
                if video is not None and video.state == "ready" and is_here(video, entry):
                    opened.queue.relabel([Relabelled(item, video)])
                else:
                    opened.queue.add([item])
                video = index.videos.get(entry.video_id)
        if video is None:
            raise ValueError(f"{entry.video_id!r}: expected a row for what was posted")
        return video

    def describe_video(self, video_id: str, changes: Mapping[str, Any]) -> Video | None:
        """Change bank, title or metadata of a video, whose vectors are kept; None if it is unknown. A
        later `index` or scan of the folder keeps the change, unless the description there changes too.

        Raises UsageError for invalid text.
        """
        opened = self.opened
        index = opened.answering.index
        with index.changing:
            video = index.videos.get(video_id)
            if video is None:
                return None
            row = described(video, changes)
            if row is None:
                return video
            given = index.videos.replaced_description(video_id) or video.description
            version = index.videos.next_version(video_id)
            item = WorkItem.of(row, version)
            if video.state == "ready":
                opened.queue.relabel([Relabelled(item, video)])
            elif video.state == "pending":
                opened.queue.add([item])
            index.videos.note_edit(row, given)
            return index.videos.get(video_id)

    def delete_video(self, video_id: str) -> bool:
        opened = self.opened
        known = opened.queue.delete(video_id)
        if opened.second is not None:
            # After the first one, which says what is wanted here: work in progress on it is dropped.
            opened.second.delete_from_searches(video_id)
        if known:
            self._metrics.videos_total.labels(STAGE, "deleted").inc()
        return known


def _is_same(video: Video, entry: CatalogEntry) -> bool:
    # A new query may be a new key; what is still to be fetched needs the newest.
    same = video.uri == entry.uri or video.state != "pending"
    return same and is_here(video, entry) and is_described(video, entry)
