"""What opening a catalogue needs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from common.errors import ModelMismatchError
from common.settings import load_settings
from searcher.storage.data_dir import FolderManifest
from storyhash import wiring
from storyhash.wiring import open_rows, profile_in_force


def test_rows_of_an_index_that_is_not_there_are_none_and_need_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with open_rows(load_settings(data_dir=tmp_path / "data")) as videos:
        assert list(videos.all()) == []
        assert videos.next_version("a.mp4") == 1
    assert list(tmp_path.iterdir()) == []


def test_another_profile_of_collections_alone_names_the_setting_of_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FolderManifest("offline", "offline-0", "edge")
    monkeypatch.setattr(wiring, "stored_manifest", lambda _: made)
    settings = load_settings(data_dir=tmp_path / "data", profile="sscd-motion")
    with pytest.raises(ModelMismatchError, match="set STORYHASH_QDRANT__COLLECTION to another"):
        profile_in_force(settings)
