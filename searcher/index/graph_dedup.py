"""Deduplicates the graph: rows with the same vector share one node.

HNSW gives a node few links. The links of many equal vectors would only connect them to one another,
and some would never be reached. So equal vectors are one node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from common.slices import slices
from common.types import BoolArray, Float32Array, Int64Array, UInt64Array

# Vectors in memory at once: 9 MB.
_ROWS = 4096


@dataclass(frozen=True, eq=False)
class GraphNodes:
    """of_row: int64 (g,), the node of each graph row. Nodes are numbered in the order of their
    first rows. digests: uint64 (count,), of the vectors, so that a merge need not read them again; None
    if they were not computed yet."""

    of_row: Int64Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    digests: UInt64Array | None = None

    @cached_property
    def count(self) -> int:
        """Number of nodes."""
        return int(self.of_row.max()) + 1 if len(self.of_row) else 0

    @cached_property
    def distinct(self) -> bool:
        """Whether every row has its own node, so that rows and nodes have the same numbers."""
        return self.count == len(self.of_row)

    @cached_property
    def _members(self) -> Int64Array:
        return np.argsort(self.of_row, kind="stable")

    @cached_property
    def _starts(self) -> Int64Array:
        return np.searchsorted(self.of_row[self._members], np.arange(self.count + 1))

    @cached_property
    def first_rows(self) -> Int64Array:
        """int64 (count,): the first row of each node."""
        if self.distinct:
            return self.of_row
        return self._members[self._starts[:-1]]

    def prepare(self) -> None:
        """Compute what the first search would compute otherwise: 20 ms at a million rows."""
        if not self.distinct:
            self.rows_of(0)

    def rows_of(self, node: int) -> Int64Array:
        """The rows of a node, increasing."""
        return self._members[self._starts[node] : self._starts[node + 1]]

    def with_any(self, rows: BoolArray) -> BoolArray:
        """bool (count,): whether any row of a node is set in `rows`, bool (g,)."""
        if self.distinct:
            return rows
        found = np.zeros(self.count, dtype=bool)
        found[self.of_row[rows]] = True
        return found


def join(
    nodes: GraphNodes, fresh: int, vectors: Callable[[Int64Array], Float32Array]
) -> GraphNodes:
    """The nodes after `fresh` rows were appended. vectors: a function from row numbers to their vectors,
    float32 (m, d), where d is even."""
    known = nodes.digests
    if known is None:
        known = _digests_of(nodes.first_rows, vectors)
    added = len(nodes.of_row) + np.arange(fresh)
    digests = _digests_of(added, vectors)
    # Of the nodes, only those matter whose digest a new row has.
    alike = _in(known, digests)
    rows = np.concatenate([nodes.first_rows[alike], added])
    _, first, which = np.unique(
        np.concatenate([known[alike], digests]), return_index=True, return_inverse=True
    )
    same = first[which]
    has_own_node = same == np.arange(len(rows))
    # Different vectors with the same digest get their own nodes.
    for piece in slices(np.flatnonzero(~has_own_node), _ROWS):
        has_own_node[piece] = (vectors(rows[piece]) != vectors(rows[same[piece]])).any(axis=1)
    has_own_node[: len(alike)] = True
    is_new = has_own_node[len(alike) :]
    numbers = np.concatenate([alike, nodes.count + np.cumsum(is_new) - 1])
    found = np.where(has_own_node, numbers, numbers[same])[len(alike) :]
    return GraphNodes(
        np.concatenate([nodes.of_row, found]), np.concatenate([known, digests[is_new]])
    )


def _in(values: UInt64Array, others: UInt64Array) -> Int64Array:
    """Where a value is one of the others; increasing."""
    if not len(others):
        return np.zeros(0, dtype=np.int64)
    ordered = np.sort(others)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.flatnonzero(ordered[at] == values)


def _digests_of(rows: Int64Array, vectors: Callable[[Int64Array], Float32Array]) -> UInt64Array:
    digests = [_digests(vectors(piece)) for piece in slices(rows, _ROWS)]
    return np.concatenate([np.zeros(0, np.uint64), *digests])


def _digests(vectors: Float32Array) -> UInt64Array:
    """uint64 (m,): equal for vectors with equal bits. It is a sum of products with odd numbers modulo
    2**64 (multilinear hashing, Carter and Wegman)."""
    words = np.ascontiguousarray(vectors).view(np.uint64)
    numbers = np.random.default_rng(0).integers(0, 1 << 63, words.shape[1], dtype=np.uint64)
    found: UInt64Array = (words * ((numbers << np.uint64(1)) | np.uint64(1))).sum(axis=1)
    return found
