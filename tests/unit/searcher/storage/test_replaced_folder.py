"""A data folder that is moved, deleted or replaced under a running process is not written any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import DataFolderError
from common.settings import Settings
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID

MANIFEST = FolderManifest("test", MODEL_ID)


def copied_over(folder: Path) -> None:
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    shutil.rmtree(folder)
    backup.rename(folder)


@pytest.mark.parametrize(
    "replace",
    [
        copied_over,
        shutil.rmtree,
        lambda folder: folder.rename(folder.with_name("elsewhere")),
        lambda folder: (folder / "lock").unlink(),
    ],
    ids=["copied over", "deleted", "moved", "without its lock"],
)
def test_nothing_more_is_written(tmp_path: Path, replace: Callable[[Path], object]) -> None:
    folder = tmp_path / "data"
    settings = Settings.model_validate({"searcher": {"mirror": "local"}})
    with LocalIndex.open_writer(folder, MANIFEST, settings) as index:
        index.check_folder()
        replace(folder)
        before = sorted(tmp_path.rglob("*"))
        for write in (
            index.check_folder,
            index.save_snapshot,
            lambda: index.replace_video(Video("a", "a.mp4", "default"), []),
            lambda: index.delete_videos(["a"]),
        ):
            with pytest.raises(DataFolderError, match="was moved, deleted or replaced"):
                write()
        assert sorted(tmp_path.rglob("*")) == before
