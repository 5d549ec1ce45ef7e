"""A snapshot is written when something changed: the catalogue, or only the graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.settings import SearcherSettings, Settings
from searcher.index.shard import Shard
from searcher.index.snapshot import snapshots
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.saved_shard import SavedShard
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, video

MANIFEST = FolderManifest("test", MODEL_ID)


def graph_rows(index: LocalIndex) -> int:
    """Rows in the graphs of the newest snapshot."""
    manifest = json.loads((snapshots(index.folder / "snapshots")[0] / "manifest.json").read_text())
    return sum(graph["rows"] for graph in manifest["graphs"])


def test_a_graph_that_was_merged_later_is_saved_without_a_change(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    data = tmp_path / "data"
    patient = Settings(searcher=SearcherSettings(delta_rows=1000))
    with LocalIndex.open_writer(data, MANIFEST, patient) as index:
        index.replace_video(Video("a", "/a", version=1), video(rng, "a", 40))
        index.save_snapshot()
        assert graph_rows(index) == 0
    # Now the vectors are merged when the folder is opened.
    eager = Settings(searcher=SearcherSettings(delta_rows=16))
    with LocalIndex.open_writer(data, MANIFEST, eager) as index:
        index.shard.wait_for_build()
        index.save_snapshot()
        assert graph_rows(index) == 40
        saved = (snapshots(data / "snapshots")[0] / "manifest.json").stat()
        index.save_snapshot()
        assert (snapshots(data / "snapshots")[0] / "manifest.json").stat() == saved
    with LocalIndex.open_writer(data, MANIFEST, eager) as index:
        assert (index.waiting, index.stats.graph) == (0, 40)


def test_what_a_killed_process_left_is_removed(tmp_path: Path, rng: np.random.Generator) -> None:
    data = tmp_path / "data"
    with LocalIndex.open_writer(data, MANIFEST, Settings()) as index:
        index.replace_video(Video("a", "/a", version=1), video(rng, "a", 4))
        index.save_snapshot()
        for name in (".snapshot-000000000007.123", ".snapshot-000000000001.replaced"):
            (data / "snapshots" / name).mkdir()
        index.replace_video(Video("b", "/b", version=1), video(rng, "b", 4))
        index.save_snapshot()
    assert all(path.name.startswith("snapshot-") for path in (data / "snapshots").iterdir())


def names(index: LocalIndex) -> list[str]:
    """The videos in the snapshots."""
    texts = [(path / "names.json").read_text() for path in snapshots(index.folder / "snapshots")]
    return sorted({name for text in texts for name in json.loads(text)["videos"] if name})


def test_a_snapshot_that_waits_while_a_video_is_deleted_does_not_keep_the_video(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalIndex.open_writer(tmp_path / "data", MANIFEST, Settings()) as index:
        for name in ("a", "b"):
            index.replace_video(Video(name, f"/{name}", version=1), video(rng, name, 4))
        save = SavedShard.save

        def late(saved: SavedShard, *given: Any) -> None:
            monkeypatch.setattr(SavedShard, "save", save)
            # The shard is frozen, and another thread writes first.
            index.delete_videos(["a"])
            save(saved, *given)

        monkeypatch.setattr(SavedShard, "save", late)
        index.save_snapshot()
        assert names(index) == ["b"]


def test_a_deletion_that_no_snapshot_has_yet_is_finished_by_the_next_start(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"

    def full(*_: Any) -> None:
        raise MemoryError

    with LocalIndex.open_writer(data, MANIFEST, Settings()) as index:
        index.replace_video(Video("a", "/a", version=1), video(rng, "a", 4))
        index.save_snapshot()
        with monkeypatch.context() as patched:
            patched.setattr(Shard, "replace_videos", full)
            with pytest.raises(MemoryError):
                index.replace_video(Video("b", "/b", version=1), video(rng, "b", 4))
        index.delete_videos(["a"])
        assert names(index) == index.videos.unpurged() == ["a"]
    with LocalIndex.open_writer(data, MANIFEST, Settings()) as index:
        assert names(index) == ["b"]
        assert index.videos.unpurged() == []


def test_a_video_that_is_deleted_after_the_catalogue_was_lost_is_in_no_snapshot(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    data = tmp_path / "data"
    with LocalIndex.open_writer(data, MANIFEST, Settings()) as index:
        for version in range(1, 6):
            points = video(rng, "a", 4, version=version)
            index.replace_video(Video("a", "/a", version=version), points)
        index.replace_video(Video("b", "/b", version=1), video(rng, "b", 4))
        index.save_snapshot()
    for path in data.glob("videos.sqlite*"):
        path.unlink()
    with LocalIndex.open_writer(data, MANIFEST, Settings()) as index:
        assert index.notices == ["the catalogue was rebuilt from the mirror: 2 videos"]
        index.delete_videos(["a"])
        assert names(index) == ["b"]
