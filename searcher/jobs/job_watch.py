"""Requests that wait until a job changes. They hold no thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from common.http.load_shedding import gone_of

Result = TypeVar("Result")
# Another service with the same database may change a job, so it is read again this often.
_LOOK_SECONDS = 1.0


class JobWatch:
    """Wake waiting requests from any thread; wait in one event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, tuple[str, asyncio.AbstractEventLoop]] = {}
        self._ended = False

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._waiting)

    def changed(self, job_id: str) -> None:
        """A job has changed."""
        self._wake(job_id)

    def end(self) -> None:
        """From now on nothing waits: the service stops."""
        self._ended = True
        self._wake(None)

    async def until(
        self,
        job_id: str,
        read: Callable[[], Awaitable[Result]],
        enough: Callable[[Result], bool],
        seconds: float,
        receive: Receive,
        room_needed: asyncio.Future[None],
    ) -> Result:
        """What `read` gives once it is `enough`, after `seconds` at the latest, or once `room_needed` is
        done. receive: of the request. Raises ClientDisconnect, what `read` raises."""
        loop = asyncio.get_running_loop()
        last = loop.time() + seconds
        gone = asyncio.ensure_future(gone_of(receive))
        try:
            with self._watching(job_id, loop) as event:
                while True:
                    event.clear()
                    found = await read()
                    left = last - loop.time()
                    if enough(found) or left <= 0 or self._ended or room_needed.done():
                        return found
                    woken = asyncio.ensure_future(event.wait())
                    waited: set[asyncio.Future[Any]] = {woken, gone, room_needed}
                    await asyncio.wait(
                        waited,
                        timeout=min(left, _LOOK_SECONDS),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    woken.cancel()
                    if gone.done():
                        raise ClientDisconnect
        finally:
            gone.cancel()

    @contextmanager
    def _watching(self, job_id: str, loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        with self._lock:
            self._waiting[event] = job_id, loop
        try:
            yield event
        finally:
            with self._lock:
                del self._waiting[event]

    def _wake(self, job_id: str | None) -> None:
        """Wake those that wait for this job; None means all."""
        with self._lock:
            for event, (waits_for, loop) in self._waiting.items():
                if job_id in (None, waits_for):
                    # Nobody waits in a loop that is closed.
                    with suppress(RuntimeError):
                        loop.call_soon_threadsafe(event.set)
