"""The thread that keeps the index of the second opinion in step with the first one."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

from common.metrics import Metrics
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import WorkItem
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.pipeline.second_plan import bring_in_step, is_wanted, plan_second
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.serve")
# Seconds between two looks at the first catalogue; looking takes a tenth of the time at most, however
# large the catalogue is.
_PAUSE_SECONDS, _PAUSE_FACTOR = 1.0, 9.0


class SecondIndexWorker(Background):
    """Follows the changes of the first index. After an error, such as a full disk, it starts again after
    a pause; meanwhile the condition `thread second-opinion` says why."""

    def __init__(
        self, first: VideoIndex, second: VideoIndex, indexer: Indexer, metrics: Metrics
    ) -> None:
        """indexer: of the second index. metrics: of the service."""
        super().__init__("second-opinion", _log, restarts=True)
        self._first, self._second = first, second
        self._indexer = indexer
        missing = metrics.second_opinion_missing_videos
        self._waiting, self._failed = missing.labels("waiting"), missing.labels("failed")
        # The sequence number of the first catalogue with which the second one is in step.
        self._level = -1

    def work(self) -> None:
        """Follow until stopped; what is not indexed by then is found again at the next start."""
        while not self._stopping.is_set():
            sequence, started = self._first.videos.sequence, time.monotonic()
            spent = 0.0
            if sequence != self._level:
                # A video whose error may be gone is tried again only after a start: it takes long.
                plan = plan_second(
                    self._first.videos, self._second.videos, retry_failed=self._level < 0
                )
                bring_in_step(plan, self._second)
                spent = time.monotonic() - started
                self._failed.set(len(plan.refused))
                self._index(plan.work)
                self._level = sequence
            self._stopping.wait(max(_PAUSE_SECONDS, _PAUSE_FACTOR * spent))

    def _index(self, work: Sequence[WorkItem]) -> None:
        self._waiting.set(len(work))
        if not work:
            return
        _log.info("second opinion: %d videos to index", len(work))
        # Most new videos come from `SecondWriter` instead, a moment after the first index has them.
        wanted = partial(is_wanted, first=self._first.videos, second=self._second.videos)
        self._indexer.run(filter(wanted, work), self._tell, wanted=wanted, stopping=self._stopping)
        # `SecondWriter` added some of them meanwhile, without a call of `_tell`.
        self._waiting.set(0)

    def _tell(self, outcome: VideoOutcome) -> None:
        name, error = outcome.item.entry.video_id, outcome.error
        self._waiting.dec()
        if error is not None:
            self._failed.inc()
            _log.warning("second opinion: %r: not indexed: %s", name, error)
        elif not outcome.dropped:
            _log.info("second opinion: %r: indexed", name)
