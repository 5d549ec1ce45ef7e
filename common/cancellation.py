"""Cancellation of work in another thread whose caller has gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.errors import CancelledError


class Cancellation:
    """Set once by the caller; checked by the work between two steps. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether the work should end."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End the work at its next check."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """During the block, also call this function in the thread that cancels: for work that waits and
        cannot check. It must be quick and raise nothing."""
        with self._lock:
            self._callbacks.append(callback)
            cancelled = self._event.is_set()
        try:
            if cancelled:
                callback()
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    def check(self) -> None:
        """Raises CancelledError if the work should end."""
        if self._event.is_set():
            raise CancelledError("cancelled: the caller disconnected")


class NeverCancelled(Cancellation):
    """For work that cannot be cancelled."""

    def cancel(self) -> None:
        """Does nothing."""


NEVER_CANCELLED = NeverCancelled()
