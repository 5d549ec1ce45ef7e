"""Graphs with compressed vectors find what graphs with exact ones find, in less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from common.errors import StorageError
from common.settings import SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.exact_vectors import ExactVectors
from searcher.index.shard import Shard
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot
from searcher.index.state import Filter
from tests.support.embeddings import MODEL_ID, embedding, near, unit_rows

Kind = Literal["none", "float16", "int8"]
KINDS: tuple[Kind, ...] = ("float16", "int8")
K = 10


def settings(kind: Kind, candidates: int | None = None) -> SearcherSettings:
    return SearcherSettings(
        quantization=kind, delta_rows=300, ef_construction=60, ef_search=candidates
    )


def catalogue(rng: np.random.Generator, noise: float) -> list[Embedding]:
    """60 videos of 20 segments near the video's direction, in two banks."""
    return [
        embedding(f"v{number}", part, near(rng, centre, noise), bank=f"bank {number % 2}")
        for number, centre in enumerate(unit_rows(rng, 60))
        for part in range(20)
    ]


def filled(points: list[Embedding], kind: Kind, candidates: int | None = None) -> Shard:
    """A shard of them, after several merges; nothing waits."""
    shard = Shard(settings(kind, candidates))
    for start in range(0, len(points), 300):
        shard.add(points[start : start + 300])
        shard.wait_for_build()
    assert shard.waiting == 0
    return shard


def recall(shard: Shard, queries: Float32Array, only: Filter) -> float:
    found, wanted = 0, 0
    pairs = zip(shard.search(queries, K, only), shard.search_exact(queries, K, only), strict=True)
    for hits, exact in pairs:
        found += sum(hit.score >= exact[-1].score - 1e-5 for hit in hits)
        wanted += len(exact)
    return found / wanted


@pytest.mark.parametrize(("noise", "candidates"), [(0.03, None), (0.002, 64)])
@pytest.mark.parametrize("kind", KINDS)
def test_recall_does_not_suffer(
    kind: Kind, noise: float, candidates: int | None, rng: np.random.Generator
) -> None:
    points = catalogue(rng, noise)
    shard = filled(points, kind, candidates)
    queries = np.stack([near(rng, one.vector, 0.01) for one in points[::6]])
    for only in (Filter(), Filter(banks=frozenset({"bank 1"}))):
        assert recall(shard, queries, only) >= 0.995
    query = points[7].vector
    hit = shard.search(query[None], 1)[0][0]
    assert hit.ref == points[7].ref
    assert hit.score == pytest.approx(1.0, abs=1e-6)


def test_memory_shrinks(rng: np.random.Generator) -> None:
    points = catalogue(rng, 0.03)
    (exact,) = filled(points, "none").export().parts
    (half,) = filled(points, "float16").export().parts
    (quarter,) = filled(points, "int8").export().parts
    # The links take the same in all of them.
    assert half.stored_bytes < 0.6 * exact.stored_bytes
    assert quarter.stored_bytes < 0.4 * exact.stored_bytes


@pytest.mark.parametrize(
    ("before", "after"), [("none", "int8"), ("int8", "none"), ("int8", "int8")]
)
def test_the_setting_can_change_between_two_starts(
    before: Kind, after: Kind, tmp_path: Path, rng: np.random.Generator
) -> None:
    points = catalogue(rng, 0.03)
    shard = filled(points, before)
    save_snapshot(tmp_path, shard, SnapshotInfo(1, MODEL_ID, len(shard), {}), keep=1)
    loaded = load_newest(tmp_path, settings(after), MODEL_ID)
    assert loaded is not None
    assert loaded.refused == ()
    for name in ("v0", "v59"):
        assert np.array_equal(loaded.shard.vectors_of(name).vectors, shard.vectors_of(name).vectors)
    more = catalogue(rng, 0.03)[:300]
    loaded.shard.replace_videos(more, {one.ref.video_id for one in more})
    loaded.shard.wait_for_build()
    queries = np.stack([one.vector for one in (*more[::10], *points[300::30])])
    found = [hits[0].score for hits in loaded.shard.search(queries, 1)]
    assert found == pytest.approx([1.0] * len(queries), abs=1e-6)


def test_vectors_outside_the_ranges_seen_so_far_are_found(rng: np.random.Generator) -> None:
    shard = Shard(settings("int8"))
    narrow = unit_rows(rng, 300)
    wide = np.eye(527, dtype=np.float32)[:300]
    for name, rows in (("narrow", narrow), ("wide", wide)):
        shard.add([embedding(name, number, row) for number, row in enumerate(rows)])
        shard.wait_for_build()
    for name, rows in (("narrow", narrow), ("wide", wide)):
        for number, hits in enumerate(shard.search(rows[::10], 1)):
            assert (hits[0].ref.video_id, hits[0].ref.start_seconds) == (name, 40.0 * number)


def test_a_full_disk_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StorageError, match="name another folder with TMPDIR"):
        ExactVectors(10)
