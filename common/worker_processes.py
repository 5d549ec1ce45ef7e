"""Worker processes for trusted data; untrusted data goes to `common.sandbox`."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from common.closeable import Closeable
from common.errors import StoryHashError
from common.runtime_tuning import die_with, work_in_one_thread

S = TypeVar("S")
T = TypeVar("T")


class WorkerProcesses(Closeable, Generic[S]):
    """Processes that open something once and pass it to many calls; a context manager, which ends them.
    They end with their parent. Calls and results are pickled."""

    def __init__(self, count: int, opening: Callable[[], S]) -> None:
        """opening: called in each process before its first call."""
        self._ahead = 2 * count
        context = multiprocessing.get_context("spawn")
        numbers: multiprocessing.Queue[int] = context.Queue()
        for number in range(count):
            numbers.put(number)
        self._pool = ProcessPoolExecutor(
            count, context, initializer=_begin, initargs=(os.getpid(), numbers, count, opening)
        )

    def close(self) -> None:
        """End the processes after their present calls."""
        self._pool.shutdown(cancel_futures=True)

    def run(self, calls: Iterable[Callable[[S], T]]) -> Iterator[T]:
        """The result of every call, in the order of completion; only a few calls are queued.

        Raises the errors of calls, and StoryHashError if a process died.
        """
        futures: set[Future[T]] = set()
        try:
            for call in calls:
                futures.add(self._pool.submit(_call, call))
                if len(futures) >= self._ahead:
                    done, futures = wait(futures, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while futures:
                done, futures = wait(futures, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool:
            raise StoryHashError(
                "a worker process died, usually because memory ran out; run the same command again "
                "with fewer --workers: completed work is kept"
            ) from None


_opened: Any = None


def _begin(
    parent: int, numbers: multiprocessing.Queue[int], count: int, opening: Callable[[], object]
) -> None:
    global _opened
    # Ctrl-C signals the whole terminal group; the parent stops its children itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    die_with(parent)
    work_in_one_thread()
    _take_own_cores(numbers.get(), count)
    _opened = opening()


def _take_own_cores(number: int, count: int) -> None:
    """Use cores of its own in this process, so that no network uses all of them."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own_cores = cores[number % len(cores) :: count]
        os.sched_setaffinity(0, own_cores)


def _call(call: Callable[[Any], T]) -> T:
    return call(_opened)
