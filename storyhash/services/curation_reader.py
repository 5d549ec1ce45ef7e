"""The thread that reads what people have set in other processes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from common.state.state import State
from storyhash.services.background import Background

_log = logging.getLogger("storyhash.state")
# Other services obey a change at the latest after this time.
_PAUSE_SECONDS = 2.0


class CurationReader(Background):
    """Reads until it is stopped. If the state database fails, what was read last holds."""

    def __init__(self, state: Callable[[], State]) -> None:
        """state: the state database; it must be open before the thread starts."""
        super().__init__("curation", _log, restarts=True)
        self._state = state

    def work(self) -> None:
        """Read periodically."""
        while not self._stopping.is_set():
            self._state().curation.read()
            self._stopping.wait(_PAUSE_SECONDS)
