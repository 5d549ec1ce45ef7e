"""The FAISS shard: an immutable HNSW graph, a delta, and one swap between states.

The graph contains rows [0, g) and the delta rows [g, n). Readers use the current `State` without a lock.
One writer at a time creates a new state and swaps it in. In the background the delta is merged into a
copy of the graph (`searcher.index.delta_merge`), and the copy is swapped in.
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

# Candidates per result, if more results are wanted than the tuning was measured with.
_CANDIDATES_PER_RESULT = 2

_log = logging.getLogger("storyhash.shard")


@dataclass(frozen=True, slots=True)
class ShardStats:
    """live, dead: number of vectors. graph, delta: number of rows. bytes_per_vector: memory of vectors,
    graph links and frame codes, divided by the number of rows."""

    live: int
    dead: int
    graph: int
    delta: int
    bytes_per_vector: float


class Shard:
    """Finds the nearest segments by inner product. Many threads may read, one at a time may write."""

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
        """Number of rows that are not in the graph yet. Each search compares them one by one."""
        return self._state.total - self._state.graph_rows

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of each query, best first; fewer if the filter allows fewer.

        vectors: float32 (n, 527).
        """
        state = self._state
        return _hits(state, search_state(state, vectors, k, only, self._candidates(state, k)))

    def search_ids(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> Nearest:
        """As `search`, but fast: scores, float32 (n, k), and rows, int64 (n, k), -1 if there are
        fewer."""
        state = self._state
        return search_state(state, vectors, k, only, self._candidates(state, k))

    def search_exact(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        """Exact search, to measure `search` against it."""
        state = self._state
        return _hits(state, search_exact(state, vectors, k, only))

    @property
    def candidates(self) -> int:
        """Candidates per search for few results; see `SearcherSettings.recall_target`."""
        return self._candidates(self._state, 1)

    def vectors_of(self, video_id: str) -> VideoSegments:
        """The searchable segments of a video in time order, with their vectors and frame codes."""
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
        """Ids of `count` random videos with a searchable segment; fewer if there are fewer."""
        state = self._state
        names, _, _ = state.rows.videos(state.alive)
        return rng.sample(names, min(count, len(names)))

    def versions(self) -> dict[str, int]:
        """The version of each video with a searchable segment, by video_id."""
        state = self._state
        names, versions, _ = state.rows.videos(state.alive)
        return dict(sorted(zip(names, versions.tolist(), strict=True)))

    def counts(self) -> dict[str, int]:
        """The number of searchable segments of each video that has one, by video_id."""
        state = self._state
        names, _, counts = state.rows.videos(state.alive)
        return dict(zip(names, counts.tolist(), strict=True))

    def replace_video(self, video_id: str, embeddings: Sequence[Embedding]) -> None:
        """As `replace_videos`, for one video."""
        self.replace_videos(embeddings, [video_id])

    def replace_videos(self, embeddings: Sequence[Embedding], video_ids: Iterable[str]) -> None:
        """Replace all segments of these videos, in one step for readers."""
        self._change(embeddings, video_ids)

    def add(self, embeddings: Sequence[Embedding], *, replacing: bool = True) -> None:
        """Add segments. A segment with the same id is replaced. replacing: False if the caller knows that
        there is none."""
        self._change(embeddings, [], replacing=replacing)

    def remove_videos(self, video_ids: Iterable[str]) -> None:
        """Remove videos. Their rows are not found any more, and leave the graph at its next rebuild."""
        self._change([], video_ids)

    def frozen(self) -> Shard:
        """A copy of the current state for a snapshot; later changes do not appear in it."""
        return Shard(self._settings, self._state)

    def merge(self) -> None:
        """Start a merge if one is due. Every change calls this."""
        with self._write:
            merge = due_merge(self._state, self._settings)
            if self._merging is not None or self._closing.is_set() or merge is None:
                return
            thread = threading.Thread(target=self._merge, args=(merge,), name="shard-fold")
            # The thread needs this lock before it ends, so it is always registered first.
            thread.start()
            self._merging = thread

    def wait_for_build(self) -> None:
        """Wait until no merge is running: for tests, benchmarks and snapshots."""
        while True:
            with self._write:
                thread = self._merging
            if thread is None:
                return
            thread.join()

    def close(self) -> None:
        """Stop a merge, which can take minutes. The shard can still be searched."""
        self._closing.set()
        self.wait_for_build()

    def stats(self) -> ShardStats:
        """Counts and memory use of the current state."""
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
        """Create a shard from a graph, the node of each graph row, the vectors of the delta, float32 (m,
        528), the row table and the frame codes. Raises ValueError if their sizes do not agree."""
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
        # Of two segments with the same id, the later one is kept.
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
