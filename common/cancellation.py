"""Telling work in another thread that nobody waits for it any more."""

from __future__ import annotations

import threading

from common.errors import CancelledError


class Cancellation:
    """Set once, by whoever asked for the work; checked by the work between two steps. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the work should end."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Have the work end at its next check."""
        self._event.set()

    def check(self) -> None:
        """Raises CancelledError once the work should end."""
        if self._event.is_set():
            raise CancelledError("cancelled: the caller has gone")


class NeverCancelled(Cancellation):
    """For work that nobody can cancel."""

    def cancel(self) -> None:
        """Does nothing."""


NEVER_CANCELLED = NeverCancelled()
