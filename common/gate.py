"""Slow work behind a fast server: so much at once, so much waiting, the rest is turned away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from common.http import ApiError

Result = TypeVar("Result")


class Gate:
    """Counts requests in, and runs their work in threads. Use from one event loop."""

    def __init__(self, at_work: int, waiting: int, *, retry_seconds: int = 5) -> None:
        """at_work: threads at once; waiting: requests let in beside them. retry_seconds: when those that
        are turned away are told to come again."""
        self._limiter = CapacityLimiter(at_work)
        self._room = at_work + waiting
        self._inside = 0
        self._retry_seconds = retry_seconds

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """A place for one request, from before its body is read until it is answered.

        Raises ApiError, 503 with Retry-After, when there is none.
        """
        if self._inside >= self._room:
            raise ApiError(
                503,
                "busy",
                f"{self._inside} requests are in work or wait already; ask again in a while",
                close=True,
                headers={"Retry-After": str(self._retry_seconds)},
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do the work in a thread when it is its turn; given up on, it ends by itself."""
        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
