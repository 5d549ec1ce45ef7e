"""So many at work, so many waiting, and the rest is turned away at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from common.gate import Gate
from common.http import ApiError


def run(work: Coroutine[Any, Any, None]) -> None:
    """One event loop, as a server has it; a test that hangs in it has found something."""
    asyncio.run(asyncio.wait_for(work, 30))


class Work:
    """Work in threads that waits until it is let go, and counts how much of it runs at once."""

    def __init__(self) -> None:
        self.most = self.now = self.done = 0
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.begun.release()
        self.go_on.wait(3600)
        with self._lock:
            self.now -= 1
            self.done += 1
        return self.done

    async def has_begun(self, times: int) -> None:
        for _ in range(times):
            assert await asyncio.to_thread(self.begun.acquire, timeout=30)


async def request(gate: Gate, work: Work) -> int:
    async with gate.entered():
        return await gate.run(work)


def test_so_many_work_at_once_and_all_that_wait_have_their_turn() -> None:
    async def check() -> None:
        gate, work = Gate(2, 5), Work()
        requests = [asyncio.create_task(request(gate, work)) for _ in range(7)]
        await work.has_begun(2)
        work.go_on.set()
        assert sorted(await asyncio.gather(*requests)) == list(range(1, 8))
        assert work.most == 2

    run(check())


def test_one_too_many_is_told_when_to_come_again() -> None:
    async def check() -> None:
        gate, work = Gate(1, 2, retry_seconds=7), Work()
        inside = [asyncio.create_task(request(gate, work)) for _ in range(3)]
        await work.has_begun(1)
        with pytest.raises(ApiError, match="3 requests are in work or wait already") as refused:
            await request(gate, work)
        assert (refused.value.status, refused.value.code) == (503, "busy")
        # Its body is not read, so the connection cannot go on.
        assert refused.value.headers == {"Retry-After": "7", "Connection": "close"}
        work.go_on.set()
        await asyncio.gather(*inside)

    run(check())


def test_a_place_is_free_again_however_a_request_ended() -> None:
    async def fail(gate: Gate) -> None:
        async with gate.entered():
            raise ValueError("the body is no video")

    def broken() -> None:
        raise ZeroDivisionError

    async def check() -> None:
        gate = Gate(1, 0)
        for _ in range(3):
            with pytest.raises(ValueError, match="no video"):
                await fail(gate)
            with pytest.raises(ZeroDivisionError):
                async with gate.entered():
                    await gate.run(broken)
        async with gate.entered():
            assert await gate.run(lambda: 5) == 5

    run(check())


def test_a_request_given_up_on_makes_room_though_its_thread_still_ends_its_work() -> None:
    async def check() -> None:
        gate, work = Gate(1, 0), Work()
        given_up = asyncio.create_task(request(gate, work))
        await work.has_begun(1)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        next_one = asyncio.create_task(request(gate, work))
        await work.has_begun(1)
        work.go_on.set()
        await next_one
        while work.done < 2:
            await asyncio.sleep(0.01)

    run(check())


def test_one_that_waits_and_gives_up_takes_no_turn() -> None:
    async def check() -> None:
        gate, work = Gate(1, 2), Work()
        first, second, third = (asyncio.create_task(request(gate, work)) for _ in range(3))
        await work.has_begun(1)
        second.cancel()
        work.go_on.set()
        await asyncio.gather(first, third)
        assert work.done == 2

    run(check())


def test_the_event_loop_goes_on_while_threads_work() -> None:
    async def check() -> None:
        gate, work = Gate(1, 0), Work()
        slow = asyncio.create_task(request(gate, work))
        await work.has_begun(1)
        # This line is the proof: the loop has come here with the work still waiting.
        work.go_on.set()
        assert await slow == 1

    run(check())
