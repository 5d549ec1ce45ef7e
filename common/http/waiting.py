"""A time limit for work that usually need not wait at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
_Steps = Generator[Any, Any, Result]


async def within(seconds: float, work: Awaitable[Result]) -> Result:
    """The result of the work. Raises TimeoutError if it takes longer.

    A timer is started only once the work waits for something: most bodies arrive together with their
    headers, and a timer costs as much as reading such a body.
    """
    steps = work.__await__()
    try:
        awaited = next(steps)
    except StopIteration as done:
        result: Result = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _rest(steps, awaited)


@coroutine
def _rest(steps: _Steps[Result], awaited: Any) -> _Steps[Result]:
    """The rest of work that has begun and waits for `awaited`."""
    resume: Callable[[Any], Any]
    while True:
        given: Any
        try:
            given = yield awaited
            resume = steps.send
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            given, resume = error, steps.throw
        try:
            awaited = resume(given)
        except StopIteration as done:
            result: Result = done.value
            return result
