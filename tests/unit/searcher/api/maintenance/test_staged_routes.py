"""Videos that wait for their segments, over HTTP and by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from common.http.health import Health
from common.http.server import HttpServer, new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from searcher.api.maintenance.staged_routes import staged_router
from searcher.local_index import LocalIndex
from searcher.log.drop_staged import drop_staged
from searcher.storage.staged_videos import StagedVideo
from storyhash.cli import app as cli
from tests.support.embeddings import video
from tests.unit.searcher.log.test_consumer import end, feed, open_index

ODD = "films/a/../b\nc@v2.mp4"


class Waiting:
    """What the API asks, of an index that follows no log."""

    def __init__(self, index: LocalIndex) -> None:
        self.index = index

    def staged(self, after: str, limit: int) -> tuple[list[StagedVideo], str | None]:
        return self.index.staging.staged(after=after, limit=limit)

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        versions = [
            one for one in self.index.staging.staged_versions(video_id) if version in (None, one)
        ]
        for one in versions:
            drop_staged(self.index, video_id, one)
        return versions


@pytest.fixture
def index(tmp_path: Path, rng: np.random.Generator) -> Iterator[LocalIndex]:
    """Of `a` nothing but a segment is there, of an odd name two versions, of `c` all but one."""
    with open_index(tmp_path / "data") as opened:
        feed(opened, *video(rng, "a", 1), *video(rng, ODD, 1), *video(rng, ODD, 2, version=9))
        feed(opened, *video(rng, "c", 3)[:2], end("c", 3))
        yield opened


@pytest.fixture
def server(index: LocalIndex) -> Iterator[str]:
    metrics = Metrics.create("search")
    api = new_app("StoryHash", Health(None, (), 60.0), metrics)
    api.add_routes(staged_router(Waiting(index)))
    with HttpServer(api, HttpSettings(port=0)) as started:
        yield started.url


def run(*arguments: str | Path) -> tuple[int, Any]:
    """A command's exit code and its JSON."""
    from typer.testing import CliRunner

    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    lines = done.stdout.strip()
    return done.exit_code, json.loads(lines) if lines else None


def named(told: Any) -> list[tuple[str, int]]:
    return [(one["video_id"], one["version"]) for one in told["items"]]


ALL = [("a", 1), ("c", 1), (ODD, 1), (ODD, 9)]


def test_what_waits_is_listed_with_what_it_waits_for(server: str) -> None:
    first = httpx.get(f"{server}/v1/staged", params={"limit": 3}).json()
    rest = httpx.get(f"{server}/v1/staged", params={"cursor": first["next_cursor"]}).json()
    assert [*named(first), *named(rest)] == ALL
    assert first["items"][1]["reason"] == "1 of 3 segments have not arrived"
    assert (first["items"][0]["expected_segments"], first["items"][1]["expected_segments"]) == (
        None,
        3,
    )


@pytest.mark.parametrize("cursor", ["a@v²", f"a@v{2**63}", f"a@v{'9' * 5000}", "@v", "a"])
def test_a_cursor_that_no_page_gave_is_no_error_of_the_service(server: str, cursor: str) -> None:
    assert httpx.get(f"{server}/v1/staged", params={"cursor": cursor}).status_code == 200


def test_a_video_is_dropped_by_its_id_and_by_its_version(server: str, index: LocalIndex) -> None:
    code, told = run("staged", "list", "--server", server)
    assert (code, named(told)) == (0, ALL)
    code, told = run("staged", "drop", ODD, "nobody", "--server", server)
    assert (code, told) == (2, {"dropped": [ODD, ODD]})
    assert httpx.delete(f"{server}/v1/staged/c", params={"version": 7}).status_code == 404
    assert httpx.delete(f"{server}/v1/staged/c", params={"version": 1}).status_code == 204
    assert named(run("staged", "list", "--server", server)[1]) == [("a", 1)]
    row = index.videos.get("c")
    assert row is not None
    assert (row.state, row.error_code) == ("failed", "dropped")


def test_those_of_a_data_folder_are_dropped_without_a_searcher(
    index: LocalIndex, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    index.close()
    assert named(run("staged", "list", "--data", folder)[1]) == ALL
    assert run("staged", "drop", "--all", "--older-than", "1", "--data", folder)[1] == {
        "dropped": []
    }
    # Nothing is dropped that was not named.
    assert run("staged", "drop", "--data", folder)[0] != 0
    assert run("staged", "drop", "a", "--all", "--data", folder)[0] != 0
    code, told = run("staged", "drop", "--all", "--data", folder)
    assert (code, len(told["dropped"])) == (0, len(ALL))
    assert named(run("staged", "list", "--data", folder)[1]) == []
