"""How many threads FAISS may start: OpenMP keeps a pool of them for each thread that calls it.

The limits hold for the calling thread; setting one takes two microseconds.
"""

from __future__ import annotations

import faiss

from common.runtime_tuning import usable_cores, yield_to_queries

# A single query is answered in the caller's own thread; a batch gets a thread for this many queries.
_QUERIES_PER_THREAD = 8
_SEARCH_THREADS, _MERGE_THREADS = 4, 4


def limit_search_threads(queries: int) -> None:
    """Set the limit for a search with this many queries."""
    most = min(_SEARCH_THREADS, usable_cores()) if queries > _QUERIES_PER_THREAD else 1
    faiss.omp_set_num_threads(min(most, max(1, queries // _QUERIES_PER_THREAD)))


def work_in_background() -> None:
    """Lower the priority of this thread and those it starts, and leave half of the cores to others."""
    faiss.omp_set_num_threads(max(1, min(_MERGE_THREADS, usable_cores() // 2)))
    yield_to_queries()
