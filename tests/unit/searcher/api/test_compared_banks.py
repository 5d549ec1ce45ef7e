"""Whose pictures are compared: a key of some banks has none compared of videos of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.thumbnails import Thumbnail
from searcher.transform.finder import TransformFinder
from searcher.transform.pictures import Pictures, StoredThumbnails
from tests.support.keys import opened_state
from tests.unit.searcher.api.test_key_access import Keyed
from tests.unit.searcher.transform.drawing import drawn
from tests.unit.searcher.transform.test_finder import Still

A, COPY = "a.mp4", "shows/copy of a.mp4"


class Opened:
    """Pictures of uploads, and thumbnails of the catalogue, whose files are elsewhere; notes whose
    thumbnails are opened."""

    def __init__(self) -> None:
        self.videos: set[str] = set()

    def of_uri(self, uri: str) -> Pictures | None:
        return None if uri.startswith("/films/") else Still(drawn(1))

    def of_thumbnails(self, thumbnails: StoredThumbnails) -> Pictures:
        (first,) = thumbnails.nearest([0.0])
        self.videos.add(first.webp.decode())
        return Still(drawn(1), kind="thumbnails")

    def taken(self) -> set[str]:
        """Those opened since it was last asked."""
        videos, self.videos = self.videos, set()
        return videos


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def keyed(tmp_path: Path, opened: Opened) -> Iterator[Keyed]:
    """The API of the four films, of which two have thumbnails that say whose they are."""
    transforms = TransformFinder(opened, 60.0, thumbnails=opened)
    with opened_state(tmp_path) as state:
        made = Keyed(tmp_path / "data", state, transforms=transforms)
        for video_id in (A, COPY):
            pictures = made.api.index.thumbnails.begin(video_id)
            pictures.add([Thumbnail(0.0, video_id.encode())])
            pictures.finish()
        yield made
        made.close()


def test_no_picture_is_compared_of_a_video_of_another_bank(keyed: Keyed, opened: Opened) -> None:
    upload, indexed = {"content": b"a.mp4"}, {"json": {"video_id": COPY}}
    for query in (upload, indexed):
        assert keyed.ask("POST", "/v1/match", keyed.all, **query).status_code == 200
        assert opened.taken() == {A, COPY}
    assert keyed.ask("POST", "/v1/match", keyed.shows, **upload).status_code == 200
    assert opened.taken() == {COPY}
    # As the query itself.
    assert keyed.ask("POST", "/v1/match", keyed.shows, **indexed).status_code == 200
    assert opened.taken() == {COPY}
