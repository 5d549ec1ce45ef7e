"""How many threads FAISS may start: OpenMP keeps a pool of them for each thread that calls it.

The limits hold for the calling thread. Setting one lets go of Python's interpreter lock, and a query may
wait long until it has it again; so it is set only when it changes.
"""

from __future__ import annotations

import threading

import faiss

from common.runtime_tuning import usable_cores, yield_to_queries

# A single query is answered in the caller's own thread; a batch gets a thread for this many queries. With
# 2, eight queries of a 64-candidate search take half the time on two cores.
_QUERIES_PER_THREAD = 2
_SEARCH_THREADS, _MERGE_THREADS = 4, 4


class _Limit(threading.local):
    """The limit of this thread; 0 if it was not set yet."""

    threads = 0


_limit = _Limit()


def limit_search_threads(queries: int) -> None:
    """Set the limit for a search with this many queries."""
    most = min(_SEARCH_THREADS, usable_cores()) if queries > _QUERIES_PER_THREAD else 1
    _set(min(most, max(1, queries // _QUERIES_PER_THREAD)))


def work_in_background() -> None:
    """Lower the priority of this thread and those it starts, and leave half of the cores to others."""
    _set(max(1, min(_MERGE_THREADS, usable_cores() // 2)))
    yield_to_queries()


def _set(threads: int) -> None:
    if threads != _limit.threads:
        faiss.omp_set_num_threads(threads)
        _limit.threads = threads
