"""What waits in the delta joins the graph: when, how much at once, and how.

A fold copies the graph, adds rows to the copy and swaps it in. Three bounds keep that in proportion,
however many rows there are and however fast they come:

- it begins once the delta holds `searcher.delta_rows`, or `searcher.delta_ratio` of the graph if that is
  more, so a row is copied at most 1 / delta_ratio times and a search compares few vectors one by one;
- it takes at most as many rows as the graph has, so that after a long replay, when very many wait,
  searches get quicker step by step and not at the very end;
- it is given up between slices when the shard closes, and gives way to everything else that runs.

When too many rows are dead the graph is built anew from the living ones instead.
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
from searcher.index.graph import new_graph
from searcher.index.graph_dedup import Nodes, join
from searcher.index.state import State

# Rows a fold may take however small the graph is: seconds of work.
_STEP_ROWS = 16_384
# Rows added between two looks whether to go on: about a second in a large graph on one core.
_SLICE_ROWS = 1024
# Enough to let queries and ingestion go first, and not so much that others on the machine starve it.
_NICE = 5


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows up to `stop` of a state are to be in its graph; `anew`: without those that are dead."""

    seen: State
    stop: int
    anew: bool

    @property
    def kept(self) -> Int64Array:
        """The rows that will be in the graph."""
        if not self.anew:
            return np.arange(self.stop)
        return np.flatnonzero(self.seen.alive[: self.stop])


@dataclass(frozen=True, slots=True)
class Built:
    """A graph, and which node of it each row is."""

    graph: Any
    nodes: Nodes


def due(state: State, settings: SearcherSettings) -> Fold | None:
    """The fold that a state needs."""
    waiting = state.total - state.graph_rows
    most = max(_STEP_ROWS, settings.delta_rows, state.graph_rows)
    stop = state.graph_rows + min(waiting, most)
    dead = stop - int(np.count_nonzero(state.alive[:stop]))
    anew = dead > settings.delta_rows and dead > settings.max_dead_ratio * stop
    if anew or waiting >= max(settings.delta_rows, settings.delta_ratio * state.graph_rows):
        return Fold(state, stop, anew)
    return None


def build(fold: Fold, settings: SearcherSettings, closing: threading.Event) -> Built | None:
    """The graph a fold leads to; None when it was given up."""
    _give_way()
    seen = fold.seen
    fresh = fold.anew or seen.graph is None
    graph = new_graph(settings) if fresh else faiss.clone_index(seen.graph)
    nodes = Nodes() if fresh else seen.nodes
    rows = fold.kept
    known = nodes.count
    nodes = join(nodes, len(rows) - len(nodes.of_row), lambda some: seen.vectors(rows[some]))
    added = rows[nodes.first_rows[known:]]
    for start in range(0, len(added), _SLICE_ROWS):
        if closing.is_set():
            return None
        graph.add(seen.vectors(added[start : start + _SLICE_ROWS]))
    return Built(graph, nodes)


def folded(state: State, fold: Fold, built: Built) -> State:
    """A later state than the fold's, with its graph."""
    stop = fold.stop
    if not fold.anew:
        delta = state.delta.after(stop)
        return replace(
            state, graph=built.graph, nodes=built.nodes, delta=delta, _allowed={}, _packed={}
        )
    rows = np.concatenate([fold.kept, np.arange(stop, state.total)])
    kept = len(fold.kept)
    moved = stop - kept
    delta = Delta(kept).with_room(len(rows))
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
    )


def _give_way() -> None:
    """Have this thread, and those it starts, run when nothing else wants to. Elsewhere than on Linux
    threads have no priority of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
