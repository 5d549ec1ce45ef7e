"""Cached features: a copied dataset keeps them, a changed video does not."""

from __future__ import annotations

import os
from pathlib import Path

from evaluation.data.datasets import DatasetVideo
from evaluation.data.extraction import FeatureStore


def test_the_file_depends_on_the_content_and_not_on_its_folder_or_time(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {"offline": "offline-1"})

    def cached(folder: str, content: bytes, seconds: int) -> Path:
        video = tmp_path / folder / "a.mp4"
        video.parent.mkdir(exist_ok=True)
        video.write_bytes(content)
        os.utime(video, (seconds, seconds))
        return store.path("offline", DatasetVideo("a.mp4", str(video), "a"), "flip_h")

    first = cached("one", b"picture", 1)
    assert cached("two", b"picture", 2) == first
    assert cached("one", b"Picture", 1) != first
