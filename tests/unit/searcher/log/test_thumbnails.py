"""Thumbnails over the log: they appear with their video, and go with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common import sqlite
from common.messaging.events import Deletion, Event, SegmentFailed
from common.settings import SearcherSettings, Settings, ThumbnailSettings
from common.thumbnails import Thumbnail, pack_thumbnails
from common.types import Embedding
from searcher.local_index import LocalIndex
from tests.support.embeddings import video
from tests.unit.searcher.log.test_consumer import MANIFEST, end, feed, open_index, searchable

SETTINGS = Settings(
    searcher=SearcherSettings(delta_rows=64), thumbnails=ThumbnailSettings(enabled=True)
)


def open_keeping(folder: Path) -> LocalIndex:
    return LocalIndex.open_writer(folder, MANIFEST, SETTINGS)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LocalIndex]:
    with open_keeping(tmp_path / "data") as opened:
        yield opened


def picture(version: int, seconds: float) -> Thumbnail:
    return Thumbnail(seconds, b"RIFF\x04\x00\x00\x00WEBP" + f"{version} at {seconds}".encode())


def pictured(rng: np.random.Generator, segments: int, version: int = 1) -> list[Embedding]:
    """A video whose segments have a picture of their beginning."""
    return [
        replace(one, thumbnails=pack_thumbnails([picture(version, one.ref.start_seconds)]))
        for one in video(rng, "a", segments, version=version)
    ]


def kept(index: LocalIndex) -> list[Thumbnail]:
    return list(index.thumbnails.all("a"))


def test_they_are_staged_survive_the_process_and_appear_with_the_video(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    parts = pictured(rng, 3)
    with open_keeping(tmp_path / "data") as first:
        feed(first, *parts[1:])
        assert kept(first) == []
    with open_keeping(tmp_path / "data") as second:
        feed(second, end("a", 3), parts[0], parts[1])
        assert searchable(second) == {"a": (1, 3)}
        assert kept(second) == [picture(1, 0.0), picture(1, 4.0), picture(1, 8.0)]
        assert second.thumbnails.read("a", 5.0) == picture(1, 4.0)
        assert list(second.staging.thumbnails("a", 1)) == []


def test_a_newer_version_replaces_them_even_if_it_has_none(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    feed(index, *pictured(rng, 2), end("a", 2))
    feed(index, *pictured(rng, 1, version=2))
    assert kept(index) == [picture(1, 0.0), picture(1, 4.0)]
    feed(index, end("a", 1, 2))
    assert kept(index) == [picture(2, 0.0)]
    feed(index, *video(rng, "a", 2, version=3), end("a", 2, 3))
    assert kept(index) == []


def test_those_of_a_late_segment_join_the_others(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    parts = pictured(rng, 2)
    feed(index, parts[1], SegmentFailed(parts[0].ref, "damaged"), end("a", 2))
    assert kept(index) == [picture(1, 4.0)]
    feed(index, parts[0])
    assert kept(index) == [picture(1, 0.0), picture(1, 4.0)]


@pytest.mark.parametrize("complete", [True, False])
def test_a_deletion_deletes_them(
    index: LocalIndex, rng: np.random.Generator, complete: bool
) -> None:
    ended: list[Event] = [end("a", 2)] if complete else []
    feed(index, *pictured(rng, 2), *ended)
    feed(index, Deletion("a", 1))
    index.finish_deletions()
    assert kept(index) == []
    assert index.thumbnails.count("a") == 0
    assert list(index.staging.thumbnails("a", 1)) == []


def test_an_index_that_does_not_want_them_keeps_none(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with open_keeping(tmp_path / "data") as index:
        feed(index, *pictured(rng, 1), end("a", 1))
    with open_index(tmp_path / "data") as index:
        feed(index, *pictured(rng, 2, version=2))
        assert list(index.staging.thumbnails("a", 2)) == []
        feed(index, end("a", 2, 2))
        assert kept(index) == []
        assert searchable(index) == {"a": (2, 2)}


def test_a_data_folder_of_before_opens(tmp_path: Path, rng: np.random.Generator) -> None:
    with open_index(tmp_path / "data") as index:
        feed(index, *video(rng, "a", 1), end("a", 1))
    path = tmp_path / "data" / "videos.sqlite"
    with closing(sqlite.Database(path, "", remedy="")) as database, database.change() as execute:
        execute("DROP TABLE staged_thumbnails")
    with open_keeping(tmp_path / "data") as index:
        feed(index, *pictured(rng, 1, version=2), end("a", 1, 2))
        assert kept(index) == [picture(2, 0.0)]


def test_an_index_that_begins_anew_has_none_of_what_was_staged(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    feed(index, *pictured(rng, 2))
    index.staging.set_offsets({0: 2})
    index.videos.lose_vectors()
    assert list(index.staging.thumbnails("a", 1)) == []
