"""The shard against brute force, through adds, replacements, deletions and folds in any order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.settings import SearcherSettings
from common.types import Embedding, Float32Array, Hit
from searcher.index import delta_merge, search
from searcher.index.delta_merge import Merge, build
from searcher.index.flat_search import nearest_of
from searcher.index.graph_part import GraphPart
from searcher.index.shard import Shard
from searcher.index.state import EVERYTHING, Filter
from tests.support.embeddings import embedding, near, unit_rows, video
from tests.support.services import wait_until

# A delta this small makes a graph of a handful of rows, and folds all the time.
SMALL = SearcherSettings(delta_rows=8, max_dead_ratio=0.25)

Change = tuple[str, str, int]


@pytest.fixture(autouse=True, scope="module")
def small_graphs() -> Iterator[None]:
    """A second graph, and merges of both, after a handful of rows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(delta_merge, "_FIRST_ROWS", 24)
        patched.setattr(delta_merge, "_RECENT_ROWS", 12)
        yield


def changes() -> st.SearchStrategy[list[Change]]:
    names = st.sampled_from(["a", "b", "c", "d"])
    return st.lists(
        st.tuples(st.sampled_from(["replace", "remove", "wait"]), names, st.integers(0, 12)),
        max_size=25,
    )


def scores(hits: list[Hit]) -> dict[str, float]:
    return {f"{hit.ref.segment_id} v{hit.ref.version}": round(hit.score, 4) for hit in hits}


def brute_force(model: dict[str, list[Embedding]], query: np.ndarray, k: int) -> dict[str, float]:
    living = [one for points in model.values() for one in points if one.informative]
    ranked = sorted(living, key=lambda one: -float(one.vector @ query))[:k]
    return {
        f"{one.ref.segment_id} v{one.ref.version}": round(float(one.vector @ query), 4)
        for one in ranked
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes(), st.integers(0, 2**31))
def test_any_history_of_changes_answers_as_brute_force(history: list[Change], seed: int) -> None:
    rng = np.random.default_rng(seed)
    shard = Shard(SMALL)
    model: dict[str, list[Embedding]] = {}
    for version, (what, name, size) in enumerate(history, 1):
        if what == "replace":
            model[name] = video(rng, name, size, version=version)
            shard.replace_videos(model[name], [name])
        elif what == "remove":
            model.pop(name, None)
            shard.remove_videos([name])
        else:
            shard.wait_for_build()
        query = unit_rows(rng, 1)
        # With ef above the number of rows HNSW visits them all, so it is exact here.
        assert scores(shard.search(query, 5)[0]) == pytest.approx(
            brute_force(model, query[0], 5), abs=2e-4
        )
    assert len(shard) == sum(len(points) for points in model.values())
    for name, points in model.items():
        refs, vectors, frames = shard.vectors_of(name)
        assert refs == [one.ref for one in points]
        assert [one.tobytes() for one in frames] == [one.frames.tobytes() for one in points]
        np.testing.assert_array_equal(
            vectors, np.array([p.vector for p in points]).reshape(-1, 527)
        )
    shard.wait_for_build()


def test_a_filter_acts_inside_the_search(rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    target = unit_rows(rng, 1)[0]
    crowd = [embedding("crowd", i, near(rng, target)) for i in range(60)]
    news = [embedding("far", 0, unit_rows(rng, 1)[0], bank="news")]
    shard.add([*crowd, *news])
    shard.wait_for_build()
    found = shard.search(target[None], 3, Filter(banks=frozenset({"news"})))[0]
    assert [hit.ref.video_id for hit in found] == ["far"]
    found = shard.search(target[None], 3, Filter(exclude_videos=frozenset({"crowd"})))[0]
    assert [hit.ref.video_id for hit in found] == ["far"]
    assert shard.search(target[None], 3, Filter(banks=frozenset()))[0] == []
    # Most of the graph is excluded.
    found = shard.search(target[None], 3, Filter(exclude_banks=frozenset({"default"})))[0]
    assert [hit.ref.video_id for hit in found] == ["far"]


def test_a_segment_without_information_is_never_found(rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    shard.add([embedding("a", 0, None), embedding("a", 1, unit_rows(rng, 1)[0])])
    assert [hit.ref.start_seconds for hit in shard.search(unit_rows(rng, 1), 9)[0]] == [4.0]
    assert len(shard) == 1


def test_adding_a_segment_again_replaces_it(rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    first, second = unit_rows(rng, 2)
    shard.add([embedding("a", 0, first)])
    shard.add([embedding("a", 0, second)])
    assert len(shard) == 1
    (hit,) = shard.search(second[None], 5)[0]
    assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_an_empty_shard_answers_with_nothing(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings())
    assert shard.search(unit_rows(rng, 2), 5) == [[], []]
    assert shard.search_exact(unit_rows(rng, 1), 5) == [[]]
    assert shard.vectors_of("nobody")[0] == []


def test_k_and_width_are_checked(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings())
    with pytest.raises(ValueError, match="k: expected >= 1"):
        shard.search(unit_rows(rng, 1), 0)
    with pytest.raises(ValueError, match="vectors"):
        shard.search(unit_rows(rng, 1, 512), 1)


def test_the_graph_finds_nearly_all_that_exact_search_finds(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=500))
    centres = unit_rows(rng, 300)
    points = [
        embedding(f"v{number}", take, near(rng, centre, 0.03))
        for number, centre in enumerate(centres)
        for take in range(10)
    ]
    shard.add(points)
    shard.wait_for_build()
    assert shard.stats().graph == 3000
    queries = np.stack([near(rng, centre, 0.03) for centre in centres[:100]])
    found, exact = shard.search(queries, 10), shard.search_exact(queries, 10)
    shared = [
        len({hit.ref for hit in mine} & {hit.ref for hit in right}) / 10
        for mine, right in zip(found, exact, strict=True)
    ]
    assert np.mean(shared) > 0.98


def test_readers_see_whole_versions_while_a_writer_replaces_and_folds(
    rng: np.random.Generator,
) -> None:
    shard = Shard(SMALL)
    centre = unit_rows(rng, 1)[0]
    shard.replace_videos([embedding("a", n, near(rng, centre), version=1) for n in range(6)], ["a"])
    torn: list[set[int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            versions = {hit.ref.version for hit in shard.search(centre[None], 6)[0]}
            if len(versions) != 1:
                torn.append(versions)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(2, 60):
        shard.replace_videos(
            [embedding("a", n, near(rng, centre), version=version) for n in range(6)], ["a"]
        )
    done.set()
    for reader in readers:
        reader.join()
    shard.wait_for_build()
    assert torn == []
    assert {hit.ref.version for hit in shard.search(centre[None], 6)[0]} == {59}


def test_dead_rows_leave_the_graph(rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    for number in range(20):
        shard.replace_videos(video(rng, f"v{number}", 6), [f"v{number}"])
    shard.remove_videos([f"v{number}" for number in range(15)])
    shard.add(video(rng, "last", 1))
    shard.wait_for_build()
    stats = shard.stats()
    assert stats.live == 31
    assert stats.dead <= max(SMALL.delta_rows, 0.25 * (stats.live + stats.dead))


def test_statistics_count_bytes(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=100))
    shard.add(video(rng, "a", 1000))
    shard.wait_for_build()
    # 528 floats, and 2 x M links of 4 bytes at the lowest level with a few above.
    assert 528 * 4 + 128 <= shard.stats().bytes_per_vector <= 528 * 4 + 400
    assert shard.search(unit_rows(rng, 1), 1, EVERYTHING)[0]


def test_a_build_that_fails_leaves_the_shard_searchable_and_is_tried_again(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: SearcherSettings) -> None:
        raise MemoryError("no room for a graph")

    shard = Shard(SMALL)
    with monkeypatch.context() as patched:
        patched.setattr("searcher.index.shared_vectors.new_graph", fail)
        shard.add(video(rng, "a", 9))
        shard.wait_for_build()
    assert shard.stats().graph == 0
    assert "building the graph failed" in caplog.text
    assert len(shard.search(unit_rows(rng, 1), 20)[0]) == 9
    shard.add(video(rng, "b", 1))
    shard.wait_for_build()
    assert shard.stats().graph == 10


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        # A graph grows without a copy of its vectors.
        ("none", [[100, 0], [140, 0], [140, 9], [150, 0], [160, 0]]),
        # The small graph joins the large one when it has half of its rows.
        ("float16", [[100, 0], [100, 40, 0], [100, 40, 9], [150, 0], [150, 10, 0]]),
    ],
)
def test_however_large_the_graph_is_few_vectors_wait(
    rng: np.random.Generator, quantization: Literal["none", "float16"], expected: list[list[int]]
) -> None:
    shard = Shard(SearcherSettings(delta_rows=10, delta_ratio=0.5, quantization=quantization))
    sizes = []
    for name, segments in (("a", 100), ("b", 40), ("c", 9), ("d", 1), ("e", 10)):
        shard.add(video(rng, name, segments))
        shard.wait_for_build()
        sizes.append([*(part.rows for part in shard.export().parts), shard.waiting])
    assert sizes == expected


def test_graphs_are_joined_when_there_is_nothing_else_to_do(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=10, delta_ratio=0.5, quantization="float16"))
    for name in "abc":
        shard.add(video(rng, name, 40))
        shard.wait_for_build()
        shard.merge(idle=True)
        shard.wait_for_build()
        assert len(shard.export().parts) == 1
    assert shard.stats().graph == 120


def test_few_rows_wait_only_until_there_is_nothing_else_to_do(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=32))
    points = [video(rng, name, segments) for name, segments in (("a", 40), ("b", 3), ("c", 1))]
    shard.add(points[0])
    shard.wait_for_build()
    waiting = []
    for added in points[1:]:
        shard.add(added)
        for idle in (False, True):
            shard.merge(idle=idle)
            shard.wait_for_build()
            waiting.append(shard.waiting)
    # A few are no work for each search, and a merge is.
    assert waiting == [3, 3, 4, 0]
    assert shard.search(points[1][2].vector[None], 1)[0][0].ref == points[1][2].ref


@pytest.mark.parametrize("gone", [["a"], ["b"], ["a", "b"], ["c"]])
def test_rows_that_join_a_small_graph_during_a_rebuild_keep_their_segments(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, gone: list[str]
) -> None:
    """The long merge gives the rows other numbers while the short one works with the old numbers."""
    may_rebuild, may_join = threading.Event(), threading.Event()
    may_join.set()

    def watched(merge: Merge, *given: Any) -> Any:
        result = build(merge, *given)
        assert (may_rebuild if merge.anew else may_join).wait(300)
        return result

    monkeypatch.setattr("searcher.index.merging.build", watched)
    shard = Shard(SearcherSettings(delta_rows=10, max_dead_ratio=0.15))
    for name in "abc":
        shard.add(video(rng, name, 20))
        shard.wait_for_build()
    shard.remove_videos(gone)
    late = {name: video(rng, name, 12) for name in "xyz"}
    shard.add(late["x"])
    wait_until(lambda: shard.waiting == 0, "a merge", pause=0.001)
    may_join.clear()
    shard.add(late["y"])
    may_rebuild.set()
    wait_until(lambda: shard.stats().dead == 0, "a rebuild", pause=0.001)
    shard.add(late["z"])
    may_join.set()
    shard.wait_for_build()
    assert (shard.waiting, shard.stats().dead) == (0, 0)
    for name, points in late.items():
        held = shard.vectors_of(name)
        assert held.refs == [one.ref for one in points]
        assert [one.tobytes() for one in held.frames] == [one.frames.tobytes() for one in points]
        for point in points:
            assert shard.search(point.vector[None], 1)[0][0].ref == point.ref
    assert set(shard.versions()) == {*"abc", *"xyz"} - {*gone}


def test_very_many_vectors_join_the_graph_step_by_step(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_merge, "_STEP_ROWS", 16)
    monkeypatch.setattr(delta_merge, "_FIRST_ROWS", 1000)
    built = threading.Event()
    sizes: list[int] = []

    def watched(*given: Any) -> Any:
        built.wait()
        result = build(*given)
        assert result is not None
        sizes.append(int(result.graph.ntotal))
        return result

    monkeypatch.setattr("searcher.index.merging.build", watched)
    shard = Shard(SMALL)
    points = video(rng, "a", 100)
    for point in points:
        shard.add([point])
    assert shard.waiting == 100
    built.set()
    shard.wait_for_build()
    assert sizes == [8, 24, 40, 56, 72, 88, 100]
    query = points[99].vector
    assert shard.search(query[None], 1)[0][0].ref == points[99].ref


def test_a_shard_that_closes_gives_up_folding_and_answers_on(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(merge: Merge, _: SearcherSettings, closing: threading.Event) -> None:
        begun.set()
        closing.wait()

    monkeypatch.setattr("searcher.index.merging.build", endless)
    shard = Shard(SMALL)
    points = video(rng, "a", 9)
    shard.add(points)
    assert begun.wait(300)
    shard.close()
    assert shard.stats().graph == 0
    assert {hit.ref for hit in shard.search(unit_rows(rng, 1), 20)[0]} == {p.ref for p in points}


def test_deleted_rows_of_a_delta_of_many_blocks_are_never_found(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searcher.index.delta.BLOCK_ROWS", 4)
    shard = Shard(SearcherSettings(delta_rows=1000))
    for name in "abcdef":
        shard.replace_videos(video(rng, name, 5), [name])
    shard.remove_videos(["b", "e"])
    queries = unit_rows(rng, 3)
    found = shard.search(queries, 100)
    assert {hit.ref.video_id for hit in found[0]} == set("acdf")
    assert [len(hits) for hits in found] == [20, 20, 20]
    assert found == shard.search_exact(queries, 100)


def twins(
    rng: np.random.Generator, groups: int, copies: int
) -> tuple[dict[str, list[Embedding]], list[np.ndarray]]:
    """Videos of one segment, `copies` with the same vector of each group, and the vectors."""
    vectors = list(unit_rows(rng, groups))
    names = [(group, number) for group in range(groups) for number in range(copies)]
    rng.shuffle(names)
    made = {f"{g}-{n}": [embedding(f"{g}-{n}", 0, vectors[g])] for g, n in names}
    return made, vectors


def test_every_one_of_many_equal_vectors_is_found(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=64))
    made, vectors = twins(rng, 30, 60)
    for name, points in made.items():
        shard.replace_videos(points, [name])
    shard.wait_for_build()
    assert shard.stats().graph > 1700
    for group, vector in enumerate(vectors):
        hits = shard.search(vector[None], 60)[0]
        assert {hit.ref.video_id for hit in hits} == {f"{group}-{n}" for n in range(60)}


def test_equal_vectors_are_told_apart_by_bank_video_and_deletion(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=4, max_dead_ratio=0.9))
    (vector,) = unit_rows(rng, 1)
    others = video(rng, "z", 20)
    shard.add(others)
    for number in range(20):
        bank = "news" if number % 2 else "shows"
        shard.add([embedding(f"v{number:02d}", 0, vector, bank=bank)])
    shard.wait_for_build()
    shard.remove_videos(["v03", "v04"])

    def found(k: int, only: Filter) -> list[str]:
        return [hit.ref.video_id for hit in shard.search(vector[None], k, only)[0]]

    # Graph and delta add up a product in different orders, so equal vectors may differ in the last bit:
    # which of them comes first depends on how far the background merge is.
    news = {f"v{number:02d}" for number in range(1, 20, 2) if number != 3}
    shows = {f"v{number:02d}" for number in range(0, 20, 2) if number != 4}
    assert set(found(9, Filter(frozenset({"news"})))) == news
    assert set(found(8, Filter(frozenset({"news"}), frozenset({"v05"})))) == news - {"v05"}
    assert set(found(8, Filter(frozenset({"shows"}), frozenset({"v00"})))) == shows - {"v00"}
    shard.remove_videos([f"v{number:02d}" for number in range(20) if number != 7])
    assert found(2, EVERYTHING)[0] == "v07"
    assert "v07" not in found(20, Filter(exclude_videos=frozenset({"v07"})))
    assert len(found(50, Filter(exclude_videos=frozenset({"v07"})))) == 20


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 59), st.integers(1, 12))
def test_vectors_that_repeat_answer_as_brute_force(which: list[int], gone: int, k: int) -> None:
    rng = np.random.default_rng(7)
    vectors = unit_rows(rng, 6)
    shard = Shard(SMALL)
    for number, one in enumerate(which):
        shard.add([embedding(f"v{number}", 0, vectors[one])])
        if number == len(which) // 2:
            shard.wait_for_build()
            shard.remove_videos([f"v{gone}"])
    shard.wait_for_build()
    only = Filter(exclude_videos=frozenset({"v1"}))
    for query in (vectors[:1], unit_rows(rng, 1)):
        near, truth = shard.search(query, k, only)[0], shard.search_exact(query, k, only)[0]
        assert [hit.score for hit in near] == pytest.approx([hit.score for hit in truth], abs=1e-5)
        assert len({hit.ref for hit in near}) == len(near)


def test_a_query_that_is_no_number_finds_nothing(rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    shard.add(video(rng, "a", 3))
    assert shard.search(np.full((1, 527), np.nan, dtype=np.float32), 2) == [[]]


def test_banks_that_nobody_has_find_nothing(rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    shard.add([*video(rng, "a", 9, bank="news"), *video(rng, "b", 2, bank="shows")])
    shard.wait_for_build()
    query = unit_rows(rng, 1)
    news = shard.search(query, 20, Filter(frozenset({"news"})))
    for number in range(100):
        assert shard.search(query, 20, Filter(frozenset({f"made-up-{number}"}))) == [[]]
    assert shard.search(query, 20, Filter(frozenset({"news"}))) == news
    assert {hit.ref.video_id for hit in news[0]} == {"a"}


def test_a_deleted_video_makes_the_search_of_others_no_wider(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Shard(SearcherSettings(delta_rows=300, ef_construction=40, ef_search=16))
    shard.add([one for number in range(100) for one in video(rng, f"v{number}", 5)])
    shard.wait_for_build()
    asked: list[int] = []

    def watched(part: GraphPart, queries: Float32Array, count: int, ef: int) -> Any:
        asked.append(ef)
        return nearest_nodes(part, queries, count, ef)

    nearest_nodes = search.nearest_nodes
    monkeypatch.setattr(search, "nearest_nodes", watched)
    point = shard.vectors_of("v50").vectors[2]
    before = shard.search(point[None], 10)
    shard.remove_videos(["v7"])
    after = shard.search(point[None], 10)
    assert after[0][0].ref == before[0][0].ref
    assert max(asked) <= 1.1 * min(asked)


def with_many_waiting(
    rng: np.random.Generator, rows: int = 300
) -> tuple[Shard, dict[str, list[Embedding]]]:
    """A shard with a graph and so many rows that wait, and its videos. rows: of videos of five."""
    model = {f"v{number}": video(rng, f"v{number}", 5, bank="news") for number in range(20)}
    shard = Shard(SearcherSettings(delta_rows=100, ef_construction=40))
    shard.add([one for points in model.values() for one in points])
    shard.wait_for_build()
    shard = Shard(SearcherSettings(delta_rows=1000), shard.export())
    for number in range(160 - rows // 5, 160):
        name, bank = f"v{number}", "shows" if number % 2 else "news"
        model[name] = video(rng, name, 5, bank=bank)
        shard.replace_videos(model[name], [name])
    assert shard.waiting == rows
    return shard, model


def test_many_waiting_rows_answer_as_brute_force(rng: np.random.Generator) -> None:
    shard, model = with_many_waiting(rng)
    # Nothing near, near a waiting row, near a row of the graph.
    asked = [unit_rows(rng, 1)[0]]
    asked += [near(rng, model[name][2].vector, 0.02) for name in ("v131", "v3", "v140")]
    for query in asked:
        assert scores(shard.search(query[None], 5)[0]) == brute_force(model, query, 5)
    for gone in ("v131", "v4"):
        shard.remove_videos([gone])
        del model[gone]
    for query in asked:
        assert scores(shard.search(query[None], 5)[0]) == brute_force(model, query, 5)
    news = {name: points for name, points in model.items() if points[0].ref.bank == "news"}
    for query in asked:
        found = shard.search(query[None], 5, Filter(banks=frozenset({"news"})))[0]
        assert scores(found) == brute_force(news, query, 5)


@pytest.mark.parametrize("rows", [150, 300])
def test_waiting_rows_that_cannot_be_near_are_not_compared(
    rows: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard, model = with_many_waiting(rng, rows)
    compared: list[int] = []

    def watched(
        vectors: Float32Array, queries: Float32Array, k: int, allowed: Any = None
    ) -> tuple[Any, Any]:
        compared.append(len(vectors) if allowed is None else len(allowed))
        return nearest_of(vectors, queries, k, allowed)

    monkeypatch.setattr("searcher.index.waiting_search.nearest_of", watched)
    shard.search(model["v3"][2].vector[None], 1)
    assert sum(compared) == 0
    shard.search(model["v131"][2].vector[None], 1)
    assert 1 <= sum(compared) < 30
