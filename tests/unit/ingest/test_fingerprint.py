"""Whether a source is the one that was read before: unchanged, moved, or another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from common.settings import IngestSettings, VideoSettings
from ingest.fingerprint import (
    content_digest,
    cut_of,
    same_content,
    same_source,
    source_fingerprint,
    with_content,
)


def film(path: Path, content: bytes = b"x" * 300_000, seconds: int = 1000) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (seconds, seconds))
    return str(path)


def full(uri: str) -> str:
    return with_content(source_fingerprint(uri), uri)


def test_the_fingerprint_of_an_older_version_is_of_the_same_source(tmp_path: Path) -> None:
    uri = film(tmp_path / "a.mp4")
    old = source_fingerprint(uri)
    assert ";" not in old
    assert same_source(old, full(uri))
    film(tmp_path / "a.mp4", seconds=2000)
    assert not same_source(old, full(uri))


def test_a_copy_has_the_same_content_whatever_its_time(tmp_path: Path) -> None:
    one, other = film(tmp_path / "a" / "x.mp4"), film(tmp_path / "b" / "x.mp4", seconds=5)
    assert same_content(other, full(other), one, full(one))
    Path(one).unlink()
    assert same_content(other, full(other), "/gone", full(other))


@pytest.mark.parametrize("at", [0, 150_000, 299_999])
def test_files_that_differ_at_the_head_the_middle_or_the_end_are_two(
    tmp_path: Path, at: int
) -> None:
    changed = bytearray(b"x" * 300_000)
    changed[at] = 0
    one, other = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", bytes(changed))
    assert not same_content(other, full(other), one, full(one))


def test_a_row_of_an_older_version_is_known_by_its_file_or_else_by_its_time(tmp_path: Path) -> None:
    one, other = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", seconds=7)
    old = source_fingerprint(one)
    assert same_content(other, full(other), one, old)
    Path(one).unlink()
    assert not same_content(other, full(other), one, old)
    moved = film(tmp_path / "c.mp4")
    assert same_content(moved, full(moved), one, old)


def test_a_folder_of_pictures_has_content(tmp_path: Path) -> None:
    for number in range(4):
        film(tmp_path / "a" / f"{number:04}.png", bytes([number]) * 100)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert content_digest(str(tmp_path / "a")) == content_digest(str(tmp_path / "b"))
    film(tmp_path / "b" / "0003.png", b"another")
    assert content_digest(str(tmp_path / "a")) != content_digest(str(tmp_path / "b"))


def test_what_cannot_be_read_has_neither(tmp_path: Path) -> None:
    assert full(str(tmp_path / "gone")) == full("/nul\0byte") == ""
    assert full("https://host/film.mp4") == "remote"
    assert not same_content("/gone", "", "/gone", "")


def test_every_setting_that_shapes_segments_changes_the_cut() -> None:
    video, ingest = VideoSettings(), IngestSettings()
    cuts = {
        cut_of(video, ingest),
        cut_of(video, ingest.model_copy(update={"segment_seconds": 2.0})),
        cut_of(video, ingest.model_copy(update={"min_tail_seconds": 1.0})),
        cut_of(video.model_copy(update={"frames_per_second": 4.0}), ingest),
        cut_of(video.model_copy(update={"short_side": 240}), ingest),
        cut_of(video.model_copy(update={"max_clip_bytes": 5000}), ingest),
        cut_of(video.model_copy(update={"max_clip_pixels": 5000}), ingest),
    }
    assert len(cuts) == 7
    assert cut_of(video, ingest.model_copy(update={"workers": 7})) in cuts
