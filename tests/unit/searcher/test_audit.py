"""The audit tells what is wrong with an index, and mends what can be mended."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.settings import SearcherSettings, Settings
from common.types import Hit, SegmentRef
from searcher.audit import Auditor, measured_recall
from searcher.index.shard import Shard
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, unit_rows, video


@pytest.fixture
def index(tmp_path: Path, rng: np.random.Generator) -> Iterator[LocalIndex]:
    settings = Settings(searcher=SearcherSettings(delta_rows=16))
    manifest = FolderManifest("test", MODEL_ID)
    with LocalIndex.open_writer(tmp_path / "data", manifest, settings) as opened:
        for name in "abcdefgh":
            opened.replace_video(Video(name, f"/{name}", version=1), video(rng, name, 4))
        yield opened


def audit(index: LocalIndex) -> Any:
    return Auditor(index, random.Random(1)).audit()


def test_a_good_index_finds_all_and_is_level_with_its_mirror(index: LocalIndex) -> None:
    found = audit(index)
    assert (found.recall, found.divergence) == (1.0, 0.0)
    assert (found.queries, found.videos) == (8, 8)
    assert not found.repaired
    assert not found.broken


def test_the_queries_that_came_are_what_recall_is_measured_with(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    for query in unit_rows(rng, 30):
        index.search(query[None], 5)
    assert 1 <= len(index.sampled) < 30
    assert audit(index).queries == len(index.sampled)


def test_a_shard_that_lacks_a_video_is_mended_from_the_mirror(index: LocalIndex) -> None:
    index.shard.remove_videos(["c"])
    found = audit(index)
    assert (found.repaired, found.broken, found.divergence) == (["c"], [], 1 / 8)
    assert index.shard_versions()["c"] == 1
    assert audit(index).divergence == 0


def test_a_shard_with_other_vectors_is_mended_from_the_mirror(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    before = index.vectors_of("c")[1]
    index.shard.replace_videos(video(rng, "c", 4), ["c"])
    assert audit(index).repaired == ["c"]
    assert np.array_equal(index.vectors_of("c")[1], before)


def test_a_shard_that_still_holds_what_is_gone_forgets_it(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    index.shard.add(video(rng, "ghost", 2))
    assert audit(index).repaired == ["ghost"]
    assert "ghost" not in index.shard_versions()


def test_a_mirror_that_lost_a_part_is_told_and_the_shard_keeps_what_it_has(
    index: LocalIndex,
) -> None:
    index.mirror.delete_video("c")
    found = audit(index)
    assert (found.repaired, found.broken) == ([], ["c"])
    assert len(index.vectors_of("c")[0]) == 4


class Forgetful(Shard):
    """Finds of three true neighbours the first and a stranger."""

    def __init__(self) -> None:
        pass

    def search(self, vectors: Any, k: int, only: Any = None) -> list[list[Hit]]:
        return [_hits(a=0.9, stranger=0.1)]

    def search_exact(self, vectors: Any, k: int, only: Any = None) -> list[list[Hit]]:
        return [_hits(a=0.9, b=0.8, c=0.7)]


def _hits(**scores: float) -> list[Hit]:
    return [Hit(SegmentRef(name, 0.0, 4.0), score) for name, score in scores.items()]


def test_recall_is_the_share_of_true_neighbours_that_were_found(rng: np.random.Generator) -> None:
    recall, asked = measured_recall(Forgetful(), unit_rows(rng, 1))
    assert recall == pytest.approx(1 / 3)
    assert asked == 1


def test_an_audit_that_takes_long_asks_fewer_queries(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    queries = unit_rows(rng, 20)
    assert measured_recall(index.frozen_shard(), queries, seconds=60) == (1.0, 20)
    assert measured_recall(index.frozen_shard(), queries, seconds=0) == (1.0, 1)


def test_nothing_indexed_has_no_recall(tmp_path: Path) -> None:
    manifest = FolderManifest("test", MODEL_ID)
    with LocalIndex.open_writer(tmp_path / "data", manifest, Settings()) as empty:
        found = audit(empty)
    assert (found.recall, found.divergence, found.videos) == (None, 0.0, 0)
