"""Snapshots: what is written is read back, what is damaged is refused, what was deleted is gone."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from common.errors import ModelMismatchError, StorageError
from common.settings import SearcherSettings
from searcher.index import snapshot
from searcher.index.graph import read_links
from searcher.index.shard import Shard
from searcher.index.shared_vectors import SharedVectors
from searcher.index.snapshot import SnapshotInfo, load_newest, save_snapshot, snapshots
from searcher.index.snapshot_files import file_checksum
from tests.support.embeddings import MODEL_ID, embedding, unit_rows, video

SMALL = SearcherSettings(delta_rows=16)
GOLDEN = Path(__file__).parent / "golden" / "snapshot-format-4.tar.xz"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("searcher.index.snapshot_files.PIECE_ROWS", 16)


def filled(rng: np.random.Generator) -> Shard:
    shard = Shard(SMALL)
    for name in "abc":
        shard.replace_videos(video(rng, name, 15), [name])
    shard.add([embedding("twin", 0, shard.vectors_of("a").vectors[3])])
    shard.wait_for_build()
    shard.replace_videos(video(rng, "d", 3), ["d"])
    shard.remove_videos(["b"])
    return shard


def same_answers(one: Shard, other: Shard, rng: np.random.Generator) -> None:
    queries = unit_rows(rng, 5)
    for found, exact in zip(one.search(queries, 10), other.search_exact(queries, 10), strict=True):
        # Which of several equal vectors comes first is not said.
        scores = [hit.score for hit in exact]
        assert [hit.score for hit in found] == pytest.approx(scores, abs=1e-5)
    assert one.counts() == other.counts()


def read_manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    return manifest


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
    assert list(loaded.shard.versions()) == ["a", "c", "d", "twin"]
    same_answers(loaded.shard, shard, rng)
    for name in "acd":
        held, read = shard.vectors_of(name).frames, loaded.shard.vectors_of(name).frames
        assert [one.tobytes() for one in read] == [one.tobytes() for one in held]
    # It goes on working as a shard that takes changes.
    loaded.shard.replace_videos(video(rng, "a", 2, version=2), ["a"])
    loaded.shard.wait_for_build()
    assert len(loaded.shard) == 21


def test_a_deleted_video_is_in_no_file(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = Shard(SMALL)
    secret = video(rng, "secret-video", 20)
    shard.replace_videos(secret, ["secret-video"])
    shard.replace_videos(video(rng, "kept", 3), ["kept"])
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
        "graph-0.faiss",
        "graph-0-vectors-00001.npy",
        "graph-0-nodes-00000.npy",
        "delta-00000.npy",
        "alive.npy",
        "rows-00002.npy",
        "names.json",
        "frames-00000.npy",
        "frame-counts-00001.npy",
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

    monkeypatch.setattr(snapshot, "sync", full)
    with pytest.raises(StorageError, match=r"the disk is full.*older snapshots are kept"):
        save_snapshot(tmp_path, shard, info(2, shard), keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000000000001"]


def test_the_manifest_is_readable_by_people(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = filled(rng)
    path = save_snapshot(tmp_path, shard, info(3, shard), keep=1)
    manifest = read_manifest(path)
    assert manifest["model_id"] == MODEL_ID
    assert {*manifest["files"], "manifest.json"} == {file.name for file in path.iterdir()}


def test_what_waits_in_a_snapshot_joins_the_graph_after_it_is_read(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = Shard(SearcherSettings(delta_rows=1000))
    shard.replace_videos(video(rng, "a", 40), ["a"])
    save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert loaded.shard.waiting == 40
    loaded.shard.merge()
    loaded.shard.wait_for_build()
    assert loaded.shard.waiting == 0


def test_only_what_changed_is_written(tmp_path: Path, rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings(delta_rows=64))
    shard.add([one for name in "abcdefgh" for one in video(rng, name, 20)])
    shard.wait_for_build()
    saved: list[Path] = []
    for sequence in (1, 2):
        saved.append(save_snapshot(tmp_path, shard, info(sequence, shard), keep=2, intact=saved))
    shard.replace_videos(video(rng, "i", 3), ["i"])
    third = save_snapshot(tmp_path, shard, info(3, shard), keep=2, intact=saved)
    written = [file.name for file in third.iterdir() if file.stat().st_mtime_ns > ages(saved[1])]
    assert sorted(written) == [
        "alive.npy",
        "delta-00000.npy",
        "frame-counts-00010.npy",
        "frames-00010.npy",
        "manifest.json",
        "names.json",
        "rows-00010.npy",
    ]
    sizes = sum((third / name).stat().st_size for name in written if name != "manifest.json")
    assert read_manifest(third)["written_bytes"] == sizes
    # The two that are kept share no file.
    inodes = [{file.stat().st_ino for file in path.iterdir()} for path in (saved[1], third)]
    assert not inodes[0] & inodes[1]
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    same_answers(loaded.shard, shard, rng)


def ages(folder: Path) -> int:
    """When the newest file of a snapshot was written."""
    return max(file.stat().st_mtime_ns for file in folder.iterdir())


def test_damage_to_the_snapshot_that_is_replaced_is_not_taken_over(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    shard = filled(rng)
    old = save_snapshot(tmp_path, shard, info(1, shard), keep=1)
    for file in old.iterdir():
        if file.name != "manifest.json":
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)
    save_snapshot(tmp_path, shard, info(2, shard), keep=1)
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert (loaded.info.sequence, loaded.refused) == (2, ())


def test_a_file_system_without_links_gets_whole_snapshots(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("searcher.index.snapshot_files.os.link", refuses)
    shard = filled(rng)
    for sequence in range(3):
        save_snapshot(tmp_path, shard, info(sequence, shard), keep=1)
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    same_answers(loaded.shard, shard, rng)


def sparse(seed: int) -> np.ndarray:
    """The vectors of the golden snapshot: float32 (527,), four numbers of 0.5."""
    rng = np.random.default_rng(seed)
    vector = np.zeros(527, np.float32)
    vector[rng.choice(527, 4, replace=False)] = 0.5
    return vector


def test_a_snapshot_of_an_earlier_release_still_opens(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Its videos: a and c in a graph, b deleted, twin with vectors of a, and d in the delta."""
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(tmp_path, filter="data")
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert (loaded.info.sequence, loaded.info.offsets, loaded.refused) == (
        7,
        {"segments-0": 17},
        (),
    )
    shard = loaded.shard
    assert shard.counts() == {"a": 12, "c": 12, "twin": 4, "d": 5}
    for name, first in (("a", 0), ("c", 200), ("twin", 0), ("d", 300)):
        refs, vectors, frames = shard.vectors_of(name)
        expected = [embedding(name, at, sparse(first + at)) for at in range(len(refs))]
        assert refs == [one.ref for one in expected]
        np.testing.assert_array_equal(vectors, [one.vector for one in expected])
        assert [one.tobytes() for one in frames] == [one.frames.tobytes() for one in expected]
    assert {hit.ref.video_id for hit in shard.search(sparse(2)[None], 2)[0]} == {"a", "twin"}
    # It is changed, and saved in the format of today.
    shard.replace_videos(video(rng, "e", 20), ["e"])
    shard.wait_for_build()
    save_snapshot(tmp_path, shard, info(8, shard), keep=2)
    again = load_newest(tmp_path, SMALL, MODEL_ID)
    assert again is not None
    assert again.info.sequence == 8
    same_answers(again.shard, shard, rng)


def test_a_snapshot_whose_graph_has_its_own_vectors_still_opens(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(tmp_path, filter="data")
    (path,) = snapshots(tmp_path)
    graph = read_links(path / "graph.faiss")
    vectors = SharedVectors(graph.ntotal)
    vectors.fill(graph.ntotal)[:] = np.load(path / "vectors.npy")
    vectors.finish(graph)
    (path / "vectors.npy").unlink()
    faiss.write_index(graph, str(path / "graph.faiss"))
    manifest = read_manifest(path)
    del manifest["checksum"], manifest["files"]["vectors.npy"]
    manifest["format"] = 3
    manifest["files"]["graph.faiss"] = file_checksum(path / "graph.faiss")
    manifest["checksum"] = snapshot.manifest_checksum(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    loaded = load_newest(tmp_path, SMALL, MODEL_ID)
    assert loaded is not None
    assert (loaded.info.sequence, loaded.refused) == (7, ())
    (hit,) = loaded.shard.search(sparse(203)[None], 1)[0]
    assert (hit.ref.video_id, hit.ref.start_seconds) == ("c", 12.0)
