"""The FAISS shard: an immutable HNSW graph, a small flat delta, and one swap between states.

Rows are numbered once: the graph holds rows [0, g), the delta rows [g, n). Readers take the current
`State` and never a lock; one writer at a time makes a new state and swaps it in. A fold clones the
graph, adds the delta's rows to the clone in the background and swaps; when too many rows are dead
the graph is built anew from the living ones instead.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import (
    VECTOR_DIMENSION,
    BoolArray,
    Embedding,
    Float32Array,
    Hit,
    Int64Array,
    SegmentRef,
)
from searcher.state import (
    EVERYTHING,
    MISSING,
    PADDED_DIMENSION,
    Filter,
    State,
    delta_buffer,
    empty_state,
    grown,
    new_graph,
    padded,
    search_state,
    top_scores,
)

_EXACT_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class ShardStats:
    """live, dead: vectors. graph, delta: rows. bytes_per_vector: of the vectors and the graph."""

    live: int
    dead: int
    graph: int
    delta: int
    bytes_per_vector: float


class Shard:
    """Nearest segments by inner product. Many readers, one writer at a time."""

    def __init__(self, settings: SearcherSettings) -> None:
        self._settings = settings
        self._write = threading.RLock()
        self._row_of: dict[int, int] = {}
        self._state = empty_state(settings)
        self._folding: threading.Thread | None = None

    def __len__(self) -> int:
        return int(np.count_nonzero(self._state.alive))

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of each query, best first; fewer where fewer are allowed.

        vectors: float32 (n, 527).
        """
        state = self._state
        scores, rows = search_state(state, vectors, k, only, self._settings.ef_search)
        refs = state.refs
        return [
            [
                Hit(refs[row], float(score))
                for row, score in zip(row_list, score_list, strict=True)
                if row != MISSING
            ]
            for row_list, score_list in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def search_ids(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> tuple[Float32Array, Int64Array]:
        """The hot path: scores float32 (n, k) and rows int64 (n, k), -1 where there is none."""
        return search_state(self._state, vectors, k, only, self._settings.ef_search)

    def search_exact(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        """As `search`, by comparing every vector: the truth that `search` is measured against."""
        state, queries = self._state, padded(vectors)
        allowed = np.flatnonzero(state.allowed(only))
        scores = np.zeros((len(queries), 0), dtype=np.float32)
        rows = np.zeros((len(queries), 0), dtype=np.int64)
        # Block by block: a copy of a large shard would not fit beside it.
        for start in range(0, len(allowed), _EXACT_ROWS):
            block = allowed[start : start + _EXACT_ROWS]
            scores = np.hstack([scores, queries @ state.vectors(block).T])
            rows = np.hstack([rows, np.tile(block, (len(queries), 1))])
            best = np.stack([top_scores(line, k) for line in scores])
            scores = np.take_along_axis(scores, best, axis=1)
            rows = np.take_along_axis(rows, best, axis=1)
        return [
            [Hit(state.refs[row], float(score)) for row, score in zip(row_line, line, strict=True)]
            for row_line, line in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def vectors_of(self, video_id: str) -> tuple[list[SegmentRef], Float32Array]:
        """A video's searchable segments in time order, and their vectors, float32 (S, 527)."""
        state = self._state
        rows = [row for row in state.rows_of.get(video_id, ()) if state.alive[row]]
        rows.sort(key=lambda row: state.refs[row].start_seconds)
        vectors = state.vectors(np.array(rows, dtype=np.int64))
        return [state.refs[row] for row in rows], vectors[:, :VECTOR_DIMENSION]

    def some_videos(self, count: int, rng: random.Random) -> list[str]:
        """Ids of so many videos with a searchable segment, by chance."""
        names = list(self._state.rows_of)
        return rng.sample(names, min(count, len(names)))

    def versions(self) -> dict[str, int]:
        """The version held of every video with a searchable segment, by video_id."""
        state = self._state
        return {
            video_id: state.refs[row].version
            for video_id, rows in sorted(state.rows_of.items())
            for row in rows
            if state.alive[row]
        }

    def replace_video(self, video_id: str, embeddings: Sequence[Embedding]) -> None:
        """As `replace_videos`, for one."""
        self.replace_videos(embeddings, [video_id])

    def replace_videos(self, embeddings: Sequence[Embedding], video_ids: Iterable[str]) -> None:
        """Put these in place of everything held of these videos, in one step for readers."""
        self._change(embeddings, video_ids)

    def add(self, embeddings: Sequence[Embedding]) -> None:
        """Add segments; one already held under the same segment id is replaced."""
        self._change(embeddings, [])

    def remove_videos(self, video_ids: Iterable[str]) -> None:
        """Forget videos; the rows are dead at once and leave the graph when it is next built."""
        self._change([], video_ids)

    def counts(self) -> dict[str, int]:
        """Searchable segments of every video that has one."""
        state = self._state
        return {
            video_id: sum(bool(state.alive[row]) for row in rows)
            for video_id, rows in state.rows_of.items()
        }

    def frozen(self) -> Shard:
        """The shard as it is now, for a snapshot: changes to this one do not show in it."""
        copy = Shard(self._settings)
        copy._state = self._state
        return copy

    def wait_for_build(self) -> None:
        """Return when no fold is going on: for tests, benchmarks and an orderly end."""
        while True:
            with self._write:
                thread = self._folding
            if thread is None:
                return
            thread.join()

    def stats(self) -> ShardStats:
        """Counts and memory of the current state."""
        state = self._state
        live = len(self)
        links = 0 if state.graph is None else int(state.graph.hnsw.neighbors.size()) * 4
        size = state.total * PADDED_DIMENSION * 4 + links
        return ShardStats(
            live=live,
            dead=state.total - live,
            graph=state.graph_rows,
            delta=state.total - state.graph_rows,
            bytes_per_vector=size / max(state.total, 1),
        )

    def export(self) -> tuple[Any, int, Float32Array, list[SegmentRef], BoolArray]:
        """(graph, graph rows, delta float32 (m, 528), refs, alive) as they stand, for a snapshot."""
        state = self._state
        delta = state.delta[: state.total - state.graph_rows]
        return state.graph, state.graph_rows, delta, state.refs[: state.total], state.alive

    @classmethod
    def restore(
        cls,
        settings: SearcherSettings,
        graph: Any,
        delta: Float32Array,
        refs: list[SegmentRef],
        alive: BoolArray,
    ) -> Shard:
        """A shard from what `export` gave."""
        shard = cls(settings)
        graph_rows = 0 if graph is None else int(graph.ntotal)
        buffer = delta_buffer(settings, len(delta))
        buffer[: len(delta)] = delta
        rows_of: dict[str, list[int]] = {}
        for row in np.flatnonzero(alive).tolist():
            rows_of.setdefault(refs[row].video_id, []).append(row)
            shard._row_of[refs[row].point_id] = row
        shard._state = State(
            graph=graph,
            graph_rows=graph_rows,
            delta=buffer,
            total=len(refs),
            refs=list(refs),
            alive=alive.copy(),
            rows_of={video_id: tuple(rows) for video_id, rows in rows_of.items()},
        )
        return shard

    def _change(self, embeddings: Sequence[Embedding], gone: Iterable[str]) -> None:
        fresh = [embedding for embedding in embeddings if embedding.informative]
        with self._write:
            state = self._state
            rows_of = dict(state.rows_of)
            dead = [row for video_id in gone for row in rows_of.pop(video_id, ())]
            for row in dead:
                self._row_of.pop(state.refs[row].point_id, None)
            total = state.total + len(fresh)
            delta = grown(state, self._settings, len(fresh))
            for row, embedding in enumerate(fresh, state.total):
                ref = embedding.ref
                delta[row - state.graph_rows, :VECTOR_DIMENSION] = embedding.vector
                delta[row - state.graph_rows, VECTOR_DIMENSION:] = 0
                state.refs.append(ref)
                previous = self._row_of.get(ref.point_id)
                if previous is not None:
                    dead.append(previous)
                    rows_of[ref.video_id] = tuple(
                        kept for kept in rows_of.get(ref.video_id, ()) if kept != previous
                    )
                self._row_of[ref.point_id] = row
                rows_of[ref.video_id] = (*rows_of.get(ref.video_id, ()), row)
            alive = np.concatenate([state.alive, np.ones(len(fresh), dtype=bool)])
            alive[dead] = False
            self._state = replace(
                state,
                delta=delta,
                total=total,
                alive=alive,
                rows_of=rows_of,
                _allowed={},
                _packed={},
            )
            self._fold_if_due()

    def _fold_if_due(self) -> None:
        state = self._state
        if self._folding is not None:
            return
        dead = state.total - len(self)
        crowded = dead > self._settings.delta_rows
        rebuild = crowded and dead > self._settings.max_dead_ratio * state.total
        if rebuild or state.total - state.graph_rows >= self._settings.delta_rows:
            work = self._rebuild if rebuild else self._fold
            thread = threading.Thread(target=self._build, args=(work, state), name="shard-build")
            # It cannot end before the lock that is held here is free, so it is known in time.
            thread.start()
            self._folding = thread

    def _build(self, work: Callable[[State], None], seen: State) -> None:
        try:
            work(seen)
        except BaseException:
            # What is searched stays as it was; the next change tries again.
            with self._write:
                self._folding = None
            raise

    def _fold(self, seen: State) -> None:
        """Clone the graph, add the delta's rows to the clone, and swap it in."""
        graph = new_graph(self._settings) if seen.graph is None else faiss.clone_index(seen.graph)
        graph.add(np.ascontiguousarray(seen.delta[: seen.total - seen.graph_rows]))
        with self._write:
            state = self._state
            left = state.delta[seen.total - seen.graph_rows : state.total - state.graph_rows]
            delta = delta_buffer(self._settings, len(left))
            delta[: len(left)] = left
            self._state = replace(
                state, graph=graph, graph_rows=seen.total, delta=delta, _allowed={}, _packed={}
            )
            self._end_fold()

    def _rebuild(self, seen: State) -> None:
        """Build the graph anew from the rows that live, number rows anew, and swap it all in."""
        kept = np.flatnonzero(seen.alive)
        graph = new_graph(self._settings)
        graph.add(seen.vectors(kept))
        with self._write:
            state = self._state
            late = np.arange(seen.total, state.total)
            rows = np.concatenate([kept, late])
            refs = [state.refs[row] for row in rows]
            fresh = Shard.restore(
                self._settings, graph, state.vectors(late), refs, state.alive[rows]
            )
            self._state, self._row_of = fresh._state, fresh._row_of
            self._end_fold()

    def _end_fold(self) -> None:
        self._folding = None
        self._fold_if_due()
