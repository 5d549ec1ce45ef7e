"""The FAISS shard: immutable HNSW graphs, a delta, and one swap between states.

Graphs contain the rows [0, g) and the delta the rows [g, n). Readers use the current `State` without a
lock. One writer at a time creates a new state and swaps it in. In the background the delta is merged into
a copy of a graph (`searcher.index.delta_merge`), and the copy is swapped in.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from common.settings import SearcherSettings
from common.types import VECTOR_DIMENSION, BoolArray, Embedding, Float32Array, Hit, SegmentRef
from searcher.index.delta import ROW_BYTES, Delta
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph_part import GraphPart
from searcher.index.graph_tuning import UNTUNED
from searcher.index.hit_fields import HitFields
from searcher.index.merging import Merging
from searcher.index.row_table import RowTable
from searcher.index.search import search_exact, search_state
from searcher.index.state import EVERYTHING, MISSING, Filter, Nearest, State, VideoSegments


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
        self._merging = Merging(settings, self._write, self.export, self._swap)

    def __len__(self) -> int:
        return self._state.live

    @property
    def merge_trouble(self) -> str:
        """Why the last merge failed; empty if it succeeded."""
        return self._merging.trouble

    @property
    def merges(self) -> int:
        """Number of merges that have changed the graphs since the shard was created."""
        return self._merging.ended

    @property
    def waiting(self) -> int:
        """Number of rows that are in no graph yet. Each search compares them one by one."""
        state = self._state
        return state.total - state.graph_rows

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        """The k nearest segments of each query, best first; fewer if the filter allows fewer.

        vectors: float32 (n, 527).
        """
        state = self._state
        return _hits(state, search_state(state, vectors, k, only, self._settings.ef_search))

    def search_fields(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[HitFields]]:
        """As `search`, as the fields of an answer: without an object for each hit."""
        state = self._state
        scores, rows = search_state(state, vectors, k, only, self._settings.ef_search)
        found = rows != MISSING
        hits = state.rows.hits(rows[found], scores[found])
        return [list(islice(hits, count)) for count in map(sum, found.tolist())]

    def search_ids(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> Nearest:
        """As `search`, but fast: scores, float32 (n, k), and rows, int64 (n, k), -1 if there are
        fewer."""
        return search_state(self._state, vectors, k, only, self._settings.ef_search)

    def search_exact(
        self, vectors: Float32Array, k: int, only: Filter = EVERYTHING
    ) -> list[list[Hit]]:
        """Exact search, to measure `search` against it."""
        state = self._state
        return _hits(state, search_exact(state, vectors, k, only))

    @property
    def candidates(self) -> int:
        """Candidates per search of the largest graph for few results; see
        `SearcherSettings.recall_target`."""
        parts = self._state.parts
        tuning = max(parts, key=lambda part: part.rows).tuning if parts else UNTUNED
        return self._settings.ef_search or tuning.candidates_for(1)

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
        return state.rows.some_videos(count, state.alive, rng)

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

    def merge(self, *, idle: bool = False) -> None:
        """Start the merges that are due. Every change calls this. idle: small graphs are merged too, and
        fewer waiting rows."""
        self._merging.start_due(idle=idle)

    def wait_for_build(self) -> None:
        """Wait until no merge is running: for tests, benchmarks and snapshots."""
        self._merging.wait()

    def close(self) -> None:
        """Stop merges, which can take minutes. The shard can still be searched."""
        self._merging.close()

    def stats(self) -> ShardStats:
        """Counts and memory use of the current state."""
        state = self._state
        size = sum(part.stored_bytes for part in state.parts)
        size += (state.total - state.graph_rows) * ROW_BYTES
        size += state.frames.bytes_of(state.total)
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
        parts: Sequence[GraphPart],
        delta: Float32Array,
        rows: RowTable,
        frames: FrameCodeTable,
        alive: BoolArray,
    ) -> Shard:
        """Create a shard from its graphs, the vectors of the delta, float32 (m, 528), the row table and
        the frame codes. Raises ValueError if their sizes do not agree."""
        at = 0
        for part in parts:
            if part.first_row != at or part.graph.ntotal != part.nodes.count:
                raise ValueError(
                    f"graph: expected {part.nodes.count} nodes from row {at}, got "
                    f"{part.graph.ntotal} from row {part.first_row}"
                )
            at = part.stop
        total = at + len(delta)
        if len(alive) != total:
            raise ValueError(f"alive: expected ({total},), got {alive.shape}")
        waiting = Delta(at).grown(total)
        waiting.write(at, delta)
        live = int(np.count_nonzero(alive))
        return cls(settings, State(tuple(parts), waiting, total, rows, frames, alive, live))

    def _swap(self, state: State) -> None:
        # The first search would make them otherwise.
        state.prepare()
        self._state = state

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
            live = int(np.count_nonzero(alive))
            self._swap(replace(state, delta=delta, total=total, alive=alive, live=live))
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
