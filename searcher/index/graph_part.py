"""One graph of the shard: the rows it has, their nodes, and what was measured on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import faiss

from common.types import Float32Array, Int64Array
from searcher.index.delta import BLOCK_ROWS
from searcher.index.exact_vectors import ExactVectors
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_release import give_up
from searcher.index.graph_search import SearchedGraph
from searcher.index.graph_tuning import UNTUNED, Tuning
from searcher.index.shared_vectors import SharedVectors

# Candidates that are compared exactly per result, if vectors are compressed: near-copies differ by less
# than what compression changes.
_COMPARED_PER_RESULT = 5


@dataclass(frozen=True, eq=False)
class GraphPart:
    """A graph of the rows [first_row, stop) of a state. It never changes.

    nodes: the node of each row, where the part's first row has the number 0. tuning: measured on this
    graph, or on a smaller one from which it grew. checksums: of its files in snapshots, as far as they
    are known: of the vectors of nodes (start, stop). exact: the vectors, if those of the graph are
    compressed. shared: the vectors of the graph, if it may grow without a copy of them.
    """

    graph: Any
    nodes: GraphNodes
    first_row: int = 0
    tuning: Tuning = UNTUNED
    checksums: dict[tuple[int, int], str] = field(default_factory=dict)
    exact: ExactVectors | None = None
    shared: SharedVectors | None = None

    def __del__(self) -> None:
        # Whoever drops the last reference may be answering a query.
        give_up(self.graph)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.nodes.of_row)

    @property
    def stop(self) -> int:
        """The row after the last one."""
        return self.first_row + self.rows

    @cached_property
    def vectors(self) -> Float32Array:
        """The vector of each node, float32 (nodes, 528), not a copy."""
        return self.searched.vectors

    @cached_property
    def searched(self) -> SearchedGraph:
        """The graph for searches."""
        return SearchedGraph(self.graph, None if self.exact is None else self.exact.array)

    def candidates_for(self, k: int) -> int:
        """Candidates of a search for k results."""
        candidates = self.tuning.candidates_for(k)
        return candidates if self.exact is None else max(candidates, _COMPARED_PER_RESULT * k)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the vectors and links in memory."""
        links = int(self.graph.hnsw.neighbors.size()) * 4
        return self.nodes.count * int(faiss.downcast_index(self.graph.storage).code_size) + links

    def nodes_of(self, rows: Int64Array) -> Int64Array:
        """The node of each of these rows of the part."""
        local = rows - self.first_row
        return local if self.nodes.distinct else self.nodes.of_row[local]

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, Float32Array]]:
        """The vectors of those rows of [start, stop) that are here, float32 (m, 528), with the first row
        of each piece."""
        stop = min(stop, self.stop)
        for first in range(max(start, self.first_row), stop, BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, stop)
            here = slice(first - self.first_row, last - self.first_row)
            yield first, self.vectors[here if self.nodes.distinct else self.nodes.of_row[here]]

    def prepare(self) -> GraphPart:
        """Compute what the first search would compute otherwise. Returns the part itself."""
        self.nodes.prepare()
        return self
