"""Worker processes for trusted data; untrusted data goes to `common.sandbox`."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from common.closeable import Closeable
from common.errors import StoryHashError
from common.runtime_tuning import die_with, work_in_one_thread

T = TypeVar("T")


class WorkerProcesses(Closeable):
    """Processes that run `prepare` once and then many calls; a context manager, which ends them. They end
    with their parent. Calls and results are pickled."""

    def __init__(self, count: int, prepare: Callable[..., None], *arguments: Any) -> None:
        """prepare: called with the given arguments in each process before its first call."""
        self._ahead = 2 * count
        self._pool = ProcessPoolExecutor(
            count,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(), prepare, arguments),
        )

    def close(self) -> None:
        """End the processes after their present calls."""
        self._pool.shutdown(cancel_futures=True)

    def run(self, calls: Iterable[Callable[[], T]]) -> Iterator[T]:
        """The result of every call, in the order of completion; only a few calls are queued.

        Raises the errors of calls, and StoryHashError if a process died.
        """
        futures: set[Future[T]] = set()
        try:
            for call in calls:
                futures.add(self._pool.submit(call))
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


def _begin(parent: int, prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Ctrl-C signals the whole terminal group; the parent stops its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    work_in_one_thread()
    prepare(*arguments)
