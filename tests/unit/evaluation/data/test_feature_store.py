"""Cached features: a copied dataset keeps them; a changed video, or another partner, does not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from embedder.query.passes import CLOSER
from evaluation.data.datasets import DatasetVideo
from evaluation.data.edits import EDITS_VERSION, partners_of
from evaluation.data.extraction import ORIGINAL, FeatureStore
from ingest.fingerprint import content_digest


def videos_in(folder: Path, *names: str) -> list[DatasetVideo]:
    """Files with these names as their content."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return [DatasetVideo(name, str(folder / name), name) for name in names]


def cached(folder: Path, videos: list[DatasetVideo], transform: str) -> Path:
    """The file for the features of the first video."""
    return FeatureStore(folder, {"offline": "offline-1"}, videos).path(
        "offline", videos[0], transform
    )


def test_the_file_depends_on_the_content_and_not_on_its_folder_or_time(tmp_path: Path) -> None:
    def stored(folder: str, content: bytes, seconds: int) -> Path:
        videos = videos_in(tmp_path / folder, "a.mp4")
        path = Path(videos[0].uri)
        path.write_bytes(content)
        os.utime(path, (seconds, seconds))
        return cached(tmp_path, videos, "flip_h")

    first = stored("one", b"picture", 1)
    assert stored("two", b"picture", 2) == first
    assert stored("one", b"Picture", 1) != first


@pytest.mark.parametrize("name", ["split_screen_h", "concatenate", "mix_1", "mashup_1_faster"])
def test_another_partner_is_another_file(tmp_path: Path, name: str) -> None:
    videos = videos_in(tmp_path, *(f"{number}.mp4" for number in range(4)))
    before = cached(tmp_path, videos, name)
    assert cached(tmp_path, videos, name) == before
    partner = partners_of(videos[0], videos)[0]
    Path(partner.uri).write_text("another video")
    assert cached(tmp_path, videos, name) != before
    Path(partner.uri).write_text(partner.video_id)
    assert cached(tmp_path, videos, name) == before

    # A new video is the first partner of some videos.
    new = videos_in(tmp_path, *(f"new {number}.mp4" for number in range(30)))
    first = next(one for one in new if partners_of(videos[0], [*videos, one])[0] == one)
    assert cached(tmp_path, [*videos, first], name) != before
    assert cached(tmp_path, [*videos, first], "flip_h") == cached(tmp_path, videos, "flip_h")


@pytest.mark.parametrize("name", [ORIGINAL, "flip_h", "shuffle"])
def test_a_file_without_partners_has_the_name_that_it_always_had(tmp_path: Path, name: str) -> None:
    videos = videos_in(tmp_path, "a.mp4", "b.mp4")
    digest = content_digest(videos[0].uri)
    parts = ("a.mp4", digest, name, str(EDITS_VERSION), CLOSER.cache_key, "offline-1")
    expected = hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
    assert cached(tmp_path, videos, name).name == f"{expected}.npz"
