"""A data folder is one of ours, a new one, or left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import DataFolderError, ModelMismatchError
from searcher.storage.data_dir import (
    FolderManifest,
    check_same,
    read_manifest,
    require_manifest,
    take_lock,
    write_manifest,
)

MANIFEST = FolderManifest("offline", "offline-0123456789ab")


def test_what_a_folder_was_made_for_is_read_back(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == require_manifest(tmp_path) == MANIFEST


def test_a_folder_that_is_not_there_or_empty_holds_nothing_yet(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "gone") is None
    assert read_manifest(tmp_path) is None
    with pytest.raises(DataFolderError, match=r"there is no index in .* storyhash index PATH"):
        require_manifest(tmp_path)


@pytest.mark.parametrize(
    "left",
    [
        ["lock"],
        ["lock", "storyhash.json.new"],
        ["producer.lock", "producer.sqlite", "producer.sqlite-wal", "producer.sqlite-shm"],
        ["producer.lock", "producer.sqlite", "producer.sqlite-journal"],
        ["generations", "current-generation", "current-generation.new"],
        ["in-hand"],
    ],
    ids=["locked", "half-made", "ledger", "ledger-begun", "generations", "in-hand"],
)
def test_a_process_killed_at_any_moment_leaves_a_folder_that_can_be_used(
    tmp_path: Path, left: list[str]
) -> None:
    for name in left:
        (tmp_path / name).touch()
    assert read_manifest(tmp_path) is None


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataFolderError, match="not empty and not a StoryHash data folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "null"])
def test_a_damaged_manifest_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "storyhash.json").write_text(text)
    with pytest.raises(DataFolderError, match="is damaged; restore it from a backup"):
        read_manifest(tmp_path)


def test_a_folder_of_a_newer_version_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "storyhash.json").write_text('{"format": 2, "profile": "x"}')
    with pytest.raises(DataFolderError, match="has format 2, this version reads 1"):
        read_manifest(tmp_path)


def test_another_model_or_mirror_is_refused(tmp_path: Path) -> None:
    check_same(tmp_path, None, MANIFEST)
    check_same(tmp_path, MANIFEST, MANIFEST)
    with pytest.raises(ModelMismatchError, match="--profile offline"):
        check_same(tmp_path, MANIFEST, FolderManifest("clip-sam2", "clip-sam2-0123456789ab"))
    with pytest.raises(ModelMismatchError, match=r"index its videos again: storyhash index PATH"):
        check_same(tmp_path, MANIFEST, FolderManifest(MANIFEST.profile, "offline-another"))
    with pytest.raises(DataFolderError, match="STORYHASH_SEARCHER__MIRROR=edge"):
        check_same(tmp_path, MANIFEST, FolderManifest("offline", MANIFEST.model_id, "server"))


def test_a_lock_is_held_by_one_and_free_again_when_it_is_closed(tmp_path: Path) -> None:
    lock = take_lock(tmp_path)
    assert lock is not None
    assert take_lock(tmp_path) is None
    lock.close()
    again = take_lock(tmp_path)
    assert again is not None
    again.close()
