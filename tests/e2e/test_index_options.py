"""`index` with patterns, pruning and another bank."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from common.errors import StorageError
from common.settings import load_settings
from common.state.matches import FoundMatch
from searcher.index.state import Filter
from searcher.local_index import LocalIndex
from storyhash.cli import app
from storyhash.open_state import open_state
from storyhash.wiring import open_catalogue
from tests.e2e.conftest import storyhash


def test_pruning_deletes_only_what_is_gone(library: tuple[Path, Path]) -> None:
    folder, data = library
    before = ids(data)
    gone = "b.mkv"
    (folder / "b.mkv").unlink()
    run = storyhash("index", folder, "--data", data, "--exclude", "*.mov", "--json")
    assert run.json["removed"] == [gone]
    assert run.json["pruned"] == []
    assert {"what": "excluded", "why": "matches *.mov", "count": 1} in [
        {name: one[name] for name in ("what", "why", "count")} for one in run.json["passed_over"]
    ]
    arguments = ("index", folder, "--data", data, "--exclude", "*.mov", "--prune")
    dry = storyhash(*arguments, "--dry-run", "--json").json
    assert (dry["prune"], dry["index"]) == ([gone], [])
    assert ids(data) == before
    pruned = storyhash(*arguments, "--json")
    assert pruned.json["pruned"] == [gone]
    assert pruned.stderr.index("deleting 1 videos") < pruned.stderr.index(gone)
    # The excluded film is not there for the index, and is not gone.
    assert ids(data) == [one for one in before if one != gone]


def test_a_dry_run_on_a_new_folder_makes_nothing_and_says_what_a_run_would_make(
    films: Path, tmp_path: Path
) -> None:
    data = tmp_path / "new" / "data"
    arguments = ("index", films, "--data", data, "--profile", "offline", "--dry-run")
    run = storyhash(*arguments, "--json")
    assert run.exit_code == 0, run.stderr
    assert run.json["index"] == ["a.mp4", "b.mkv", "c.mov", "series one/d.mp4"]
    assert f"there is no index in {data}; a run makes one, profile offline" in run.stderr
    assert "4 to index, 0 unchanged, 0 to prune" in storyhash(*arguments).stdout
    assert not data.parent.exists()


def test_a_dry_run_is_refused_as_the_run_would_be(library: tuple[Path, Path]) -> None:
    folder, data = library
    other = storyhash("index", folder, "--data", data, "--profile", "clip-motion", "--dry-run")
    assert (other.exit_code, "was made with profile offline" in other.stderr) == (2, True)
    full = storyhash("index", folder, "--data", folder, "--dry-run")
    assert (full.exit_code, "not a StoryHash data folder" in full.stderr) == (2, True)


def test_a_pruning_that_is_cut_short_leaves_no_match_of_what_is_gone(
    library: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data = library
    with open_state(load_settings(data_dir=data)) as state:
        state.matches.record([FoundMatch("video:a.mp4", "b.mkv", "b", None, "copy", 0.9, {})])
    (folder / "b.mkv").unlink()
    delete = LocalIndex.delete_videos

    def cut_short(index: LocalIndex, video_ids: Sequence[str]) -> int:
        delete(index, video_ids)
        raise StorageError("the disk is full")

    arguments = ["index", str(folder), "--data", str(data), "--prune"]
    with monkeypatch.context() as patch:
        patch.setattr(LocalIndex, "delete_videos", cut_short)
        assert isinstance(CliRunner().invoke(app, arguments).exception, StorageError)
    storyhash(*arguments)
    with open_state(load_settings(data_dir=data)) as state:
        assert state.matches.count_of("b.mkv") == 0


def test_nothing_is_pruned_of_a_folder_that_is_not_there(
    library: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, data = library
    before = ids(data)
    shutil.move(folder, tmp_path / "elsewhere")
    run = storyhash("index", folder, "--prune", "--data", data)
    assert run.exit_code == 2
    folder.mkdir()
    run = storyhash("index", folder, "--prune", "--data", data)
    assert run.exit_code == 2
    assert ids(data) == before


def test_a_folder_that_became_empty_is_pruned_only_on_demand(library: tuple[Path, Path]) -> None:
    """As where a disk below the folder is not mounted."""
    folder, data = library
    disk = folder / "disk" / "more"
    disk.mkdir(parents=True)
    (folder / "b.mkv").rename(disk / "b.mkv")
    storyhash("index", folder, "--data", data, "--profile", "offline")
    before = ids(data)
    assert "disk/more/b.mkv" in before
    shutil.rmtree(disk)
    (folder / "disk" / ".hidden").touch()
    arguments = ("index", folder, "--data", data, "--json")
    kept = storyhash(*arguments, "--prune")
    assert kept.json["pruned"] == ["b.mkv"]
    assert kept.json["not_pruned"] == {str(folder / "disk"): ["disk/more/b.mkv"]}
    assert f"{folder}/disk is missing or empty" in kept.stderr
    assert "disk/more/b.mkv" in ids(data)
    dry = storyhash(*arguments, "--prune-folders", "--dry-run").json
    assert (dry["prune"], dry["not_pruned"]) == (["disk/more/b.mkv"], {})
    pruned = storyhash(*arguments, "--prune-folders").json
    assert (pruned["pruned"], pruned["not_pruned"]) == (["disk/more/b.mkv"], {})


def test_a_video_with_another_bank_and_lost_vectors_is_embedded_and_said_to_be(
    library: tuple[Path, Path],
) -> None:
    folder, data = library
    with open_catalogue(load_settings(data_dir=data), writer=True) as index:
        row = index.videos.get("b.mkv")
        assert row is not None
        index.replace_video(replace(row, version=row.version + 1), [])
        with index.changing:
            index.videos.commit(replace(row, version=row.version + 1))
    run = storyhash("index", folder, "--bank", "other", "--data", data, "--json")
    assert run.json["indexed"] == 1, run.stderr
    assert "b.mkv" not in {one["video_id"] for one in run.json["relabelled"]}
    assert len(run.json["relabelled"]) == 3


def test_a_dry_run_tells_of_another_bank(library: tuple[Path, Path]) -> None:
    folder, data = library
    dry = storyhash("index", folder, "--bank", "other", "--data", data, "--dry-run")
    assert "4 get another bank or description" in dry.stdout


def test_what_is_no_bank_and_no_folder_is_refused(films: Path, tmp_path: Path) -> None:
    empty = storyhash("index", films, "--bank", "", "--data", tmp_path / "data")
    assert (empty.exit_code, "bank: expected a name" in empty.stderr) == (2, True)
    file = films / "a.mp4"
    taken = storyhash("index", films, "--data", file)
    assert (taken.exit_code, f"{file}/storyhash.json: Not a directory" in taken.stderr) == (2, True)


def test_another_bank_embeds_nothing_anew(library: tuple[Path, Path]) -> None:
    folder, data = library
    before = {one: bytes_of(data, one) for one in ids(data)}
    assert len(before) == 4
    for path in folder.rglob("*.*"):
        if path.is_file():
            # Whoever decoded it would fail; by size and time of change it is the same file.
            status = path.stat()
            path.write_bytes(bytes(status.st_size))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    run = storyhash("index", folder, "--bank", "other", "--data", data, "--json")
    assert run.exit_code == 0, run.stderr
    assert sorted(one["video_id"] for one in run.json["relabelled"]) == sorted(before)
    assert (run.json["indexed"], run.json["video_seconds"], run.json["failed"]) == (0, 0.0, [])
    assert "decode" not in run.json["stage_seconds"]
    assert {one: bytes_of(data, one) for one in before} == before
    with open_catalogue(load_settings(data_dir=data), writer=True) as index:
        for video_id in before:
            row = index.videos.get(video_id)
            assert row is not None
            assert (row.bank, row.state, row.duration_seconds) == ("other", "ready", 6.0)
            vectors = index.vectors_of(video_id).vectors
            other, default = (
                {hit.ref.video_id for hit in index.search(vectors, 3, Filter(frozenset([bank])))[0]}
                for bank in ("other", "default")
            )
            assert video_id in other
            assert video_id not in default
        # What the mirror holds says so too.
        assert isinstance(index, LocalIndex)
        index.rebuild()
        found = index.search(np.eye(1, 527, dtype=np.float32), 99, Filter(frozenset(["other"])))
        assert {hit.ref.video_id for hit in found[0]} == set(before)
    again = storyhash("index", folder, "--bank", "other", "--data", data, "--json").json
    assert (again["relabelled"], again["unchanged"]) == ([], len(before))


def ids(data: Path) -> list[str]:
    listed = storyhash("videos", "list", "--data", data, "--json").json["items"]
    return [video["video_id"] for video in listed]


def bytes_of(data: Path, video_id: str) -> bytes:
    with open_catalogue(load_settings(data_dir=data), writer=False) as index:
        return index.vectors_of(video_id).vectors.tobytes()
