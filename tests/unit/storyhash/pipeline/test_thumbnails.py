"""Of the videos that are indexed, only a finished version has thumbnails, and only if they are wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.settings import ThumbnailSettings
from common.thumbnails import Thumbnail, pack_thumbnails
from common.types import Embedding
from searcher.storage.thumbnails import ThumbnailStore
from storyhash.pipeline.thumbnails import Thumbnails
from tests.support.embeddings import video

PICTURES = pack_thumbnails([Thumbnail(1.0, b"RIFF\x04\x00\x00\x00WEBP")])


def pictured(rng: np.random.Generator, video_id: str, version: int) -> Embedding:
    (one,) = video(rng, video_id, 1, version=version)
    return replace(one, thumbnails=PICTURES)


@pytest.mark.parametrize("enabled", [True, False])
def test_only_a_finished_version_has_pictures_and_only_where_they_are_wanted(
    tmp_path: Path, rng: np.random.Generator, enabled: bool
) -> None:
    store = ThumbnailStore(tmp_path)
    making = Thumbnails(store, ThumbnailSettings(enabled=enabled))
    making.begin("a.mp4", 3)
    assert making.take(pictured(rng, "a.mp4", 3)).thumbnails == b""
    making.take(pictured(rng, "another", 3))
    assert store.read("a.mp4", 1.0) is None
    making.finish("a.mp4", 3)
    assert (store.read("a.mp4", 1.0) is not None) is enabled
    making.begin("a.mp4", 4)
    making.take(pictured(rng, "a.mp4", 4))
    making.drop_all()
    assert store.count("a.mp4") == enabled
    assert store.count("another") == 0
