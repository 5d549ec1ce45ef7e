"""Graphs that grow from one another share vectors, and a finished one never changes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from common.settings import SearcherSettings
from common.types import Float32Array
from searcher.index import delta_merge
from searcher.index.delta_merge import Merge, build
from searcher.index.graph import (
    PADDED_DIMENSION,
    copy_links,
    graph_vectors,
    new_graph,
    padded,
)
from searcher.index.graph_repair import repair
from searcher.index.shard import Shard
from searcher.index.shared_vectors import SharedVectors
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot
from tests.support.embeddings import MODEL_ID, unit_rows, video

SETTINGS = SearcherSettings(hnsw_m=4, ef_construction=16)
SMALL = SearcherSettings(delta_rows=8)
ROWS, MORE = 300, 40


def rows(seed: int, count: int) -> Float32Array:
    return padded(unit_rows(np.random.default_rng(seed), count))


def finished(vectors: Float32Array) -> tuple[Any, SharedVectors]:
    shared = SharedVectors(len(vectors))
    graph = shared.new(SETTINGS)
    graph.add(vectors)
    return shared.finish(graph), shared


def address(graph: Any) -> int:
    """Where the vectors of a graph are."""
    return int(faiss.downcast_index(graph.storage).codes.data())


def links(graph: Any) -> list[int]:
    found: list[int] = faiss.rev_swig_ptr(
        graph.hnsw.neighbors.data(), graph.hnsw.neighbors.size()
    ).tolist()
    return found


def test_a_graph_grows_as_faiss_own_does_and_copies_no_vector() -> None:
    first, more = rows(1, ROWS), rows(2, MORE)
    base, shared = finished(first)
    graph, same = shared.grown(base, MORE)
    graph.add(more)
    same.finish(graph)
    plain = new_graph(SETTINGS)
    plain.add(first)
    plain.add(more)
    assert same is shared
    assert address(graph) == address(base)
    assert links(graph) == links(plain)
    assert np.array_equal(graph_vectors(graph), np.concatenate([first, more]))


def test_links_are_copied_as_faiss_copies_them() -> None:
    base, _ = finished(rows(1, ROWS))
    mine, right = (faiss.IndexHNSWFlat(PADDED_DIMENSION, 2) for _ in range(2))
    copy_links(base.hnsw, mine.hnsw)
    right.hnsw = base.hnsw
    for name in ("levels", "offsets", "neighbors", "assign_probas", "cum_nneighbor_per_level"):
        one, other = getattr(mine.hnsw, name), getattr(right.hnsw, name)
        assert one.data() != getattr(base.hnsw, name).data()
        assert np.array_equal(faiss.vector_to_array(one), faiss.vector_to_array(other))
    for name in ("entry_point", "max_level", "efConstruction", "efSearch", "is_similarity"):
        assert getattr(mine.hnsw, name) == getattr(right.hnsw, name)
    assert mine.hnsw.rng.rand_int(1 << 30) == right.hnsw.rng.rand_int(1 << 30)


def test_a_finished_graph_stays_as_it_is_while_another_one_grows_from_it() -> None:
    first = rows(1, ROWS)
    base, shared = finished(first)
    before = base.search(first, 5)
    kept = links(base)
    graph, _ = shared.grown(base, MORE)
    graph.add(rows(2, MORE))
    after = base.search(first, 5)
    assert np.array_equal(before[1], after[1])
    assert np.array_equal(before[0], after[0])
    assert links(base) == kept
    assert base.ntotal == ROWS


def test_growth_that_was_given_up_leaves_nothing() -> None:
    first, more = rows(1, ROWS), rows(2, MORE)
    base, shared = finished(first)
    given_up, _ = shared.grown(base, MORE)
    given_up.add(rows(3, MORE))
    graph, _ = shared.grown(base, MORE)
    graph.add(more)
    shared.finish(graph)
    assert np.array_equal(graph_vectors(graph), np.concatenate([first, more]))
    assert np.array_equal(graph_vectors(base), first)


def test_two_graphs_that_grow_from_one_do_not_write_to_the_same_place() -> None:
    first = rows(1, ROWS)
    base, shared = finished(first)
    grown = []
    for seed in (2, 3):
        graph, vectors = shared.grown(base, MORE)
        graph.add(rows(seed, MORE))
        grown.append((seed, vectors.finish(graph)))
    for seed, graph in grown:
        assert np.array_equal(graph_vectors(graph), np.concatenate([first, rows(seed, MORE)]))


def test_more_vectors_than_there_is_room_for_move_to_other_memory() -> None:
    first = rows(1, ROWS)
    base, shared = finished(first)
    many = rows(2, 3000)
    graph, other = shared.grown(base, len(many))
    graph.add(many)
    other.finish(graph)
    assert other is not shared
    assert np.array_equal(graph_vectors(graph), np.concatenate([first, many]))
    assert np.array_equal(graph_vectors(base), first)


def test_searches_go_on_while_their_graph_is_replaced(rng: np.random.Generator) -> None:
    """Vectors that were there before are found by every search, in whichever graph it runs."""
    shard = Shard(SMALL)
    first = video(rng, "first", 40)
    shard.add(first)
    shard.wait_for_build()
    done, missed = threading.Event(), list[object]()

    def search() -> None:
        while not done.is_set():
            for point in first:
                (hit,) = shard.search(point.vector[None], 1)[0]
                if hit.ref != point.ref:
                    missed.append(hit)

    searching = [threading.Thread(target=search) for _ in range(2)]
    for one in searching:
        one.start()
    for number in range(40):
        shard.add(video(rng, f"v{number}", 9))
        shard.wait_for_build()
    done.set()
    for one in searching:
        one.join()
    assert missed == []
    (part,) = shard.export().parts
    assert part.rows == 400


def test_what_is_deleted_during_a_merge_is_not_found_after_it(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def watched(merge: Merge, *given: Any) -> Any:
        built = build(merge, *given)
        assert may_end.wait(300)
        return built

    shard = Shard(SearcherSettings(delta_rows=8, max_dead_ratio=0.9))
    kept = video(rng, "kept", 20)
    shard.add([*kept, *video(rng, "old", 20)])
    shard.wait_for_build()
    monkeypatch.setattr("searcher.index.merging.build", watched)
    shard.add(video(rng, "new", 10))
    shard.remove_videos(["old", "new"])
    may_end.set()
    shard.wait_for_build()
    assert (shard.waiting, shard.stats().live) == (0, 20)
    hits = shard.search(unit_rows(rng, 1), 50)[0]
    assert {hit.ref for hit in hits} == {one.ref for one in kept}


def test_a_process_that_ends_during_a_merge_loses_nothing(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A snapshot is saved, and read again, after a merge has added its rows and before it ends."""
    added, may_end = threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        added.set()
        assert may_end.wait(300)
        return repair(*given)

    shard = Shard(SMALL)
    points = video(rng, "a", 30)
    shard.add(points)
    shard.wait_for_build()
    monkeypatch.setattr(delta_merge, "repair", slow)
    points += video(rng, "b", 12)
    shard.add(points[30:])
    assert added.wait(300)
    save_snapshot(tmp_path, shard.frozen(), SnapshotInfo(1, MODEL_ID, 42, {}), keep=1)
    may_end.set()
    shard.close()
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert (loaded.shard.waiting, loaded.refused) == (12, ())
    loaded.shard.merge()
    loaded.shard.wait_for_build()
    assert loaded.shard.waiting == 0
    for point in points:
        assert loaded.shard.search(point.vector[None], 1)[0][0].ref == point.ref


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(),
    reason="needs a Linux kernel with huge pages",
)
def test_vectors_are_in_huge_pages() -> None:
    graph, _ = finished(rows(1, 3 * ROWS))
    middle = address(graph) + 8 * ROWS * PADDED_DIMENSION
    flags, here = "", False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        if last:
            here = int(first, 16) <= middle < int(last, 16)
        elif here and first == "VmFlags:":
            flags = line
    assert "hg" in flags.split()


def test_memory_is_as_wide_as_faiss_rows() -> None:
    assert graph_vectors(finished(rows(1, 3))[0]).shape == (3, PADDED_DIMENSION)
