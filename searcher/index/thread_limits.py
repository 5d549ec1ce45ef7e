"""How many threads of OpenMP FAISS may use. The limits hold for the calling thread.

Setting one lets go of Python's interpreter lock, and a query may wait long until it has it again; so it
is set only when it changes.
"""

from __future__ import annotations

import threading

import faiss

from common.runtime_tuning import usable_cores, yield_to_queries

_MERGE_THREADS = 4


class _Limit(threading.local):
    """The limit of this thread; 0 if it was not set yet."""

    threads = 0


_limit = _Limit()


def use_one_thread() -> None:
    """Let FAISS search in the calling thread alone."""
    _set(1)


def work_in_background() -> None:
    """Lower the priority of this thread and those it starts, and leave half of the cores to others."""
    _set(max(1, min(_MERGE_THREADS, usable_cores() // 2)))
    yield_to_queries()


def _set(threads: int) -> None:
    if threads != _limit.threads:
        faiss.omp_set_num_threads(threads)
        _limit.threads = threads
