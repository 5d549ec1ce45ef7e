"""A time limit that costs nothing where nothing waits."""

from __future__ import annotations

import asyncio

import pytest

from common.http.waiting import within


def run(seconds: float, work: object) -> object:
    async def limited() -> object:
        return await within(seconds, work)  # type: ignore[arg-type]

    return asyncio.run(limited())


async def at_once() -> str:
    return "done"


async def after_some_turns() -> str:
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.sleep(0.001), 30)
    return "done"


async def never() -> None:
    await asyncio.Event().wait()


async def refused() -> None:
    await asyncio.sleep(0)
    raise ValueError("refused")


def test_work_that_need_not_wait_is_done_even_with_no_time_left() -> None:
    assert run(0, at_once()) == "done"


def test_work_that_waits_is_done_within_its_time() -> None:
    assert run(30, after_some_turns()) == "done"
    assert run(30, within(30, after_some_turns())) == "done"


def test_work_that_waits_too_long_is_stopped() -> None:
    stopped = []

    async def told() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    with pytest.raises(TimeoutError):
        run(0.01, told())
    assert stopped == [True]
    with pytest.raises(TimeoutError):
        run(30, within(0.01, never()))


def test_an_error_of_the_work_is_told() -> None:
    with pytest.raises(ValueError, match="refused"):
        run(30, refused())


def test_who_is_cancelled_cancels_the_work() -> None:
    async def cancelled() -> str:
        waiting = asyncio.ensure_future(within(30, never()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return "done"

    assert asyncio.run(cancelled()) == "done"
