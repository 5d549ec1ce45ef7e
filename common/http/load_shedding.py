"""Slow work behind a fast server: so much at once, so much waiting, the rest is turned away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from common.cancellation import Cancellation
from common.http.errors import ApiError

Result = TypeVar("Result")


class LoadShedder:
    """Counts requests in, and runs their work in threads. Use from one event loop."""

    def __init__(self, at_work: int, waiting: int, *, retry_seconds: int = 5) -> None:
        """at_work: threads at once; waiting: requests let in beside them. retry_seconds: when those that
        are turned away are told to come again."""
        self._turns = asyncio.Semaphore(at_work)
        # Turns are counted here, as a thread ends after the request that was given up on.
        self._limiter = CapacityLimiter(float("inf"))
        self._capacity = at_work + waiting
        self._inside = 0
        self._retry_seconds = retry_seconds

    def check_capacity(self) -> None:
        """Raises ApiError, 503 with Retry-After, when there is no place. Taking one checks it again: this
        is for refusing a long body before it is sent."""
        if self._inside >= self._capacity:
            raise busy(
                f"{self._inside} requests are in progress or waiting; try again later",
                self._retry_seconds,
            )

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """A place for one request, from when all of its body is there until it is answered.

        Raises ApiError, 503 with Retry-After, when there is none.
        """
        self.check_capacity()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(
        self,
        work: Callable[[Cancellation], Result],
        receive: Receive,
        cancellation: Cancellation | None = None,
    ) -> Result:
        """Do the work in a thread when it is its turn; `receive` is of the request, whose body has been
        read.

        When the caller goes, work that waits never begins, and what is in work is cancelled: its turn is
        the next one's when it has really ended. Raises ClientDisconnect then. `cancellation`: of work
        that takes several runs.
        """
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await self._take_turn(gone)
            return await self._work(work, gone, cancellation or Cancellation())
        finally:
            gone.cancel()

    async def _take_turn(self, gone: asyncio.Future[None]) -> None:
        turn = asyncio.ensure_future(self._turns.acquire())
        try:
            both: set[asyncio.Future[Any]] = {turn, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                raise ClientDisconnect
        except BaseException:
            if turn.done():
                self._turns.release()
            turn.cancel()
            raise

    async def _work(
        self,
        work: Callable[[Cancellation], Result],
        gone: asyncio.Future[None],
        cancellation: Cancellation,
    ) -> Result:
        """Work and give the turn back, whatever happens."""
        loop = asyncio.get_running_loop()
        # Held by whoever gives the turn back: the thread, or who gave up on it before it began.
        claim = threading.Lock()

        def whole() -> Result:
            if not claim.acquire(blocking=False):
                raise ClientDisconnect
            try:
                return work(cancellation)
            finally:
                # A loop that is closed has nobody left who waits for a turn.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._turns.release)

        working = asyncio.ensure_future(
            to_thread.run_sync(whole, abandon_on_cancel=True, limiter=self._limiter)
        )
        try:
            both: set[asyncio.Future[Any]] = {working, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            cancellation.cancel()
            await asyncio.wait({working})
            # Whatever became of it, nobody is there to be told.
            working.exception()
            raise ClientDisconnect
        finally:
            # When the server stops, the thread is left to end by itself.
            if not working.done():
                cancellation.cancel()
                working.cancel()
            if claim.acquire(blocking=False):
                self._turns.release()


def busy(message: str, retry_seconds: int = 5) -> ApiError:
    """The refusal of what there is no room for now."""
    return ApiError(503, "busy", message, close=True, headers={"Retry-After": str(retry_seconds)})


async def _gone(receive: Receive) -> None:
    """Returns when the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
