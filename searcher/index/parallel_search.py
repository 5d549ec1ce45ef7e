"""Divides a batch of queries among threads.

FAISS could do it with OpenMP. But OpenMP's threads wait for more work without sleeping: after each call
they keep their cores busy for some milliseconds (measured: 4 ms of CPU after a search of 2 ms). Another
query, a client on the same machine or a merge then waits for a core.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from common.runtime_tuning import is_in_background, usable_cores
from common.types import Float32Array
from searcher.index.state import Nearest
from searcher.index.thread_limits import use_one_thread

# Threads for one batch, and the fewest queries that are worth a thread. On two cores, two threads were
# 1.3 times as fast as one for 32 queries and more, and no faster for 16.
_THREADS, _QUERIES = 4, 16

_starting = threading.Lock()
_helpers: ThreadPoolExecutor | None = None


def in_threads(search: Callable[[Float32Array], Nearest], queries: Float32Array) -> Nearest:
    """The results of `search` for all queries, in their order. queries: float32 (n, d). A thread in the
    background takes no core from others: it searches alone."""
    use_one_thread()
    parts = len(queries) // _QUERIES
    if parts < 2 or is_in_background():
        return search(queries)
    first, *others = np.array_split(queries, min(parts, _THREADS, usable_cores()))
    running = [_pool().submit(search, some) for some in others]
    found = [search(first), *(one.result() for one in running)]
    return (
        np.concatenate([scores for scores, _ in found]),
        np.concatenate([rows for _, rows in found]),
    )


def _pool() -> ThreadPoolExecutor:
    global _helpers
    with _starting:
        if _helpers is None:
            _helpers = ThreadPoolExecutor(
                usable_cores(), thread_name_prefix="search", initializer=use_one_thread
            )
            os.register_at_fork(after_in_child=_forget)
        return _helpers


def _forget() -> None:
    """A forked process has none of the threads."""
    global _helpers
    _helpers = None
