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
    old = rng.choice(first_new, min(first_new, _PARTS * len(fresh)), replace=False)
    parts = [fresh]
    parts += [old[start : start + len(fresh)] for start in range(0, len(old), len(fresh))]
    for part in parts:
        missed = 0
        for start in range(0, len(part), _BLOCK):
            if closing.is_set():
                return None
            missed += _link_lost(searched, links, part[start : start + _BLOCK], rng)
        lost += missed
        if part is not fresh and missed < _LOST * len(part):
            break
    return lost


def _link_lost(
    searched: SearchedGraph,
    links: LowestLinks,
    nodes: Int64Array,
    rng: np.random.Generator,
) -> int:
    """Add links to those nodes that a search does not find. Returns how many were not found."""
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
                    _link(links, other, node)
    return missed


def _changed(vectors: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The vectors, each moved by `_CHANGE` in a random direction; float32, same shape."""
    moves = rng.standard_normal(vectors.shape, dtype=np.float32)
    moves *= _CHANGE / np.linalg.norm(moves, axis=1, keepdims=True)
    return vectors + moves


def _link(links: LowestLinks, source: int, node: int) -> None:
    """Let a node link to another one. If its list is full, the other one takes the place of the node to
    which most nodes of the list link: it is reached through them."""
    line = links.of(source)
    if (line == node).any():
        return
    free = np.flatnonzero(line < 0)
    line[free[0] if len(free) else np.argmax(_links_among(links, line))] = node


def _links_among(links: LowestLinks, nodes: Int32Array) -> Int64Array:
    """int64, shape of `nodes`: how many of these nodes link to each of them."""
    lists = np.stack([links.of(node) for node in nodes.tolist()])
    found: Int64Array = (lists[:, :, None] == nodes).sum(axis=(0, 1))
    return found
