"""Background threads, and health conditions and metrics that show the death of a thread."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from common.errors import StoryHashError
from common.http.health import Health
from common.metrics import Metrics
from common.retry import Backoff

# The first and the longest pause before failed work is restarted.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0


class Background(ABC):
    """Runs `work` in a thread from `start` until it returns, soon after `stop`. Its errors are logged.

    With `restarts`, failed work starts again after a pause, which grows with each failure. Otherwise the
    thread ends, and `error` keeps the error.
    """

    def __init__(self, name: str, log: logging.Logger, *, restarts: bool = False) -> None:
        """name: of the thread."""
        self.name = name
        self.error: BaseException | None = None
        self._restarts = restarts
        # Why the work does not run now, until it starts again.
        self._died: BaseException | None = None
        self._log = log
        self._stopping = threading.Event()
        self._on_death: Callable[[], None] = lambda: None
        self._started = False
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()
        # Not before: until then the thread would seem to have ended.
        self._started = True

    def stop(self) -> None:
        """Tell it to end; `join` waits for its end."""
        self._stopping.set()

    def join(self) -> None:
        if self._started:
            self._thread.join()

    def tell_death(self, on_death: Callable[[], None]) -> None:
        """Set a function to call when the work fails."""
        self._on_death = on_death

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended."""
        return self._started and not self._thread.is_alive()

    @property
    def trouble(self) -> str:
        """Why the work does not run although nobody stopped it; empty if all is well."""
        if self._stopping.is_set() or not self._started:
            return ""
        died = self._died
        if died is not None:
            then = "see its log" if self.error else "it restarts automatically"
            return f"it died ({_in_a_line(died)}); {then}"
        return "it stopped unexpectedly; restart the service" if self.ended else ""

    @abstractmethod
    def work(self) -> None:
        """Returns when `_stopping` is set."""

    def _run(self) -> None:
        backoff = Backoff(
            _FIRST_PAUSE_SECONDS,
            _LONGEST_PAUSE_SECONDS,
            self._stopping,
            lambda error, _: self._note_death(error),
            errors=(Exception,) if self._restarts else (),
        )

        def work() -> None:
            began, self._died = time.monotonic(), None
            try:
                self.work()
            finally:
                # Work that ran for a while is not failing at once, over and over.
                if time.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                    backoff.restart()

        try:
            backoff.call(work)
        except BaseException as error:
            self.error = error
            self._note_death(error)

    def _note_death(self, error: BaseException) -> None:
        # A death that is counted is also reported.
        self._died = error
        self._on_death()
        self._log.error(
            "%s", error, exc_info=error if not isinstance(error, StoryHashError) else None
        )


class MergedIndex(Protocol):
    """An index whose recent rows are merged in the background."""

    @property
    def merge_trouble(self) -> str:
        """Why the last merge failed; empty if it did not."""
        ...


class ThreadWatch:
    """Reports for every background thread of a service whether it works: by a metric and, with the
    reason, by /readyz."""

    def __init__(self, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health

    def add(self, *works: Background) -> None:
        """Report these threads by metric and health."""
        for one in works:
            self.measure(one)
            self._health.watch(f"thread {one.name}", partial(_trouble_of, one))

    def measure(self, one: Background) -> None:
        """Report a thread only by metric; its own health condition reports the rest."""
        up = self._metrics.background_thread_up.labels(one.name)
        up.set_function(lambda: float(not one.trouble))
        one.tell_death(self._metrics.background_thread_deaths_total.labels(one.name).inc)

    def tell(self, name: str, trouble: Callable[[], str]) -> None:
        """Report work that is no `Background` by metric and health; `trouble` is empty if all is well."""
        up = self._metrics.background_thread_up.labels(name)
        up.set_function(lambda: float(not trouble()))
        self._health.watch(f"thread {name}", trouble)

    def tell_merges(self, indexes: Callable[[], Iterable[MergedIndex]]) -> None:
        """Report the merges of these indexes as one: the first trouble of any."""

        def trouble() -> str:
            return next((one.merge_trouble for one in indexes() if one.merge_trouble), "")

        self.tell("merge", trouble)

    def forget(self, name: str) -> None:
        """Stop reporting a thread."""
        self._metrics.background_thread_up.remove(name)
        self._metrics.background_thread_deaths_total.remove(name)


def _trouble_of(one: Background) -> str:
    return one.trouble


def end_all(works: Sequence[Background]) -> None:
    """Have all of them end; returns when they have."""
    for one in works:
        one.stop()
    for one in works:
        one.join()


def _in_a_line(error: BaseException) -> str:
    words = " ".join(str(error).split())[:300]
    if isinstance(error, StoryHashError):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
