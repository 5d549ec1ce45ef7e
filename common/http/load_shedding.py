"""Load shedding: the numbers of running and waiting requests are limited, and shared fairly between
senders. Further requests get 429 or 503."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from common.cancellation import Cancellation
from common.http.errors import ApiError
from common.http.fair_turns import NOBODY, EvictedError, FairTurns, Sender, sender_of
from common.http.request_metrics import QueueMetrics

Result = TypeVar("Result")


class LoadShedder:
    """Limits the number of requests and runs their work in threads. Use it from one event loop.

    If all places are taken, a sender that has at least two fewer than another one gets the place of the
    newest waiting request of that one. So many requests of one sender keep no other sender out.
    """

    def __init__(
        self,
        at_work: int,
        waiting: int,
        *,
        retry_seconds: int = 5,
        status: int = 503,
        measured: QueueMetrics | None = None,
    ) -> None:
        """at_work: maximum number of threads. waiting: maximum number of requests that wait for one.
        retry_seconds: the Retry-After of a refused request. status: that of a full queue. measured: the
        metrics of this queue."""
        self._turns = FairTurns(at_work)
        # The turns limit the threads. This limiter must not: a thread may outlive its request, until
        # its work ends.
        self._limiter = CapacityLimiter(float("inf"))
        self._capacity = at_work + waiting
        # Places that are taken, by sender.
        self._places: Counter[str] = Counter()
        self._retry_seconds = retry_seconds
        self._status = status
        self._measured = measured
        if measured is not None:
            # Not the places: a request keeps its place for a moment after its turn or its eviction.
            measured.running.set_function(lambda: self._turns.running)
            measured.waiting.set_function(lambda: self._turns.waiting)

    async def answer(self, request: Request, work: Callable[[Cancellation], Result]) -> Result:
        """Take a place for a request whose body was read, and run its work when it is its sender's turn.
        Raises the errors of `entered` and of `run`."""
        sender = sender_of(request)
        async with self.entered(sender):
            return await self.run(work, request.receive, sender=sender)

    def check_capacity(self, request: Request | None = None) -> None:
        """Raises ApiError with Retry-After if there is no place for a request of this sender. `entered`
        checks again; this call refuses a request before its long body is sent."""
        self._check(NOBODY if request is None else sender_of(request))

    @asynccontextmanager
    async def entered(self, sender: Sender = NOBODY) -> AsyncIterator[None]:
        """Take a place for one request, from the end of its body until its response.

        Raises ApiError with Retry-After if there is no place: 429 if the sender has a key and has places
        already, otherwise the status of a full queue.
        """
        evicted = self._check(sender)
        if evicted is not None:
            self._turns.evict(evicted)
        self._places[sender.name] += 1
        try:
            yield
        finally:
            self._places[sender.name] -= 1
            if not self._places[sender.name]:
                del self._places[sender.name]

    @asynccontextmanager
    async def parked(self, sender: Sender) -> AsyncIterator[asyncio.Future[None]]:
        """Take a place for a request that waits and needs no thread (`at_work` is 0). The future is done
        when the place is needed for a request of another sender, or if there is no place."""
        async with AsyncExitStack() as place:
            try:
                await place.enter_async_context(self.entered(sender))
            except ApiError:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                turn.set_result(None)
            else:
                turn = self._turns.ask(sender)
                place.callback(self._turns.leave, sender, turn)
            yield turn

    def _check(self, sender: Sender) -> str | None:
        """The sender whose waiting request makes room; None if no room must be made. Raises ApiError."""
        if self._places.total() < self._capacity:
            return None
        most = self._places[sender.name] + 2
        larger = [name for name in self._places if self._turns.can_evict(name)]
        largest = max(larger, key=lambda name: self._places[name], default="")
        if self._places[largest] >= most:
            return largest
        raise self._refused(sender)

    def _refused(self, sender: Sender) -> ApiError:
        if self._measured is not None:
            self._measured.refused.inc()
        own = self._places[sender.name]
        if sender.has_key and own:
            return ApiError(
                429,
                "too_many_requests",
                f"{own} requests of this key are in progress or waiting; wait for one of them",
                close=True,
                headers={"Retry-After": str(self._retry_seconds)},
            )
        return busy(
            f"{self._places.total()} requests are in progress or waiting; try again later",
            self._retry_seconds,
            self._status,
        )

    async def run(
        self,
        work: Callable[[Cancellation], Result],
        receive: Receive,
        cancellation: Cancellation | None = None,
        *,
        sender: Sender = NOBODY,
    ) -> Result:
        """Run `work` in a thread when it is the turn of this request, which has entered.

        receive: of the request; its body must have been read. If the client disconnects, waiting work
        never starts and running work is cancelled; the next request starts when the running work has
        really ended. cancellation: shared by work that takes several runs. sender: whose request it is.
        Raises ClientDisconnect if the client disconnects, ApiError (429 or 503) if the request made room
        for one of another sender.
        """
        gone = asyncio.ensure_future(gone_of(receive))
        try:
            await self._take_turn(gone, sender)
            return await self._work(work, gone, cancellation or Cancellation(), sender)
        except EvictedError:
            raise self._refused(sender) from None
        finally:
            gone.cancel()

    async def _take_turn(self, gone: asyncio.Future[None], sender: Sender) -> None:
        """Raises ClientDisconnect, EvictedError."""
        turn = self._turns.ask(sender)
        try:
            both: set[asyncio.Future[Any]] = {turn, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                raise ClientDisconnect
            turn.result()
        except BaseException:
            self._turns.leave(sender, turn)
            raise

    async def _work(
        self,
        work: Callable[[Cancellation], Result],
        gone: asyncio.Future[None],
        cancellation: Cancellation,
        sender: Sender,
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
                    loop.call_soon_threadsafe(self._turns.release, sender)

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
                self._turns.release(sender)


def busy(message: str, retry_seconds: int = 5, status: int = 503) -> ApiError:
    """An error with Retry-After."""
    return ApiError(
        status, "busy", message, close=True, headers={"Retry-After": str(retry_seconds)}
    )


async def gone_of(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
