"""The thread that indexes the queue until it is stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable

from common.errors import DependencyError, StateError
from common.http.health import Health
from common.log_context import log_context
from common.metrics import Metrics
from common.retry import dependency_backoff
from common.settings import ServiceSettings
from searcher.metrics import STAGE
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.services.background import Background
from storyhash.services.serve.index_queue import IndexQueue

_log = logging.getLogger("storyhash.serve")

OnIndexed = Callable[[VideoOutcome], None]


class IndexWorker(Background):
    """Runs an indexer over a queue. If a dependency fails, such as a full disk, it retries with back-off;
    meanwhile the condition `indexing` says why."""

    def __init__(
        self,
        indexer: Indexer,
        queue: IndexQueue,
        on_indexed: OnIndexed,
        *,
        health: Health,
        metrics: Metrics,
        settings: ServiceSettings,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """on_indexed: called with each video that has become searchable. begin: called before the first
        one. Both are called again while a dependency fails; a video whose call has not succeeded at the
        stop is left to `begin` of the next process."""
        super().__init__("index", _log)
        self._indexer = indexer
        self._queue = queue
        self._on_indexed = on_indexed
        self._begin = begin
        self._health = health
        # One for the run, and one for what follows a video within it.
        self._backoff, self._patience = (
            dependency_backoff(
                "indexing",
                STAGE,
                health=health,
                metrics=metrics,
                settings=settings,
                stopping=self._stopping,
            )
            for _ in range(2)
        )

    def work(self) -> None:
        """Index until stopped. Unfinished videos stay pending, so the next start indexes them."""
        self._patience.call(self._begin)
        while not self._stopping.is_set():
            self._backoff.call(self._index)

    def _index(self) -> None:
        try:
            self._indexer.run(
                self._queue.draw(),
                self._ended,
                wanted=self._queue.wanted,
                on_turn=self._turn,
                stopping=self._stopping,
            )
        except DependencyError as error:
            self._queue.give_back()
            if not self._stopping.is_set():
                raise
            _log.warning("%s", error)

    def _turn(self) -> None:
        self._health.beat()
        if self._queue.idle:
            self._recovered()

    def _ended(self, outcome: VideoOutcome) -> None:
        with log_context(video_id=outcome.item.entry.video_id):
            self._tell(outcome)

    def _tell(self, outcome: VideoOutcome) -> None:
        item, error = outcome.item, outcome.error
        self._queue.ended(item)
        if outcome.dropped:
            _log.info("%r: dropped, it was deleted or posted again", item.entry.video_id)
            return
        self._recovered()
        if error is None:
            if not self._patience.call(lambda: self._follows(outcome)):
                name = item.entry.video_id
                raise StateError(f"{name!r}: its quota, event and matches wait for the next start")
            self._recovered()
            return
        _log.warning(
            "%r: not indexed: %s",
            item.entry.video_id,
            error,
            exc_info=error if error.code == "internal" else None,
        )

    def _follows(self, outcome: VideoOutcome) -> bool:
        self._on_indexed(outcome)
        return True

    def _recovered(self) -> None:
        self._health.met("indexing")
        self._backoff.restart()
