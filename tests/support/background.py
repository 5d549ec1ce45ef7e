"""Work beside a test, in threads."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")


def together(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Make calls at once, each in its own thread. Their results, in order; raises the first error."""
    waiting = list(calls)
    with ThreadPoolExecutor(len(waiting)) as threads:
        return list(threads.map(lambda call: call(), waiting))


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
