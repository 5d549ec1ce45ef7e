"""Thumbnails over HTTP: to whom they belong, with what a cache must know, gone with their video."""

from __future__ import annotations

from common.state.roles import Role
from common.thumbnails import Thumbnail
from tests.support.keys import key_of
from tests.support.queries import error_of
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
A, COPY = "a.mp4", "shows/copy of a.mp4"


def test_a_picture_is_sent_to_who_may_see_the_video_until_it_is_deleted(keyed: Keyed) -> None:
    pictures = keyed.api.index.thumbnails.begin(COPY)
    pictures.add([Thumbnail(0.0, b"first"), Thumbnail(0.5, b"second")])
    pictures.finish()
    path = f"/v1/videos/{COPY}/thumbnail"
    shows, news = (key_of(keyed.state, Role.READER, [bank]) for bank in ("shows", "news"))
    found = keyed.ask("GET", f"{path}?seconds=0.9", shows)
    assert (found.status_code, found.content) == (200, b"second")
    assert found.headers["content-type"] == "image/webp"
    assert found.headers["storyhash-thumbnail-seconds"] == "0.500"
    assert found.headers["cache-control"].startswith("private, max-age=")
    assert found.headers["vary"] == "Authorization"
    again = keyed.ask(
        "GET", f"{path}?seconds=0.9", {**shows, "If-None-Match": found.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert error_of(keyed.ask("GET", path, news)) == (404, "unknown_video")
    assert keyed.ask("GET", f"/v1/videos/{A}/thumbnail", keyed.all).status_code == 204
    assert keyed.ask("GET", f"{path}?seconds=-1", shows).status_code == 400
    keyed.api.index.delete_videos([COPY])
    assert keyed.api.index.thumbnails.count(COPY) == 0
    assert error_of(keyed.ask("GET", path, shows)) == (404, "unknown_video")
