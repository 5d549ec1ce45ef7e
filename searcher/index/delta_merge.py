"""Merges rows into graphs: decides which and when, and builds the new graph.

A graph is never changed: a merge copies its links, adds rows to the copy, and the copy is swapped in. The
vectors are not copied (`shared_vectors`). So that each search compares few rows one by one, there are two
merges, and each has its own thread:

- The **short** one begins when `searcher.delta_rows` rows wait, or fewer if nothing else is to be done.
It adds them to the graph, in less than a second.
- The **long** one rebuilds the graph when too many of its rows are deleted. Rows that arrive meanwhile
get a small graph of their own. Afterwards another long merge adds its rows to the large one.

A graph with compressed vectors has to be copied as a whole. So a large one always has a small graph of
recent rows beside it, to which the short merges add. The long merge begins when that has `_RECENT_ROWS`
rows, or the fraction `searcher.delta_ratio` of the large graph if that is more. So a row is copied at
most 1 / delta_ratio times.

After a long replay, when very many rows wait, they are merged step by step, so searches become faster
step by step. Merges stop between slices when the shard closes, and run at low priority.

Then new nodes are made reachable (`graph_repair`), and the number of candidates that searches need is
measured (`graph_tuning`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Float32Array, Int64Array
from searcher.index.compression import add_compressed, new_compressed_graph
from searcher.index.delta import Delta
from searcher.index.exact_vectors import ExactVectors
from searcher.index.graph import prepared
from searcher.index.graph_dedup import GraphNodes, join
from searcher.index.graph_part import GraphPart
from searcher.index.graph_repair import repair
from searcher.index.graph_search import SearchedGraph
from searcher.index.graph_tuning import UNTUNED, tuned
from searcher.index.shared_vectors import SharedVectors
from searcher.index.state import State
from searcher.index.thread_limits import work_in_background

# Rows a short merge may take even if the graph is small: seconds of work.
_STEP_ROWS = 16_384
# A graph with compressed vectors gets a second one beside it when it has this many rows: to copy it takes
# a tenth of a second.
_FIRST_ROWS = 65_536
# When nothing else is to be done, so few rows are merged: `searcher.delta_rows` divided by this.
_IDLE = 8
# The small graph is merged into the large one when it has this many rows.
_RECENT_ROWS = 16_384
# Rows added between two checks for closing: about a second in a large graph on one core.
_SLICE_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge that replaces `joined`, parts of a state, by one graph of all their rows and of those that
    follow them, up to `stop`. anew: build the graph without deleted rows."""

    state: State
    joined: tuple[GraphPart, ...]
    stop: int
    anew: bool = False

    @property
    def first_row(self) -> int:
        """The first row of the new graph."""
        return self.joined[0].first_row if self.joined else self.state.graph_rows

    @property
    def kept(self) -> Int64Array:
        """The rows that the graph will contain."""
        rows = np.arange(self.first_row, self.stop)
        return rows[self.state.alive[rows]] if self.anew else rows


def due_short(
    state: State, settings: SearcherSettings, taken: int, *, idle: bool = False
) -> Merge | None:
    """The merge of waiting rows that a state needs; None if it needs none. taken: number of parts, from
    the first, that a long merge is joining. idle: nothing else is to be done, so fewer rows are
    enough."""
    waiting = state.total - state.graph_rows
    if waiting < max(1, settings.delta_rows // (_IDLE if idle else 1)):
        return None
    parts = state.parts[taken:]
    # While a long merge runs, the small graph takes all that comes.
    grows = bool(parts) and (taken > 0 or not _is_full(state, settings))
    joined = parts[-1:] if grows else ()
    copied = [part.rows for part in joined if part.shared is None]
    most = max(_STEP_ROWS, settings.delta_rows, *copied)
    return Merge(state, joined, state.graph_rows + min(waiting, most))


def due_long(state: State, settings: SearcherSettings, *, idle: bool = False) -> Merge | None:
    """The merge of all graphs that a state needs; None if it needs none. idle: nothing else is to be
    done, so also small graphs are joined."""
    rows = state.graph_rows
    dead = rows - int(np.count_nonzero(state.alive[:rows]))
    anew = dead > settings.delta_rows and dead > settings.max_dead_ratio * rows
    full = len(state.parts) > 1 and (
        idle or state.parts[0].shared is not None or _is_full(state, settings)
    )
    return Merge(state, state.parts, rows, anew) if anew or full else None


def _is_full(state: State, settings: SearcherSettings) -> bool:
    """Whether the last graph is not to grow any more."""
    last = state.parts[-1]
    if last.shared is not None:
        return False
    if len(state.parts) == 1:
        return last.rows >= _FIRST_ROWS
    return last.rows >= max(_RECENT_ROWS, settings.delta_ratio * last.first_row)


def build(merge: Merge, settings: SearcherSettings, closing: threading.Event) -> GraphPart | None:
    """Build the graph of a merge. Returns None if the shard was closed first."""
    work_in_background()
    state = merge.state
    base = GraphPart(None, GraphNodes(), merge.first_row)
    if merge.joined and not merge.anew:
        base = merge.joined[0]
    rows, known = merge.kept, base.nodes.count
    nodes = join(base.nodes, len(rows) - base.rows, lambda some: state.vectors(rows[some]))
    added = rows[nodes.first_rows[known:]]
    graph, shared = _to_grow(base, len(added), settings)
    exact = _room_for(base, nodes.count, settings)
    searched = SearchedGraph(graph, None if exact is None else exact.array)
    for start in range(0, len(added), _SLICE_ROWS):
        if closing.is_set():
            return None
        _add(searched, state.vectors(added[start : start + _SLICE_ROWS]))
    rng = np.random.default_rng(nodes.count)
    if repair(searched, known, rng, closing) is None:
        return None
    tuning = UNTUNED if base.graph is None else base.tuning
    if tuning.is_due(graph):
        measured = tuned(searched, settings.recall_target, rng, closing)
        if measured is None:
            return None
        tuning = measured
    if shared is not None:
        shared.finish(graph)
    # The nodes that were there keep their vectors.
    checksums = base.checksums.copy()
    return GraphPart(graph, nodes, merge.first_row, tuning, checksums, exact, shared).prepare()


def _to_grow(
    base: GraphPart, fresh: int, settings: SearcherSettings
) -> tuple[Any, SharedVectors | None]:
    """A graph to which this many nodes are to be added, a copy or a new one; and its vectors, if it
    shares them."""
    if base.shared is not None:
        return base.shared.grown(base.graph, fresh)
    if base.graph is not None:
        return prepared(faiss.clone_index(base.graph)), None
    if settings.quantization == "none":
        shared = SharedVectors(fresh)
        return shared.new(settings), shared
    return new_compressed_graph(settings, settings.quantization), None


def _room_for(base: GraphPart, nodes: int, settings: SearcherSettings) -> ExactVectors | None:
    """Room for the exact vectors of a graph of this many nodes; None if it has them itself. A graph of an
    old snapshot has them until it is read from a new one."""
    if base.graph is not None:
        return None if base.exact is None else base.exact.grown(nodes)
    return None if settings.quantization == "none" else ExactVectors(nodes)


def _add(searched: SearchedGraph, vectors: Float32Array) -> None:
    """Add vectors, float32 (m, 528), to a graph."""
    if searched.exact is None:
        searched.graph.add(vectors)
        return
    start = searched.graph.ntotal
    searched.exact[start : start + len(vectors)] = vectors
    add_compressed(searched.graph, searched.exact[:start], vectors)


def merged_state(state: State, merge: Merge, built: GraphPart) -> State:
    """A state with the merged graph. state: the current state, which may be newer than that of the
    merge: more rows may wait, and the other merge may have ended."""
    if merge.anew:
        return _renumbered(state, merge, built)
    if merge.joined and merge.first_row == 0:
        # The parts that a long merge joined, or the only one, are the first ones.
        parts = (built, *state.parts[len(merge.joined) :])
        return replace(state, parts=parts, delta=state.delta.after(parts[-1].stop))
    before = state.parts[:-1] if merge.joined else state.parts
    # A long merge that ended meanwhile may have given the rows other numbers.
    built = replace(built, first_row=before[-1].stop if before else 0)
    return replace(state, parts=(*before, built), delta=state.delta.after(built.stop))


def _renumbered(state: State, merge: Merge, built: GraphPart) -> State:
    """A state without the rows that the merge dropped."""
    stop, kept = merge.stop, merge.kept
    rows = np.concatenate([kept, np.arange(stop, state.total)])
    moved = stop - len(kept)
    later = state.parts[len(merge.joined) :]
    parts = (built, *(replace(part, first_row=part.first_row - moved) for part in later))
    parts = tuple(part for part in parts if part.rows)
    waiting = state.graph_rows
    delta = Delta(waiting - moved).grown(len(rows))
    for first, vectors in state.delta.pieces(waiting, state.total):
        delta.write(first - moved, vectors)
    alive = state.alive[rows]
    return State(
        parts=parts,
        delta=delta,
        total=len(rows),
        rows=state.rows.kept(rows),
        frames=state.frames.kept(rows),
        alive=alive,
        live=int(np.count_nonzero(alive)),
    )
