"""The FAISS shard: an immutable HNSW graph, a flat delta, and one swap between states.

Rows are numbered once: the graph holds rows [0, g), the delta rows [g, n). Readers take the current
`State` and never a lock; one writer at a time makes a new state and swaps it in. What the delta holds is
merged into a copy of the graph in the background (`searcher.index.delta_merge`); the copy is swapped in.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.settings import SearcherSettings
from common.types import VECTOR_DIMENSION, BoolArray, Embedding, Float32Array, Hit, SegmentRef
from searcher.index.delta import Delta
from searcher.index.delta_merge import Merge, build, due_merge, merged_state
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import PADDED_DIMENSION
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_tuning import UNTUNED, Tuning
from searcher.index.row_table import RowTable
from searcher.index.search import search_exact, search_state
from searcher.index.state import (
    EVERYTHING,
    MISSING,
    Filter,
    Nearest,
    State,
    VideoSegments,
)

# For more results than the tuning was made with.
_CANDIDATES_PER_RESULT = 2

_log = logging.getLogger("storyhash.shard")


@dataclass(frozen=True, slots=True)
class ShardStats:
    """live, dead: vectors. graph, delta: rows. bytes_per_vector: of vectors, graph and frames."""

    live: int
    dead: int
    graph: int
    delta: int
    bytes_per_vector: float


class Shard:
    """Nearest segments by inner product. Many readers, one writer at a time."""

    def __init__(self, settings: SearcherSettings, state: State | None = None) -> None:
        self._settings = settings
        self._write = threading.RLock()
        self._state = state or State()
        self._merging: threading.Thread | None = None
        self._closing = threading.Event()
        # Why the last merge failed; empty if it succeeded.
        self.merge_trouble = ""

    def __len__(self) -> int:
        return self._state.live

    @property
    def waiting(self) -> int:
        """Rows not in the graph yet; each search compares them one by one."""
        return self._state.total - self._state.graph_rows

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of each query, best first; fewer if the filter allows fewer.

        vectors: float32 (n, 527).
        """
        state = self._state
        return _hits(state, search_state(state, vectors, k, only, self._candidates(state, k)))

    def search_ids(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> Nearest:
        """The hot path: scores float32 (n, k) and rows int64 (n, k), -1 where there is none."""
        state = self._state
        return search_state(state, vectors, k, only, self._candidates(state, k))

    def search_exact(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        """Exact search; `search` is measured against it."""
        state = self._state
        return _hits(state, search_exact(state, vectors, k, only))

    @property
    def candidates(self) -> int:
        """Candidates kept per search for few results; see `SearcherSettings.recall_target`."""
        return self._candidates(self._state, 1)

    def vectors_of(self, video_id: str) -> VideoSegments:
        """A video's searchable segments in time order, with their vectors and frames."""
        state = self._state
        rows = state.rows_of(video_id)
        refs = state.refs(rows)
        order = sorted(range(len(refs)), key=lambda at: refs[at].start_seconds)
        rows = rows[order]
        return VideoSegments(
            [refs[at] for at in order],
            state.vectors(rows)[:, :VECTOR_DIMENSION],
            state.frames.of(rows),
        )

    def some_videos(self, count: int, rng: random.Random) -> list[str]:
        """Random ids of `count` videos with a searchable segment."""
        state = self._state
        names, _, _ = state.rows.videos(state.alive)
        return rng.sample(names, min(count, len(names)))

    def versions(self) -> dict[str, int]:
        """The version of every video with a searchable segment, by video_id."""
        state = self._state
        names, versions, _ = state.rows.videos(state.alive)
        return dict(sorted(zip(names, versions.tolist(), strict=True)))

    def counts(self) -> dict[str, int]:
        """Searchable segments of every video that has one."""
        state = self._state
        names, _, counts = state.rows.videos(state.alive)
        return dict(zip(names, counts.tolist(), strict=True))

    def replace_video(self, video_id: str, embeddings: Sequence[Embedding]) -> None:
        """Like `replace_videos`, for one video."""
        self.replace_videos(embeddings, [video_id])

    def replace_videos(self, embeddings: Sequence[Embedding], video_ids: Iterable[str]) -> None:
        """Replace all segments of these videos, in one step for readers."""
        self._change(embeddings, video_ids)

    def add(self, embeddings: Sequence[Embedding], *, replacing: bool = True) -> None:
        """Add segments. One with the same segment id is replaced, unless `replacing` is false
        because the caller knows that there is none."""
        self._change(embeddings, [], replacing=replacing)

    def remove_videos(self, video_ids: Iterable[str]) -> None:
        """Remove videos. Their rows are not found any more and leave the graph at its next
        rebuild."""
        self._change([], video_ids)

    def frozen(self) -> Shard:
        """A frozen copy for a snapshot; later changes do not show in it."""
        return Shard(self._settings, self._state)

    def merge(self) -> None:
        """Start a merge if one is due. Every change does so itself."""
        with self._write:
            merge = due_merge(self._state, self._settings)
            if self._merging is not None or self._closing.is_set() or merge is None:
                return
            thread = threading.Thread(target=self._merge, args=(merge,), name="shard-fold")
            # The thread cannot end before this lock is released, so it is always registered first.
            thread.start()
            self._merging = thread

    def wait_for_build(self) -> None:
        """Wait until nothing is left to merge: for tests, benchmarks and snapshots."""
        while True:
            with self._write:
                thread = self._merging
            if thread is None:
                return
            thread.join()

    def close(self) -> None:
        """Stop merging, which can take minutes. The shard can still be searched."""
        self._closing.set()
        self.wait_for_build()

    def stats(self) -> ShardStats:
        """Counts and memory of the current state."""
        state = self._state
        links = 0 if state.graph is None else int(state.graph.hnsw.neighbors.size()) * 4
        held = state.nodes.count + state.total - state.graph_rows
        size = held * PADDED_DIMENSION * 4 + links + state.frames.bytes_of(state.total)
        return ShardStats(
            live=state.live,
            dead=state.total - state.live,
            graph=state.graph_rows,
            delta=state.total - state.graph_rows,
            bytes_per_vector=size / max(state.total, 1),
        )

    def export(self) -> State:
        """The current state, for a snapshot."""
        return self._state

    @classmethod
    def restore(
        cls,
        settings: SearcherSettings,
        graph: Any,
        nodes: GraphNodes,
        delta: Float32Array,
        rows: RowTable,
        frames: FrameCodeTable,
        alive: BoolArray,
        tuning: Tuning = UNTUNED,
    ) -> Shard:
        """A shard from a graph, the node of each graph row, the delta vectors, float32 (m, 528),
        the row table and the frame codes."""
        graph_rows = len(nodes.of_row)
        held_nodes = 0 if graph is None else int(graph.ntotal)
        if held_nodes != nodes.count:
            raise ValueError(f"nodes: expected {held_nodes}, as the graph has, got {nodes.count}")
        total = graph_rows + len(delta)
        if len(alive) != total:
            raise ValueError(f"alive: expected ({total},), got {alive.shape}")
        held = Delta(graph_rows).grown(total)
        held.write(graph_rows, delta)
        live = int(np.count_nonzero(alive))
        return cls(settings, State(graph, nodes, held, total, rows, frames, alive, live, tuning))

    def _candidates(self, state: State, k: int) -> int:
        return self._settings.ef_search or max(state.tuning.candidates, _CANDIDATES_PER_RESULT * k)

    def _change(
        self, embeddings: Sequence[Embedding], gone: Iterable[str], *, replacing: bool = True
    ) -> None:
        # Of two segments with one id the later one is kept.
        fresh = {_place(one.ref): one for one in embeddings if one.informative}
        refs = [one.ref for one in fresh.values()]
        with self._write:
            state = self._state
            total = state.total + len(refs)
            dead = [state.rows_of(video_id) for video_id in gone]
            for video_id in {ref.video_id for ref in refs} if replacing else ():
                rows = state.rows_of(video_id)
                again = [_place(ref) in fresh for ref in state.refs(rows)]
                dead.append(rows[np.array(again, dtype=bool)])
            delta = state.delta.grown(total)
            if refs:
                delta.write(state.total, np.stack([one.vector for one in fresh.values()]))
                state.rows.put(state.total, refs)
                state.frames.put(state.total, [one.frames for one in fresh.values()])
            alive = np.concatenate([state.alive, np.ones(len(refs), dtype=bool)])
            for rows in dead:
                alive[rows] = False
            self._state = replace(
                state,
                delta=delta,
                total=total,
                alive=alive,
                live=int(np.count_nonzero(alive)),
            )
            self.merge()

    def _merge(self, merge: Merge) -> None:
        try:
            built = build(merge, self._settings, self._closing)
            if built is not None:
                with self._write:
                    self._state = merged_state(self._state, merge, built)
                    self.merge_trouble = ""
        except Exception as error:
            built = None
            self.merge_trouble = (
                f"building the graph failed ({type(error).__name__}); new vectors are "
                "searched exactly until the next change retries it; see the log"
            )
            _log.exception(
                "building the graph failed; searches use the old graph, and the next "
                "change retries it"
            )
        finally:
            with self._write:
                self._merging = None
                if built is not None:
                    self.merge()


def _hits(state: State, nearest: Nearest) -> list[list[Hit]]:
    scores, rows = nearest
    found = rows != MISSING
    refs = iter(state.refs(rows[found]))
    return [
        [Hit(next(refs), score) for score in line[there].tolist()]
        for line, there in zip(scores, found, strict=True)
    ]


def _place(ref: SegmentRef) -> tuple[str, int, int]:
    """The key of a segment: equal for two segments with the same id."""
    return ref.video_id, round(ref.start_seconds * 1000), round(ref.end_seconds * 1000)
