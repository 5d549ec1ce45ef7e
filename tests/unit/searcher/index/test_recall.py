"""What the graph finds, however rows arrive and whatever a filter leaves.

Rows arrive in catalogue order: one video after another, and the segments of a video are much alike.
"""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from common.settings import SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.graph import PADDED_DIMENSION, padded
from searcher.index.shard import Shard
from searcher.index.state import EVERYTHING, Filter
from tests.support.embeddings import embedding, near, unit_rows

K = 10
SEGMENTS = 20
SAME_SCORE = 1e-5


def catalogue(rng: np.random.Generator, videos: int, noise: float) -> list[Embedding]:
    """Videos of 20 segments near the video's direction. Every 250th video is in bank 0.4, and so on."""
    sizes = {"20": 50, "5": 12, "1": 3, "0.4": 1}
    banks = [bank for bank, size in sizes.items() for _ in range(size)]
    banks = [*banks, *["rest"] * (250 - len(banks))]
    rng.shuffle(banks)
    return [
        embedding(f"v{number}", part, near(rng, centre, noise), bank=banks[number % 250])
        for number, centre in enumerate(unit_rows(rng, videos))
        for part in range(SEGMENTS)
    ]


def queries(rng: np.random.Generator, points: list[Embedding], count: int) -> Float32Array:
    """float32 (count, 527): segments of the catalogue, slightly edited."""
    chosen = rng.choice(len(points), count, replace=False)
    return np.stack([near(rng, points[number].vector, 0.01) for number in chosen])


def recall(shard: Shard, asked: Float32Array, only: Filter = EVERYTHING) -> float:
    """Share of the exact nearest that the shard finds."""
    found, wanted = 0, 0
    pairs = zip(shard.search(asked, K, only), shard.search_exact(asked, K, only), strict=True)
    for hits, exact in pairs:
        found += sum(hit.score >= exact[-1].score - SAME_SCORE for hit in hits)
        wanted += len(exact)
    return found / wanted


def plain_recall(points: list[Embedding], asked: Float32Array, candidates: int) -> float:
    """The same of FAISS' graph, built of all rows at once."""
    settings, vectors = SearcherSettings(), padded(np.stack([one.vector for one in points]))
    graph = faiss.IndexHNSWFlat(PADDED_DIMENSION, settings.hnsw_m, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = settings.ef_construction
    graph.add(vectors)
    graph.hnsw.efSearch = candidates
    exact = np.sort(padded(asked) @ vectors.T, axis=1)[:, -K]
    scores, _ = graph.search(padded(asked), K)
    return float(np.mean(scores >= exact[:, None] - SAME_SCORE))


@pytest.mark.parametrize(("noise", "candidates"), [(0.03, 16), (0.002, 32)])
def test_a_graph_of_many_small_merges_finds_as_much_as_one_built_at_once(
    noise: float, candidates: int
) -> None:
    rng = np.random.default_rng(3)
    points = catalogue(rng, 100, noise)
    shard = Shard(SearcherSettings(delta_rows=100, ef_search=candidates))
    for start in range(0, len(points), 100):
        shard.add(points[start : start + 100])
        shard.wait_for_build()
    assert shard.waiting == 0
    asked = queries(rng, points, 1000)
    assert recall(shard, asked) >= plain_recall(points, asked, candidates) - 0.001


def test_few_candidates_reach_the_recall_target_in_an_easy_graph() -> None:
    rng = np.random.default_rng(4)
    points = catalogue(rng, 100, 0.03)
    shard = Shard(SearcherSettings(delta_rows=500, recall_target=0.995))
    shard.add(points)
    shard.wait_for_build()
    assert shard.candidates < 64
    assert recall(shard, queries(rng, points, 500)) >= 0.99


@pytest.fixture(scope="module")
def banked() -> tuple[Shard, Float32Array]:
    """5,000 rows in the graph, 250 videos, and queries from all of them."""
    rng = np.random.default_rng(5)
    points = catalogue(rng, 250, 0.03)
    shard = Shard(SearcherSettings(delta_rows=1000, ef_construction=80))
    shard.add(points)
    shard.wait_for_build()
    assert shard.waiting == 0
    return shard, queries(rng, points, 300)


@pytest.mark.parametrize("bank", ["20", "5", "1", "0.4"])
def test_a_bank_is_searched_as_well_as_everything(
    banked: tuple[Shard, Float32Array], bank: str
) -> None:
    shard, asked = banked
    assert recall(shard, asked, Filter(banks=frozenset({bank}))) >= 0.99


def test_a_large_video_that_is_excluded_does_not_hide_its_other_upload() -> None:
    rng = np.random.default_rng(6)
    (centre,) = unit_rows(rng, 1)
    points = catalogue(rng, 100, 0.03)
    points += [embedding("first upload", part, near(rng, centre, 0.01)) for part in range(600)]
    points += [embedding("other upload", part, near(rng, centre, 0.02)) for part in range(20)]
    shard = Shard(SearcherSettings(delta_rows=500, ef_construction=80))
    shard.add(points)
    shard.wait_for_build()
    only = Filter(exclude_videos=frozenset({"first upload"}))
    found = shard.search(centre[None], K, only)[0]
    assert [hit.ref.video_id for hit in found] == ["other upload"] * K


def test_a_deleted_video_does_not_hide_its_other_upload() -> None:
    rng = np.random.default_rng(7)
    (centre,) = unit_rows(rng, 1)
    points = catalogue(rng, 100, 0.03)
    points += [embedding("gone", part, near(rng, centre, 0.01)) for part in range(400)]
    points += [embedding("other upload", part, near(rng, centre, 0.02)) for part in range(20)]
    shard = Shard(SearcherSettings(delta_rows=500, ef_construction=80))
    shard.add(points)
    shard.wait_for_build()
    shard.remove_videos(["gone"])
    found = shard.search(centre[None], K)[0]
    assert [hit.ref.video_id for hit in found] == ["other upload"] * K
