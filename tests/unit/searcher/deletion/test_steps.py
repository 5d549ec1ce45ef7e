"""Each step of a deletion may fail: the same call does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from common.errors import StorageError
from searcher.deletion.steps import delete_in_folder
from searcher.local_index import LocalIndex
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row


class Folder:
    """A first and a second index with one video, and what the state database was told to forget."""

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        self.first = LocalIndex.open_writer(path, MANIFEST, SETTINGS)
        self.second = LocalIndex.open_writer(path / "second-opinion", MANIFEST, SETTINGS)
        for index in (self.first, self.second):
            index.replace_video(row("a"), video(rng, "a", 3))
        self.forgotten: list[str] = []

    def forget(self, video_ids: Sequence[str]) -> None:
        self.forgotten += video_ids

    def delete(self) -> list[str]:
        return delete_in_folder(self.first, self.second, self.forget, ["a", "unknown", "a"])


@pytest.mark.parametrize("failing", ["second", "state", "first"])
def test_after_a_step_that_failed_the_same_call_does_the_rest(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    folder = Folder(tmp_path, rng)

    def broken(video_ids: Sequence[str]) -> int:
        raise StorageError("the disk is full")

    with folder.first, folder.second:
        of_step = {"second": folder.second, "state": folder, "first": folder.first}[failing]
        with monkeypatch.context() as patch:
            patch.setattr(of_step, "forget" if of_step is folder else "delete_videos", broken)
            with pytest.raises(StorageError):
                folder.delete()
        assert folder.delete() == ["a"]
        assert set(folder.forgotten) == {"a"}
        assert folder.first.videos.get("a") is folder.second.videos.get("a") is None
        assert folder.delete() == []
