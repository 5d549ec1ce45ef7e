"""Load shedding: a limited number of requests are processed or wait; more get 503."""

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
from common.http.request_metrics import QueueMetrics

Result = TypeVar("Result")


class LoadShedder:
    """Limits the number of requests and runs their work in threads. Use it from one event loop."""

    def __init__(
        self,
        at_work: int,
        waiting: int,
        *,
        retry_seconds: int = 5,
        measured: QueueMetrics | None = None,
    ) -> None:
        """at_work: maximum number of threads. waiting: maximum number of requests that wait for one.
        retry_seconds: the Retry-After of a refused request. measured: the metrics of this queue."""
        self._turns = asyncio.Semaphore(at_work)
        # The semaphore limits the threads. This limiter must not: a thread may outlive its request, until
        # its work ends.
        self._limiter = CapacityLimiter(float("inf"))
        self._capacity = at_work + waiting
        self._inside = 0
        self._retry_seconds = retry_seconds
        self._running = 0
        self._measured = measured
        if measured is not None:
            measured.running.set_function(lambda: self._running)
            measured.waiting.set_function(lambda: max(0, self._inside - self._running))

    def check_capacity(self) -> None:
        """Raises ApiError (503 with Retry-After) if all places are taken. `entered` checks again; this
        call refuses a request before its long body is sent."""
        if self._inside >= self._capacity:
            if self._measured is not None:
                self._measured.refused.inc()
            raise busy(
                f"{self._inside} requests are in progress or waiting; try again later",
                self._retry_seconds,
            )

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Take a place for one request, from the end of its body until its response.

        Raises ApiError (503 with Retry-After) if all places are taken.
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
        """Run `work` in a thread when it is this request's turn.

        receive: of the request; its body must have been read. If the client disconnects, waiting work
        never starts and running work is cancelled; the next request starts when the running work has
        really ended. cancellation: shared by work that takes several runs. Raises ClientDisconnect if the
        client disconnects.
        """
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await self._take_turn(gone)
            self._running += 1
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
        """Run the work and release the turn in every case."""
        loop = asyncio.get_running_loop()
        # The holder of the lock releases the turn: the thread, or the request that was abandoned before
        # the thread started.
        claim = threading.Lock()

        def whole() -> Result:
            if not claim.acquire(blocking=False):
                raise ClientDisconnect
            try:
                return work(cancellation)
            finally:
                # If the loop is closed, nobody waits for a turn.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._end_turn)

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
            # Retrieve the exception, so that asyncio does not report it: the client has gone.
            working.exception()
            raise ClientDisconnect
        finally:
            # When the server stops, the thread ends by itself.
            if not working.done():
                cancellation.cancel()
                working.cancel()
            if claim.acquire(blocking=False):
                self._end_turn()

    def _end_turn(self) -> None:
        self._running -= 1
        self._turns.release()


def busy(message: str, retry_seconds: int = 5) -> ApiError:
    """An error 503 with Retry-After."""
    return ApiError(503, "busy", message, close=True, headers={"Retry-After": str(retry_seconds)})


async def _gone(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
