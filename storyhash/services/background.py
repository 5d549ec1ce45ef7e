"""Work in a thread of its own, until it is told to stop."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

from common.errors import StoryHashError


class Background(ABC):
    """`work` runs from `start` until it returns, as it does soon after `stop`. What it raises is logged
    and kept in `error`."""

    def __init__(self, name: str, log: logging.Logger) -> None:
        """name: of the thread."""
        self.error: BaseException | None = None
        self._log = log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Have it end; `join` waits for what is under way."""
        self._stopping.set()

    def join(self) -> None:
        self._thread.join()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @abstractmethod
    def work(self) -> None:
        """Returns when `_stopping` is set."""

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error
            self._log.error("%s", error, exc_info=not isinstance(error, StoryHashError))


def end_all(works: Sequence[Background]) -> None:
    """Have all of them end; returns when they have."""
    for one in works:
        one.stop()
    for one in works:
        one.join()
