"""Merges the delta into the graph: decides when and how many rows, and does it.

A merge copies the graph, adds rows to the copy and swaps it in. Three rules limit its cost:

- It begins when the delta has `searcher.delta_rows` rows, or the fraction `searcher.delta_ratio` of the
graph if that is more. So a row is copied at most 1 / delta_ratio times, and a search compares few vectors
one by one.
- It takes at most as many rows as the graph has. So searches become faster step by step after a long
replay, when very many rows wait.
- It stops between slices when the shard closes, and runs at low priority.

Then new nodes are made reachable (`graph_repair`), and the number of candidates that searches need is
measured (`graph_tuning`).

If too many rows are deleted, the graph is rebuilt from the other rows instead.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Int64Array
from searcher.index.delta import Delta
from searcher.index.graph import new_graph, prepared
from searcher.index.graph_dedup import GraphNodes, join
from searcher.index.graph_repair import repair
from searcher.index.graph_tuning import UNTUNED, Tuning, tuned
from searcher.index.state import State

# Rows a merge may take even if the graph is small: seconds of work.
_STEP_ROWS = 16_384
# Rows added between two checks for closing: about a second in a large graph on one core.
_SLICE_ROWS = 1024
# Low enough that queries and ingestion run first, high enough that the merge makes progress.
_NICE = 5


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge that puts the rows of a state up to `stop` into its graph. anew: rebuild the graph without
    deleted rows."""

    state: State
    stop: int
    anew: bool

    @property
    def kept(self) -> Int64Array:
        """The rows that the graph will contain."""
        if not self.anew:
            return np.arange(self.stop)
        return np.flatnonzero(self.state.alive[: self.stop])


@dataclass(frozen=True, slots=True)
class MergedGraph:
    """A graph with the node of each row and the measured tuning."""

    graph: Any
    nodes: GraphNodes
    tuning: Tuning


def due_merge(state: State, settings: SearcherSettings) -> Merge | None:
    """The merge that a state needs; None if it needs none."""
    waiting = state.total - state.graph_rows
    most = max(_STEP_ROWS, settings.delta_rows, state.graph_rows)
    stop = state.graph_rows + min(waiting, most)
    dead = stop - int(np.count_nonzero(state.alive[:stop]))
    anew = dead > settings.delta_rows and dead > settings.max_dead_ratio * stop
    if anew or waiting >= max(settings.delta_rows, settings.delta_ratio * state.graph_rows):
        return Merge(state, stop, anew)
    return None


def build(merge: Merge, settings: SearcherSettings, closing: threading.Event) -> MergedGraph | None:
    """Build the graph of a merge. Returns None if the shard was closed first."""
    _give_way()
    state = merge.state
    fresh = merge.anew or state.graph is None
    graph = new_graph(settings) if fresh else prepared(faiss.clone_index(state.graph))
    nodes = GraphNodes() if fresh else state.nodes
    rows = merge.kept
    known = nodes.count
    nodes = join(nodes, len(rows) - len(nodes.of_row), lambda some: state.vectors(rows[some]))
    added = rows[nodes.first_rows[known:]]
    for start in range(0, len(added), _SLICE_ROWS):
        if closing.is_set():
            return None
        graph.add(state.vectors(added[start : start + _SLICE_ROWS]))
    rng = np.random.default_rng(nodes.count)
    if repair(graph, known, rng, closing) is None:
        return None
    tuning = UNTUNED if fresh else state.tuning
    if tuning.is_due(graph):
        measured = tuned(graph, settings.recall_target, rng, closing)
        if measured is None:
            return None
        tuning = measured
    return MergedGraph(graph, nodes, tuning)


def merged_state(state: State, merge: Merge, built: MergedGraph) -> State:
    """A state with the merged graph. state: the current state, which may be newer than that of the
    merge."""
    stop = merge.stop
    if not merge.anew:
        delta = state.delta.after(stop)
        return replace(
            state, graph=built.graph, nodes=built.nodes, delta=delta, tuning=built.tuning
        )
    rows = np.concatenate([merge.kept, np.arange(stop, state.total)])
    kept = len(merge.kept)
    moved = stop - kept
    delta = Delta(kept).grown(len(rows))
    for first, vectors in state.delta.pieces(stop, state.total):
        delta.write(first - moved, vectors)
    alive = state.alive[rows]
    return State(
        graph=built.graph,
        nodes=built.nodes,
        delta=delta,
        total=len(rows),
        rows=state.rows.kept(rows),
        frames=state.frames.kept(rows),
        alive=alive,
        live=int(np.count_nonzero(alive)),
        tuning=built.tuning,
    )


def _give_way() -> None:
    """Lower the priority of this thread and those it starts. Only Linux has priorities per
    thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
