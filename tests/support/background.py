"""Work beside a test, in a thread."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Background(ABC):
    """Runs `run` in a thread while a `with` block lasts; `run` returns soon after `stopping` is set."""

    def __enter__(self) -> Self:
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._thread.join()

    @abstractmethod
    def run(self) -> None: ...
