"""Work on the next item while the current one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_ahead(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result]]:
    """Each item and its result, in order. The work on one more item is done meanwhile, in a thread.

    Raises the errors of `work`, at the item that has one. When it is left, no work is going on.
    """
    threads = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        # At most two: the current item and the next one.
        started: list[tuple[Item, Callable[[], Result]]] = []
        for item in items:
            started.append((item, threads.submit(copy_context().run, work, item).result))
            if len(started) > 1:
                before, result = started.pop(0)
                yield before, result()
        for before, result in started:
            yield before, result()
    finally:
        threads.shutdown(cancel_futures=True)
