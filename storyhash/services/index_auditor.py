"""Periodic audits of the index."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from common.errors import StoryHashError
from common.metrics import Metrics
from common.runtime_tuning import yield_to_queries
from searcher.audit import SECONDS, Audit, Auditor
from searcher.video_index import VideoIndex
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.audit")


class IndexAuditor(Background):
    """Audits the indexes that answer. current: returns them; none before they are open. They share the
    time of an audit, and the metrics have the worst value of all."""

    def __init__(
        self, current: Callable[[], Sequence[VideoIndex]], metrics: Metrics, every_seconds: float
    ) -> None:
        super().__init__("audit", _log, restarts=True)
        self._current = current
        self._metrics = metrics
        self._every_seconds = every_seconds

    def work(self) -> None:
        """Audit periodically."""
        yield_to_queries()
        while not self._stopping.wait(self._every_seconds):
            indexes = self._current()
            audits = [self._audit(index, SECONDS / len(indexes)) for index in indexes]
            done = [audit for audit in audits if audit is not None]
            recalls = [audit.recall for audit in done if audit.recall is not None]
            if recalls:
                self._metrics.index_recall_ratio.set(min(recalls))
            if done:
                self._metrics.mirror_divergence_ratio.set(max(audit.divergence for audit in done))

    def _audit(self, index: VideoIndex, seconds: float) -> Audit | None:
        """One audit of one index; None if it failed, which is logged."""
        try:
            audit = Auditor(index, seconds=seconds).audit()
        except StoryHashError as error:
            _log.warning("the audit of the index in %s failed: %s", index.folder, error)
            return None
        for video_id in audit.repaired:
            _log.warning(
                "%s differed between the index in %s and its mirror and was corrected",
                video_id,
                index.folder,
            )
        for video_id in audit.broken:
            _log.error(
                "the mirror of the index in %s has only a part of %s; send it again (storyhash ingest "
                "--again, or index)",
                index.folder,
                video_id,
            )
        return audit
