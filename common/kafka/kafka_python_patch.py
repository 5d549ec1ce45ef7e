"""What kafka-python 3.0 forgets while a member joins its group.

A join takes as long as the slowest member needs to hear of it, so it goes on between polls. One that ends
there is thrown away by the next poll, which joins anew; when the group's leader does that, everybody has
to join again. Members that poll shortly, as every worker with two lanes does, then rebalance for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any


def keep_ended_joins(coordinator: Any) -> None:
    """Have a consumer's coordinator take up a join that ended between two polls."""
    join = coordinator.join_group_async

    async def join_group_async(timeout_ms: float | None = None) -> bool:
        task = coordinator._join_task
        ended = task is not None and task.is_done and task.exception is None
        # A member that fell out of the group meanwhile is not rebalancing, and does join anew.
        if ended and coordinator.rebalance_in_progress():
            coordinator._join_task = _LazyFuture(task.value)
        joined: bool = await join(timeout_ms=timeout_ms)
        return joined

    coordinator.join_group_async = join_group_async


class _LazyFuture:
    """A future of kafka-python that looks pending until it is waited for."""

    is_done = False
    exception = None

    def __init__(self, value: bytes) -> None:
        self.value = value

    def add_callback(self, tell: Callable[[bytes], None]) -> None:
        tell(self.value)

    def add_errback(self, tell: Callable[[BaseException], None]) -> None:
        """There is no error."""

    def __await__(self) -> Generator[Any, None, bytes]:
        yield from ()
        return self.value
