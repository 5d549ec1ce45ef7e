"""Snapshots: what is written is read back, what is damaged is refused, what was deleted is gone."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from common.errors import ModelMismatchError, StorageError
from common.settings import SearcherSettings
from searcher.index import snapshot
from searcher.index.graph import read_graph
from searcher.index.shard import Shard
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot, snapshots
from tests.support.embeddings import MODEL_ID, embedding, unit_rows, video

SMALL = SearcherSettings(delta_rows=16)


def filled(rng: np.random.Generator) -> Shard:
    shard = Shard(SMALL)
    for name in "abc":
        shard.replace_video(name, video(rng, name, 15))
    shard.wait_for_build()
    shard.replace_video("d", video(rng, "d", 3))
    shard.remove_videos(["b"])
    return shard


def info(sequence: int, shard: Shard) -> SnapshotInfo:
    return SnapshotInfo(sequence, MODEL_ID, len(shard), {"segments-0": 17})


def test_a_snapshot_gives_the_same_shard_back(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = filled(rng)
    save_snapshot(tmp_path, shard, info(7, shard), keep=2)
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert (loaded.info.sequence, loaded.info.offsets, loaded.refused) == (
        7,
        {"segments-0": 17},
        (),
    )
    assert list(loaded.shard.versions()) == ["a", "c", "d"]
    queries = unit_rows(rng, 5)
    for found, exact in zip(
        loaded.shard.search(queries, 10), shard.search_exact(queries, 10), strict=True
    ):
        assert [hit.ref for hit in found] == [hit.ref for hit in exact]
    for name in "acd":
        held, read = shard.vectors_of(name).frames, loaded.shard.vectors_of(name).frames
        assert [one.tobytes() for one in read] == [one.tobytes() for one in held]
    # It goes on working as a shard that takes changes.
    loaded.shard.replace_video("a", video(rng, "a", 2, version=2))
    loaded.shard.wait_for_build()
    assert len(loaded.shard) == 20


def test_a_deleted_video_is_in_no_file(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    secret = video(rng, "secret-video", 20)
    shard.replace_video("secret-video", secret)
    shard.replace_video("kept", video(rng, "kept", 3))
    shard.wait_for_build()
    shard.remove_videos(["secret-video"])
    path = save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    for file in path.iterdir():
        content = file.read_bytes()
        assert b"secret-video" not in content
        assert not any(one.vector[:16].tobytes() in content for one in secret)
        assert not any(len(one.frames) and one.frames.tobytes() in content for one in secret)


@pytest.mark.parametrize(
    "name",
    [
        "graph.faiss",
        "vectors.npy",
        "delta.npy",
        "alive.npy",
        "rows.npy",
        "names.json",
        "frames.npy",
        "nodes.npy",
        "manifest.json",
    ],
)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_snapshot_gives_way_to_the_one_before(
    tmp_path: Path, rng: np.random.Generator, name: str, damage: str
) -> None:
    shard = filled(rng)
    save_snapshot(tmp_path, shard, info(1, shard), keep=2)
    newer = save_snapshot(tmp_path, shard, info(2, shard), keep=2)
    victim = newer / name
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    elif damage == "truncate":
        victim.write_bytes(content[: len(content) // 2])
    else:
        victim.unlink()
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert loaded.info.sequence == 1
    (why,) = loaded.refused
    assert newer.name in why


def test_a_vector_stays_while_one_that_has_it_lives(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = Shard(SearcherSettings(delta_rows=16, max_dead_ratio=0.9))
    (vector,) = unit_rows(rng, 1)
    shard.add([embedding(name, 0, vector) for name in ("first", "second")])
    shard.add(video(rng, "other", 20))
    shard.wait_for_build()
    shard.remove_videos(["first"])
    save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    loaded.shard.add(video(rng, "more", 40))
    loaded.shard.add([embedding("third", 0, vector)])
    loaded.shard.wait_for_build()
    found = loaded.shard.search(vector[None], 2)[0]
    assert {hit.ref.video_id for hit in found} == {"second", "third"}
    assert found[0].score == pytest.approx(1.0, abs=1e-5)


def test_another_models_snapshot_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = filled(rng)
    save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    with pytest.raises(ModelMismatchError, match="another-model"):
        load_newest(tmp_path, SMALL, "another-model")


def test_only_the_newest_are_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = filled(rng)
    for sequence in range(5):
        save_snapshot(tmp_path, shard, info(sequence, shard), keep=2)
    assert [path.name for path in snapshots(tmp_path)] == [
        "snapshot-000000000004",
        "snapshot-000000000003",
    ]


def test_no_snapshot_is_no_error(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none", SMALL, MODEL_ID) is None


def test_a_full_disk_leaves_the_older_snapshot(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = filled(rng)
    save_snapshot(tmp_path, shard, info(1, shard), keep=2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "_sync", full)
    with pytest.raises(StorageError, match=r"the disk is full.*older snapshots are kept"):
        save_snapshot(tmp_path, shard, info(2, shard), keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000000000001"]


def test_the_manifest_is_readable_by_people(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = filled(rng)
    path = save_snapshot(tmp_path, shard, info(3, shard), keep=1)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["model_id"] == MODEL_ID
    assert set(manifest["files"]) == {
        "graph.faiss",
        "vectors.npy",
        "nodes.npy",
        "delta.npy",
        "alive.npy",
        "rows.npy",
        "frames.npy",
        "frame_counts.npy",
        "names.json",
    }


def test_what_waits_in_a_snapshot_joins_the_graph_after_it_is_read(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = Shard(SearcherSettings(delta_rows=1000))
    shard.replace_video("a", video(rng, "a", 40))
    save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert loaded.shard.waiting == 40
    loaded.shard.merge()
    loaded.shard.wait_for_build()
    assert loaded.shard.waiting == 0


def test_a_snapshot_whose_graph_has_its_own_vectors_still_opens(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = filled(rng)
    path = save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    graph = read_graph(path / "graph.faiss", path / "vectors.npy")
    (path / "vectors.npy").unlink()
    faiss.write_index(graph, str(path / "graph.faiss"))
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["checksum"], manifest["files"]["vectors.npy"]
    manifest["format"] = 3
    manifest["files"]["graph.faiss"] = snapshot._checksum(path / "graph.faiss")
    manifest["checksum"] = snapshot._manifest_checksum(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert (loaded.info.sequence, loaded.refused) == (1, ())
    queries = unit_rows(rng, 5)
    for found, exact in zip(
        loaded.shard.search(queries, 10), shard.search_exact(queries, 10), strict=True
    ):
        assert [hit.ref for hit in found] == [hit.ref for hit in exact]
    loaded.shard.replace_video("e", video(rng, "e", 20))
    loaded.shard.wait_for_build()
    assert len(loaded.shard) == len(shard) + 20
