"""The files of videos over HTTP: ranges of them, and nothing outside the allowed folders."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.http.health import Health
from common.http.server import new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from searcher.api.videos.content import content_router
from searcher.storage.video import Video
from tests.support.keys import access_over, key_of, opened_state
from tests.support.queries import Client, error_of, message_of

FILM = bytes(range(256)) * 4
ALL, PART = (200, FILM), (206, FILM[10:20])


class Films:
    """A catalogue of videos whose files lie in `folder` or outside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "films"
        self.outside = folder / "outside"
        for one in (self.folder / "series", self.outside):
            one.mkdir(parents=True)
        self.videos: dict[str, Video] = {}

    def add(self, video_id: str, path: Path | str, bank: str = "default") -> None:
        self.videos[video_id] = Video(video_id, str(path), bank)

    def file(self, name: str, folder: Path | None = None) -> Path:
        path = (folder or self.folder) / name
        path.write_bytes(FILM)
        return path

    def current(self) -> Any:
        return SimpleNamespace(index=SimpleNamespace(videos=self.videos))

    def client(self, *folders: Path, access: Any = None, **settings: Any) -> Client:
        http = HttpSettings(content_folders=folders, **settings)
        app = new_app("test", Health(None, (), 60.0), Metrics.create("test"), http, access)
        catalogue: Any = self
        app.add_routes(content_router(catalogue, http))

        # Stands for the route of the video itself, which takes any id.
        @app.get("/v1/videos/{video_id:any_id}")
        async def show(video_id: str) -> dict[str, str]:
            return {"video_id": video_id}

        return Client(app)


@pytest.fixture
def films(tmp_path: Path) -> Films:
    made = Films(tmp_path)
    made.add("a.mp4", made.file("a.mp4"))
    return made


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, 1023),
        ("bytes=-24", 1000, 1023),
        ("bytes=1020-99999", 1020, 1023),
        ("bytes=-99999", 0, 1023),
    ],
)
def test_a_range_gives_these_bytes(films: Films, wanted: str, first: int, last: int) -> None:
    with films.client(films.folder) as client:
        answer = client.get("/v1/videos/a.mp4/content", headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == FILM[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/1024"
    assert answer.headers["content-length"] == str(last + 1 - first)


def test_without_a_range_the_whole_file_is_sent_as_video_alone(films: Films) -> None:
    films.add("page.html", films.file("page.html"))
    with films.client(films.folder) as client:
        answer = client.get("/v1/videos/a.mp4/content")
        page = client.get("/v1/videos/page.html/content")
    assert (answer.status_code, answer.content) == ALL
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ("bytes=1024-", 416, "no_such_range"),
        ("bytes=-0", 416, "no_such_range"),
        ("bytes=9-5", 416, "no_such_range"),
        ("bytes=-", 400, "usage"),
        ("bytes=0-1,5-9", 400, "usage"),
        ("frames=0-1", 400, "usage"),
        (f"bytes={'9' * 30}-", 400, "usage"),
    ],
)
def test_a_range_that_is_none_is_refused(films: Films, wanted: str, status: int, code: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with films.client(films.folder) as client:
        answer = client.get("/v1/videos/a.mp4/content", headers={"Range": wanted})
        assert error_of(answer) == (status, code)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_range_of_another_version_of_the_file_gives_the_whole_file(films: Films) -> None:
    wanted = {"Range": "bytes=10-19"}
    with films.client(films.folder) as client:
        tag = client.get("/v1/videos/a.mp4/content").headers["etag"]
        same = client.get("/v1/videos/a.mp4/content", headers={**wanted, "If-Range": tag})
        os.utime(films.file("a.mp4"), (1, 1))
        other = client.get("/v1/videos/a.mp4/content", headers={**wanted, "If-Range": tag})
    assert (same.status_code, same.content) == PART
    assert (other.status_code, other.content) == ALL
    assert other.headers["etag"] != tag


def test_head_tells_the_size_and_reads_nothing(
    films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread")
    with films.client(films.folder) as client:
        answer = client.ask("HEAD", "/v1/videos/a.mp4/content", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "1024"


def test_no_file_leaves_the_allowed_folders(films: Films) -> None:
    secret = films.file("secret.mp4", films.outside)
    (films.folder / "link.mp4").symlink_to(secret)
    (films.folder / "folder").symlink_to(films.outside)
    (films.folder.parent / "films-of-others").mkdir()
    beside = films.file("b.mp4", films.folder.parent / "films-of-others")
    os.mkfifo(films.folder / "pipe.mp4")
    paths: dict[str, Path | str] = {
        "outside": secret,
        "above": films.folder / ".." / "outside" / "secret.mp4",
        "link": films.folder / "link.mp4",
        "through a linked folder": films.folder / "folder" / "secret.mp4",
        "beside": beside,
        "pipe": films.folder / "pipe.mp4",
        "folder": films.folder / "series",
        "gone": films.folder / "gone.mp4",
        "no path": "a\0b",
        "remote": "https://host/film.mp4",
    }
    for video_id, path in paths.items():
        films.add(video_id, path)
    with films.client(films.folder) as client:
        for video_id in films.videos:
            answer = client.get(f"/v1/videos/{video_id}/content")
            if video_id == "a.mp4":
                assert answer.content == FILM
            else:
                assert error_of(answer) == (404, "no_content"), video_id
                assert str(films.folder.parent) not in message_of(answer)


def test_without_allowed_folders_nothing_is_sent_and_the_setting_is_named(films: Films) -> None:
    with films.client() as client:
        answer = client.get("/v1/videos/a.mp4/content")
    assert error_of(answer) == (404, "no_content")
    assert "STORYHASH_HTTP__CONTENT_FOLDERS" in message_of(answer)


def test_an_id_may_end_as_the_route_does(films: Films) -> None:
    films.add("series/content", films.file("series/content"))
    with films.client(films.folder) as client:
        shown = client.get("/v1/videos/series%2Fcontent")
        sent = client.get("/v1/videos/series%2Fcontent/content")
        unknown = client.get("/v1/videos/none/content")
    assert shown.json() == {"video_id": "series/content"}
    assert (sent.status_code, sent.content) == ALL
    assert error_of(unknown) == (404, "unknown_video")


def test_a_key_gets_only_files_of_its_banks(films: Films, tmp_path: Path) -> None:
    films.add("news.mp4", films.file("news.mp4"), bank="news")
    with opened_state(tmp_path / "state") as state:
        access = access_over(state, HttpSettings(require_keys="always"))
        key = key_of(state, Role.READER, ["news"])
        with films.client(films.folder, access=access) as client:
            without = client.get("/v1/videos/news.mp4/content")
            own = client.get("/v1/videos/news.mp4/content", headers={**key, "Range": "bytes=10-19"})
            other = client.get("/v1/videos/a.mp4/content", headers=key)
    assert error_of(without) == (401, "unauthorized")
    assert (own.status_code, own.content) == PART
    assert error_of(other) == (404, "unknown_video")
