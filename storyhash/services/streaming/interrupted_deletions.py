"""The thread that ends deletions which an earlier process of the searcher had begun."""

from __future__ import annotations

import logging
from collections.abc import Callable

from common.state.state import State
from searcher.deletion.notes import DeletionNotes
from searcher.deletion.steps import end_interrupted
from searcher.video_index import VideoIndex
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.search")
_PAUSE_SECONDS = 0.5


class InterruptedDeletions(Background):
    """Ends them once, then waits until it is stopped."""

    def __init__(
        self,
        notes: DeletionNotes,
        caught_up: Callable[[], VideoIndex | None],
        state: Callable[[], State],
    ) -> None:
        """caught_up: the index when it has read the log, which says which videos are deleted; None
        before. state: the state database; it must be open before the thread starts."""
        super().__init__("deletions", _log, restarts=True)
        self._notes = notes
        self._caught_up = caught_up
        self._state = state

    def work(self) -> None:
        """Wait for the log, then end what was interrupted."""
        while (index := self._caught_up()) is None:
            if self._stopping.wait(_PAUSE_SECONDS):
                return
        end_interrupted(self._notes, index.videos, self._state())
        self._stopping.wait()
