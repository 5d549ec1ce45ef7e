"""The thread that asks the Qdrant in which an index is, so that /readyz says when it does not respond."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from common.errors import DependencyError
from common.http.health import Health
from searcher.video_index import VideoIndex
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.qdrant")
_PAUSE_SECONDS = 5.0
_CONDITION = "qdrant"


class StoreWatch(Background):
    """Asks until it is stopped. Nothing waits for it."""

    def __init__(self, indexes: Callable[[], Iterable[VideoIndex]], health: Health) -> None:
        """indexes: those that answer now, as far as they are open."""
        super().__init__(_CONDITION, _log, restarts=True)
        self._indexes = indexes
        self._health = health
        self._silent = False

    def work(self) -> None:
        """Ask periodically."""
        while not self._stopping.wait(_PAUSE_SECONDS):
            self.look()

    def look(self) -> None:
        """Ask each index once."""
        try:
            for index in self._indexes():
                index.check_store()
        except DependencyError as error:
            self._health.unmet(_CONDITION, str(error))
            if not self._silent:
                _log.warning("%s", error)
            self._silent = True
            return
        self._health.met(_CONDITION)
        if self._silent:
            _log.info("Qdrant responds again")
        self._silent = False
