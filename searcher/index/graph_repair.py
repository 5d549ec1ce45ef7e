"""Adds links to nodes that searches do not reach any more.

Rows arrive video after video. A late video links to earlier ones, but few of them link back, because
their lists are full and a full list drops links when more arrive. After a merge, the new nodes and some
older ones are searched with slightly changed vectors of their own, because a query rarely equals a row. A
node that is not found gets links from the nodes that were found instead.
"""

from __future__ import annotations

import threading

import numpy as np

from common.types import Float32Array, Int32Array, Int64Array
from searcher.index.graph import LowestLinks
from searcher.index.graph_search import SearchedGraph

# Few candidates. What they find, a search with more candidates finds too.
_CANDIDATES = 16
# A node that is not found gets links from this many others.
_LINKS = 4
_ROUNDS = 3
# Nodes searched at once. To gather their vectors holds Python's interpreter lock for half a millisecond.
_BLOCK = 256
# Older nodes are checked in parts of the size of the new ones: at most _PARTS parts, until less than the
# fraction _LOST of a part is not found.
_PARTS, _LOST = 8, 0.001
# Length of the change. It gives a cosine of 0.96 to the node's own vector, as an edited copy may have.
_CHANGE = 0.3
_SAME_SCORE = 1e-6


def repair(
    searched: SearchedGraph, first_new: int, rng: np.random.Generator, closing: threading.Event
) -> int | None:
    """Add links to the nodes from `first_new` on, and to a bounded sample of older ones, if a search does
    not find them. Returns how many were not found; None if the shard was closed first. Nobody else may
    use the graph."""
    graph = searched.graph
    fresh = np.arange(first_new, graph.ntotal)
    if not len(fresh):
        return 0
    lost, links = 0, LowestLinks(graph)
    linked = links.links_to()
    old = rng.permutation(first_new)
    parts = [fresh]
    parts += [old[start : start + len(fresh)] for start in range(0, first_new, len(fresh))]
    for part in parts[: 1 + _PARTS]:
        missed = 0
        for start in range(0, len(part), _BLOCK):
            if closing.is_set():
                return None
            missed += _link_lost(searched, links, linked, part[start : start + _BLOCK], rng)
        lost += missed
        if part is not fresh and missed < _LOST * len(part):
            break
    return lost


def _link_lost(
    searched: SearchedGraph,
    links: LowestLinks,
    linked: Int64Array,
    nodes: Int64Array,
    rng: np.random.Generator,
) -> int:
    """Add links to those nodes that a search does not find. linked: how many nodes link to each; it is
    updated. Returns how many were not found."""
    vectors, missed = searched.vectors, 0
    for _ in range(_ROUNDS):
        queries = _changed(vectors[nodes], rng)
        scores, found = searched.search(queries, _LINKS, _CANDIDATES)
        own = np.einsum("ij,ij->i", queries, vectors[nodes])
        lost = scores[:, 0] < own - _SAME_SCORE
        if not lost.any():
            break
        nodes, found = nodes[lost], found[lost]
        missed = missed or len(nodes)
        for node, near in zip(nodes.tolist(), found.tolist(), strict=True):
            for other in near:
                if other >= 0:
                    _link(links.of(other), node, linked)
    return missed


def _changed(vectors: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The vectors, each moved by `_CHANGE` in a random direction; float32, same shape."""
    moves = rng.standard_normal(vectors.shape, dtype=np.float32)
    moves *= _CHANGE / np.linalg.norm(moves, axis=1, keepdims=True)
    return vectors + moves


def _link(line: Int32Array, node: int, linked: Int64Array) -> None:
    """Add a link to a node's list. If the list is full, the node to which most others link is
    replaced."""
    if (line == node).any():
        return
    free = np.flatnonzero(line < 0)
    at = int(free[0]) if len(free) else int(np.argmax(linked[line]))
    if not len(free):
        linked[line[at]] -= 1
    line[at] = node
    linked[node] += 1
