"""Frees replaced graphs, and the vectors that graphs shared, where no search waits for it.

FAISS frees them with Python's interpreter lock held: all threads of the process stand still, 0.2 s per
gigabyte, in whatever thread drops the last reference. So they go to a thread of its own, which gives
their memory back to the kernel without the lock; what is left to be freed then takes no time.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

import faiss

from common.runtime_tuning import yield_to_queries
from searcher.index.graph import LowestLinks
from searcher.index.memory_pages import give_back

_log = logging.getLogger("storyhash.shard")
# The part that gave a graph up is still being deleted when the graph arrives here.
_LOOKS, _LOOK_SECONDS = 20, 0.005

_given_up: SimpleQueue[Any] = SimpleQueue()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def start() -> None:
    """Start the thread, unless it runs. Until then, graphs are freed where they are dropped."""
    global _thread
    with _starting:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_work, name="graph-release", daemon=True)
            _thread.start()


def give_up(index: Any) -> None:
    """Free a graph or a flat index soon, unless somebody else has it too. It may be called while objects
    are deleted."""
    if _thread is not None and index is not None:
        _given_up.put(index)


def _work() -> None:
    yield_to_queries()
    while True:
        graphs = [_given_up.get()]
        try:
            for _ in range(_LOOKS):
                if free(graphs):
                    break
                # Another part of the same graph gives it up later.
                time.sleep(_LOOK_SECONDS)
        except Exception as error:
            # Without this thread, graphs would wait here for ever. A traceback would keep this one.
            _log.error("a replaced graph is freed at once, so searches may wait: %s", repr(error))
        graphs.clear()


def free(graphs: list[Any]) -> bool:
    """Give the memory of the graph in a list of one back to the kernel. Returns False, and does nothing,
    if anything but the list has the graph."""
    if _references(graphs) > _ALONE:
        return False
    index = graphs[0]
    vectors = index
    if hasattr(index, "hnsw"):
        vectors = faiss.downcast_index(index.storage) if index.own_fields else None
        if index.ntotal:
            give_back(LowestLinks(index).array)
    if vectors is not None and vectors.codes.size():
        give_back(faiss.rev_swig_ptr(vectors.codes.data(), vectors.codes.size()))
    return True


def _references(graphs: list[Any]) -> int:
    return sys.getrefcount(graphs[0])


# What is counted for an object that only its list has: versions of Python differ.
_ALONE = _references([object()])
