"""`storyhash videos` over a folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from common.errors import ServiceError, StorageError, UsageError, VideoError
from common.settings import Settings
from common.state.matches import FoundMatch
from searcher.local_index import LocalIndex
from storyhash.cli import app
from storyhash.client.catalogue import RemoteCatalogue
from storyhash.open_state import open_state
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row


@pytest.fixture
def data(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A folder with two videos, which were found to be copies."""
    folder = tmp_path / "data"
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        for name in "ab":
            index.replace_video(row(name), video(rng, name, 3))
    with open_state(Settings(data_dir=folder)) as state:
        state.matches.record([FoundMatch("video:a", "b", "b", None, "copy", 0.9, {})])
    return folder


def test_a_deletion_that_is_cut_short_leaves_no_match_of_the_video(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = LocalIndex.delete_videos

    def cut_short(index: LocalIndex, video_ids: list[str]) -> int:
        delete(index, video_ids)
        raise StorageError("the disk is full")

    arguments = ["videos", "delete", "a", "--data", str(data)]
    with monkeypatch.context() as patch:
        patch.setattr(LocalIndex, "delete_videos", cut_short)
        assert isinstance(CliRunner().invoke(app, arguments).exception, StorageError)
    CliRunner().invoke(app, arguments)
    with open_state(Settings(data_dir=data)) as state:
        assert state.matches.count_of("a") == 0


def test_the_next_page_is_of_the_same_selection(data: Path) -> None:
    with LocalIndex.open_writer(data, MANIFEST, SETTINGS) as index:
        index.mark_failed(row("it's"), VideoError("no film"))
        index.mark_failed(row("z"), VideoError("no film"))
    arguments = ["videos", "list", "--data", str(data), "--limit", "1", "--state", "failed"]
    listed = CliRunner().invoke(app, arguments)
    assert "1 of 2 videos" in listed.stderr
    assert "more: the same command with --cursor" in listed.stderr
    *_, cursor = shlex.split(listed.stderr.splitlines()[-1])
    following = CliRunner().invoke(app, [*arguments, "--cursor", cursor, "--json"])
    assert [video["video_id"] for video in json.loads(following.stdout)["items"]] == ["z"]


def test_what_was_added_is_printed_also_if_the_service_stops_answering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def add(_: RemoteCatalogue, uri: str, **__: object) -> dict[str, str]:
        if uri == "b.mp4":
            raise ServiceError("nothing answers")
        return {"state": "pending", "video_id": uri}

    monkeypatch.setattr(RemoteCatalogue, "add", add)
    arguments = ["videos", "add", "a.mp4", "b.mp4", "--server", "http://127.0.0.1:1", "--json"]
    run = CliRunner().invoke(app, arguments)
    assert isinstance(run.exception, ServiceError)
    assert [video["video_id"] for video in json.loads(run.stdout)["items"]] == ["a.mp4"]


@pytest.mark.parametrize(
    "arguments", [["videos", "list", "--data", ""], ["snapshot", "list", "--to", " "]]
)
def test_an_empty_name_of_a_folder_is_not_the_current_folder(arguments: list[str]) -> None:
    run = CliRunner().invoke(app, arguments)
    assert isinstance(run.exception, UsageError)
    assert "use . for the current folder" in str(run.exception)


@pytest.mark.parametrize("state", ["disabled", "Ready"])
def test_a_state_that_no_video_can_have_is_refused(data: Path, state: str) -> None:
    listed = CliRunner().invoke(app, ["videos", "list", "--data", str(data), "--state", state])
    assert isinstance(listed.exception, UsageError)
    assert "ready, pending, failed" in str(listed.exception)
