"""Several indexes in one data folder, and the pointer to the one that answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import StorageError, UsageError
from common.settings import Settings
from searcher.generations import (
    current_generation,
    drop_generation,
    generation_folder,
    known_generations,
    make_current,
    make_folder,
)
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest, read_manifest
from tests.support.embeddings import MODEL_ID


def test_the_first_generation_lies_in_the_folder_itself(tmp_path: Path) -> None:
    assert generation_folder(tmp_path, "") == tmp_path
    assert generation_folder(tmp_path, "sscd-2") == tmp_path / "generations" / "sscd-2"


def test_a_folder_that_is_not_there_knows_no_generation(tmp_path: Path) -> None:
    assert known_generations(tmp_path / "gone") == []
    assert current_generation(tmp_path / "gone") == ""


def test_generations_are_known_by_their_folders_the_first_by_its_index(tmp_path: Path) -> None:
    make_folder(tmp_path, "sscd-2")
    make_folder(tmp_path, "clip")
    make_folder(tmp_path, "clip")
    (tmp_path / "generations" / "a file").touch()
    assert known_generations(tmp_path) == ["clip", "sscd-2"]
    (tmp_path / "storyhash.json").write_text("{}")
    assert known_generations(tmp_path) == ["", "clip", "sscd-2"]


def test_the_first_answers_until_another_was_made_to(tmp_path: Path) -> None:
    assert current_generation(tmp_path) == ""
    make_current(tmp_path, "sscd-2")
    assert current_generation(tmp_path) == "sscd-2"
    make_current(tmp_path, "")
    assert current_generation(tmp_path) == ""


def test_a_pointer_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    make_current(tmp_path, "old")
    # Where the new one is to be written lies a folder.
    (tmp_path / "current-generation.new").mkdir()
    (tmp_path / "current-generation.new" / "x").touch()
    with pytest.raises(StorageError, match="the generation is unchanged"):
        make_current(tmp_path, "new")
    assert current_generation(tmp_path) == "old"


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "generations").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        make_folder(tmp_path, "clip")


def test_a_dropped_generation_is_gone_and_no_other(tmp_path: Path) -> None:
    for name in ("clip", "sscd-2"):
        make_folder(tmp_path, name)
        (generation_folder(tmp_path, name) / "videos.sqlite").touch()
    drop_generation(tmp_path, "clip")
    assert known_generations(tmp_path) == ["sscd-2"]
    assert (generation_folder(tmp_path, "sscd-2") / "videos.sqlite").exists()


@pytest.mark.parametrize("name", ["", "current"])
def test_what_answers_and_the_first_cannot_be_dropped(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path, "current")
    make_current(tmp_path, "current")
    (tmp_path / "storyhash.json").write_text("{}")
    with pytest.raises(UsageError, match="is active or is the first one"):
        drop_generation(tmp_path, name)
    assert known_generations(tmp_path) == ["", "current"]


@pytest.mark.parametrize("name", ["nobody", "..", "../..", "../precious", ".", "a file"])
def test_only_a_generation_can_be_dropped(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    make_folder(data, "clip")
    (data / "generations" / "a file").touch()
    (data / "precious").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="no generation"):
        drop_generation(data, name)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_index_may_be_made_beside_other_generations(tmp_path: Path) -> None:
    make_folder(tmp_path, "clip")
    make_current(tmp_path, "clip")
    for name in ("", "clip"):
        folder = generation_folder(tmp_path, name)
        with LocalIndex.open_writer(folder, FolderManifest("test", MODEL_ID), Settings()) as index:
            assert index.stats.live == 0
        assert read_manifest(folder) is not None
    assert known_generations(tmp_path) == ["", "clip"]
