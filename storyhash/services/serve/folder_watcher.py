"""The thread that looks at a growing folder and has queued what is finished there."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from common.errors import DependencyError, UsageError
from common.http.health import Health
from common.printable import printable
from ingest.catalogue import CatalogueItem, check_entry
from ingest.fingerprint import same_source
from ingest.folder_watch import FolderWatch
from searcher.storage.video_store import VideoStore
from storyhash.pipeline.index_plan import WorkItem, note_moves, plan_videos
from storyhash.services.background import Background
from storyhash.services.serve.index_queue import IndexQueue

_log = logging.getLogger("storyhash.serve")
# Looking takes a tenth of the time at most, however large the folder is.
_PAUSE_FACTOR = 9.0


class Watcher(Background):
    """Queues the videos of one folder. While the folder is unreadable, the condition `watch` says why,
    and its videos stay indexed."""

    def __init__(
        self,
        watch: FolderWatch,
        videos: VideoStore,
        queue: IndexQueue,
        health: Health,
        pause_seconds: float,
    ) -> None:
        super().__init__("watch", _log, restarts=True)
        self._watch = watch
        self._videos = videos
        self._queue = queue
        self._health = health
        self._pause_seconds = pause_seconds
        # Found and not queued yet.
        self._found: list[CatalogueItem] = []

    def work(self) -> None:
        """Scan periodically."""
        reason, excluded = "", 0
        while not self._stopping.is_set():
            started = time.monotonic()
            said, reason = reason, ""
            try:
                self._found += self._watch.look()
                for problem in self._watch.new_problems:
                    _log.warning("skipped: %s: %s", printable(problem.path), problem.message)
                if self._watch.excluded != excluded:
                    excluded = self._watch.excluded
                    _log.info("%d files and folders are excluded", excluded)
                self._take(self._found)
                self._found.clear()
            except OSError as error:
                reason = f"{error.filename or self._watch.folder}: {error.strerror}"
            except DependencyError as error:
                reason = str(error)
            if reason:
                self._health.unmet("watch", reason)
            else:
                self._health.met("watch")
            if reason and reason != said:
                _log.warning("%s; scanning again", reason)
            spent = time.monotonic() - started
            self._stopping.wait(max(self._pause_seconds, _PAUSE_FACTOR * spent))

    def _take(self, found: Sequence[CatalogueItem]) -> None:
        """Queue new and changed videos; update the description of indexed ones."""
        plan = plan_videos(filter(_can_be_held, found), self._videos)
        for rejected in plan.failed:
            _log.warning("skipped: %s", rejected.message)
        note_moves(plan.moved, self._videos)
        for moved in plan.moved:
            _log.info("%s: moved to %s, not indexed again", moved.video_id, moved.uri)
        if plan.relabelled:
            self._queue.relabel(plan.relabelled)
            _log.info("%d videos have another bank or description", len(plan.relabelled))
        # A file without a fingerprint has been deleted meanwhile.
        work = [item for item in plan.work if item.fingerprint and not self._was_deleted(item)]
        if work:
            self._queue.add(work)
            _log.info("%d new or changed videos in %s", len(work), self._watch.folder)

    def _was_deleted(self, item: WorkItem) -> bool:
        """Whether the video was deleted from the catalogue and its file has not changed since."""
        video_id = item.entry.video_id
        if not same_source(self._videos.deleted_fingerprint(video_id), item.fingerprint):
            return False
        _log.info("%s was deleted and its file has not changed: skipped", video_id)
        return True


def _can_be_held(one: CatalogueItem) -> bool:
    try:
        check_entry(one.entry)
    except UsageError as error:
        _log.warning("skipped: %s", error)
        return False
    return True
