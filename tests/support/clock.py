"""A clock that the test sets."""

from __future__ import annotations


class Clock:
    """Gives `now`, in whatever unit it has."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
