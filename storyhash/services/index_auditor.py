"""Periodic audits of the index."""

from __future__ import annotations

import logging
from collections.abc import Callable

from common.errors import StoryHashError
from common.metrics import Metrics
from common.runtime_tuning import yield_to_queries
from searcher.audit import Auditor
from searcher.video_index import VideoIndex
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.audit")


class IndexAuditor(Background):
    """Audits the index that answers. current: returns this index, or None."""

    def __init__(
        self, current: Callable[[], VideoIndex | None], metrics: Metrics, every_seconds: float
    ) -> None:
        super().__init__("audit", _log, restarts=True)
        self._current = current
        self._metrics = metrics
        self._every_seconds = every_seconds

    def work(self) -> None:
        """Audit periodically."""
        yield_to_queries()
        while not self._stopping.wait(self._every_seconds):
            index = self._current()
            if index is None:
                continue
            try:
                self._look(index)
            except StoryHashError as error:
                _log.warning("the audit of the index failed: %s", error)

    def _look(self, index: VideoIndex) -> None:
        audit = Auditor(index).audit()
        if audit.recall is not None:
            self._metrics.index_recall_ratio.set(audit.recall)
        self._metrics.mirror_divergence_ratio.set(audit.divergence)
        for video_id in audit.repaired:
            _log.warning("%s differed between the index and the mirror and was corrected", video_id)
        for video_id in audit.broken:
            _log.error(
                "the mirror has only a part of %s; send it again (storyhash ingest "
                "--again, or index)",
                video_id,
            )
