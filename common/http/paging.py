"""Pages of a list, and the threads that read their rows from the state database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Path, Query

Result = TypeVar("Result")
# Row numbers of both databases are smaller.
_MAX_NUMBER = 2**63 - 1
_CURSOR = "`next_cursor` of the previous page."

Limit = Annotated[int, Query(ge=1, le=1000)]
# Of lists whose items are small.
LongLimit = Annotated[int, Query(ge=1, le=10_000)]
Cursor = Annotated[int | None, Query(ge=1, le=_MAX_NUMBER, description=_CURSOR)]
TextCursor = Annotated[str, Query(description=_CURSOR)]
RowNumber = Annotated[int, Path(ge=1, le=_MAX_NUMBER)]


def page_json(items: Sequence[Any], following: int | str | None, total: int) -> dict[str, Any]:
    """A page. following: the number or name of its last row; None at the end. total: of all pages."""
    cursor = None if following is None else str(following)
    return {"items": items, "next_cursor": cursor, "total": total}


class StateThreads:
    """Threads that use the state database, so that a slow one blocks no other routes."""

    def __init__(self, threads: int = 2) -> None:
        self._limiter = CapacityLimiter(threads)

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, which runs in a thread when one is free."""
        return await to_thread.run_sync(work, limiter=self._limiter)
