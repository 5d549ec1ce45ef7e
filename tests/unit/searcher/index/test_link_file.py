"""A snapshot writes those links of a graph that changed since an older snapshot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from common.settings import SearcherSettings
from common.types import Embedding
from searcher.index import link_file
from searcher.index.shard import Shard
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot
from tests.support.embeddings import MODEL_ID, unit_rows, video

SETTINGS = SearcherSettings(delta_rows=4, ef_construction=40)


@pytest.fixture
def small_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a small graph, four new rows change a large share of all links."""
    monkeypatch.setattr(link_file, "_MOST", 1.0)


def grown(rng: np.random.Generator, segments: int = 400) -> Shard:
    shard = Shard(SearcherSettings(delta_rows=segments, ef_construction=40))
    shard.add([one for number in range(segments // 20) for one in video(rng, f"v{number}", 20)])
    shard.wait_for_build()
    return Shard(SETTINGS, shard.export())


def save(folder: Path, shard: Shard, sequence: int) -> Path:
    return save_snapshot(folder, shard, SnapshotInfo(sequence, MODEL_ID, len(shard), {}), keep=1)


def save_around(folder: Path, shard: Shard, added: Sequence[Embedding]) -> Path:
    """Snapshots before and after these are added; the folder of the second one."""
    save(folder, shard, 1)
    shard.add(added)
    shard.wait_for_build()
    return save(folder, shard, 2)


def structure(shard: Shard) -> dict[str, Any]:
    (part,) = shard.export().parts
    hnsw = part.graph.hnsw
    return {
        "levels": faiss.vector_to_array(hnsw.levels).tolist(),
        "starts": faiss.vector_to_array(hnsw.offsets).tolist(),
        "links": faiss.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size()).tolist(),
        "entry": (hnsw.entry_point, hnsw.max_level),
    }


def entry(path: Path) -> object:
    (graph,) = json.loads((path / "manifest.json").read_text())["graphs"]
    return graph["entry"]


@pytest.mark.usefixtures("small_graphs")
def test_a_graph_that_grew_a_little_is_read_as_it_was(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = grown(rng)
    first = save(tmp_path, shard, 1)
    assert entry(first) is None
    base = (first / "graph-0.faiss").stat().st_ino
    for sequence in (2, 3):
        shard.add(video(rng, f"new {sequence}", 4))
        shard.wait_for_build()
        newer = save(tmp_path, shard, sequence)
        # The file of the first snapshot goes on.
        assert (newer / "graph-0.faiss").stat().st_ino == base
        assert entry(newer) is not None
        loaded = load_newest(tmp_path, SETTINGS, MODEL_ID)
        assert loaded is not None
        assert loaded.refused == ()
        assert structure(loaded.shard) == structure(shard)
        query = shard.export().parts[0].vectors[7:8, :527].copy()
        assert loaded.shard.search(query, 1)[0][0].score == pytest.approx(1.0, abs=1e-5)


def loaded_whole(folder: Path, newer: Path, shard: Shard) -> Shard:
    """The shard of a snapshot that does not name an older one: it is that which was saved."""
    assert entry(newer) is None
    loaded = load_newest(folder, SETTINGS, MODEL_ID)
    assert loaded is not None
    assert structure(loaded.shard) == structure(shard)
    return loaded.shard


def test_a_graph_that_changed_much_is_written_whole(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = grown(rng)
    newer = save_around(tmp_path, shard, video(rng, "large", 200))
    assert not [*newer.glob("graph-0-changed*"), *newer.glob("graph-0-added*")]
    loaded_whole(tmp_path, newer, shard)


def test_a_rebuilt_graph_is_written_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = grown(rng)
    save(tmp_path, shard, 1)
    shard.remove_videos([f"v{number}" for number in range(12)])
    shard.wait_for_build()
    newer = save(tmp_path, shard, 2)
    loaded = loaded_whole(tmp_path, newer, shard)
    assert len(loaded.search(unit_rows(rng, 1), 5)[0]) == 5


@pytest.mark.parametrize(("before", "after", "segments"), [(32, 31, 20), (31, 32, 2)])
def test_a_graph_with_another_number_of_links_per_node_is_written_whole(
    tmp_path: Path, rng: np.random.Generator, before: int, after: int, segments: int
) -> None:
    for links in (before, after):
        settings = SearcherSettings(delta_rows=segments, ef_construction=40, hnsw_m=links)
        shard = Shard(settings)
        shard.add(video(rng, "a", segments))
        shard.wait_for_build()
        newer = save(tmp_path, shard, 1)
    loaded_whole(tmp_path, newer, shard)


@pytest.mark.parametrize(
    "name", ["graph-0.faiss", "graph-0-changed-at.npy", "graph-0-added-levels.npy"]
)
@pytest.mark.usefixtures("small_graphs")
def test_damage_to_a_file_of_links_is_noticed(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    newer = save_around(tmp_path, grown(rng), video(rng, "new", 4))
    content = bytearray((newer / name).read_bytes())
    content[-1] ^= 1
    (newer / name).write_bytes(content)
    loaded = load_newest(tmp_path, SETTINGS, MODEL_ID)
    assert loaded is not None
    assert name in loaded.refused[0]


@pytest.mark.usefixtures("small_graphs")
def test_few_of_many_places_are_compared_at_once(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_file, "_PLACES", 100)
    shard = grown(rng)
    save(tmp_path, shard, 1)
    shard.add(video(rng, "new", 4))
    shard.wait_for_build()
    save(tmp_path, shard, 2)
    loaded = load_newest(tmp_path, SETTINGS, MODEL_ID)
    assert loaded is not None
    assert structure(loaded.shard) == structure(shard)
