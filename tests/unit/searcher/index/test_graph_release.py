"""Replaced graphs are freed in a thread of their own, and never while a part still has them."""

from __future__ import annotations

import sys
import threading
import weakref
from dataclasses import replace
from typing import Any

import numpy as np

from common.settings import SearcherSettings
from common.types import Float32Array
from searcher.index import graph_release
from searcher.index.graph import PADDED_DIMENSION, graph_vectors, new_graph
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_part import GraphPart

# As many that their memory is worth giving back.
ROWS = 700


def vectors() -> Float32Array:
    return np.random.default_rng(3).standard_normal((ROWS, PADDED_DIMENSION), np.float32)


def graph_of(stored: Float32Array) -> Any:
    # Few links: building them is most of the work.
    graph = new_graph(SearcherSettings(hnsw_m=4, ef_construction=8))
    graph.add(stored)
    return graph


def part_of(graph: Any) -> GraphPart:
    return GraphPart(graph, GraphNodes(np.arange(graph.ntotal)))


class Watched:
    """Tells in which thread a graph was freed."""

    def __init__(self, graph: Any) -> None:
        self.thread = ""
        self._freed = threading.Event()
        self._reference = weakref.ref(graph, self._note)

    def _note(self, _: object) -> None:
        self.thread = threading.current_thread().name
        self._freed.set()

    def wait(self) -> None:
        assert self._freed.wait(300)


def test_whoever_drops_a_graph_last_does_not_free_it() -> None:
    graph_release.start()
    graph = graph_of(vectors())
    watched, part = Watched(graph), part_of(graph)
    assert part.searched.vectors.shape == (ROWS, PADDED_DIMENSION)
    del graph, part
    watched.wait()
    assert watched.thread == "graph-release"


def test_a_graph_that_another_part_has_is_left_alone() -> None:
    graph_release.start()
    stored = vectors()
    part = part_of(graph_of(stored))
    other = replace(part, first_row=5)
    del part
    # Graphs are freed one after another: this one comes after.
    later = graph_of(stored[:1])
    watched, another = Watched(later), part_of(later)
    del later, another
    watched.wait()
    assert np.array_equal(other.vectors, stored)
    _, found = other.searched.search(stored[:1], 1, 64)
    assert found.tolist() == [[0]]


def test_what_cannot_be_given_back_is_freed_all_the_same() -> None:
    class Unknown:
        """No graph of FAISS."""

    graph_release.start()
    strange = Unknown()
    watched = Watched(strange)
    graph_release.give_up(strange)
    del strange
    watched.wait()
    # The thread goes on.
    graph = graph_of(vectors()[:1])
    watched, part = Watched(graph), part_of(graph)
    del graph, part
    watched.wait()


def test_memory_is_given_back_only_if_nothing_else_has_the_graph() -> None:
    stored = vectors()
    held, also = [graph_of(stored)], list[Any]()
    also.append(held[0])
    assert not graph_release.free(held)
    assert np.array_equal(graph_vectors(held[0]), stored)
    also.clear()
    assert graph_release.free(held)
    if sys.platform == "linux":
        # All but the pages at both ends, which may have something else too.
        assert np.count_nonzero(graph_vectors(held[0])) * stored.itemsize < 3 * 4096
