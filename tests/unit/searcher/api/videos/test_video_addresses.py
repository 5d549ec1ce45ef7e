"""A video with an odd id is shown and deleted over HTTP, and never another one in its stead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.errors import UsageError
from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.printable import printable
from common.settings import HttpSettings, Settings
from common.types import CatalogEntry
from searcher.api.app import api_app
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from storyhash.client.calls.videos import add_video
from storyhash.client.catalogue import RemoteCatalogue
from tests.support.embeddings import MODEL_ID
from tests.unit.searcher.api.test_api import OneIndex, embed, segments

# The last ones come from catalogues of older versions, which took them.
ODD_IDS = (
    *(
        "two\nlines.mp4",
        "ends\n",
        "a?b#c.mp4",
        "100%.mp4",
        "%2e%2e",
        "..%2F..",
        "👩‍👩‍👧.mp4",
        "a b+c",
        ";",
    ),
    *("..", ".", "a/../b", "/leading", "trailing/", "a//b", "//", "../generations/clip", "\x1b[2J"),
)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteCatalogue]:
    folder = tmp_path_factory.mktemp("odd") / "data"
    index = LocalIndex.open_writer(folder, FolderManifest("test", MODEL_ID), Settings())
    for video_id in ODD_IDS:
        video = Video(video_id, f"/films/{video_id}", version=1, duration_seconds=4.0)
        index.replace_video(video, segments(video_id, [None]))
    metrics = Metrics.create("search")
    settings = HttpSettings(port=0)

    def add_video(entry: CatalogEntry) -> Video:
        return Video(entry.video_id, entry.uri)

    health = Health(metrics, (), 60.0)
    app = api_app(OneIndex(index), embed, health, metrics, settings, add_video=add_video)
    with HttpServer(app, settings) as server, RemoteCatalogue(server.url) as remote:
        yield remote
    index.close()


@pytest.mark.parametrize("video_id", ODD_IDS)
def test_it_is_shown_and_deleted_by_its_id(remote: RemoteCatalogue, video_id: str) -> None:
    before = {video["video_id"] for video in remote.videos(100, "")["items"]}
    assert remote.video(video_id)["video_id"] == video_id
    remote.delete(video_id)
    after = {video["video_id"] for video in remote.videos(100, "")["items"]}
    assert before - after == {video_id}
    with pytest.raises(UsageError, match="is indexed") as refused:
        remote.video(video_id)
    assert printable(str(refused.value)) == str(refused.value)


@pytest.mark.parametrize("video_id", ["..", "a/../b", "/a", "a/", "a\nb", "\x1b[2J"])
def test_an_odd_id_is_not_taken_on(remote: RemoteCatalogue, video_id: str) -> None:
    with pytest.raises(UsageError, match="the id"):
        remote.send(add_video("https://host/a.mp4", video_id=video_id))
