"""`storyhash snapshot`: its output and exit codes, over a folder and over a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from common.errors import StoryHashError
from common.http.health import Health
from common.http.server import HttpServer, new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from searcher.api.maintenance.snapshot_routes import snapshots_router
from searcher.backup.backups import Backups
from searcher.backup.create import Source
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from storyhash.cli import app
from tests.support.embeddings import MODEL_ID, video
from tests.support.index_writer import MANIFEST, SETTINGS, row


def run(*arguments: str | Path) -> tuple[int, Any]:
    """A command's exit code, and its JSON or its error."""
    done = CliRunner().invoke(app, ["snapshot", *map(str, arguments), "--json"])
    if isinstance(done.exception, StoryHashError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def data(tmp_path: Path, rng: np.random.Generator) -> Path:
    with LocalIndex.open_writer(tmp_path / "data", MANIFEST, SETTINGS) as index:
        index.replace_video(row("a"), video(rng, "a", 3))
    return tmp_path / "data"


def test_a_folder_is_backed_up_listed_verified_and_restored(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    code, made = run("create", "--data", data, "--to", target)
    assert (code, made["videos"], made["segments"]) == (0, 1, 3)
    code, listed = run("list", "--to", target)
    assert (code, [one["name"] for one in listed["items"]]) == (0, [Path(made["path"]).name])
    code, checked = run("verify", made["path"])
    assert (code, checked["items"][0]["damage"]) == (0, [])
    code, told = run("restore", made["path"], "--data", data)
    assert code == 2
    assert "--force" in told
    code, restored = run("restore", made["path"], "--data", tmp_path / "new")
    assert (code, restored["videos"]) == (0, 1)

    (Path(made["path"]) / "videos.sqlite").write_bytes(b"")
    code, checked = run("verify", made["path"])
    assert code == 1
    assert "videos.sqlite has 0 bytes" in checked["items"][0]["damage"][0]
    code, told = run("restore", made["path"], "--data", data, "--force")
    assert code == 1
    assert "videos.sqlite" in told


def test_mistakes_of_the_caller(data: Path, tmp_path: Path) -> None:
    code, told = run("create", "--data", data)
    assert code == 2
    assert "--to DIR" in told
    code, told = run("create", "--data", tmp_path / "nothing", "--to", tmp_path / "backups")
    assert code == 2
    assert "no index" in told
    assert run("list", "--to", tmp_path / "nothing")[0] == 2
    assert run("verify", tmp_path)[0] == 2
    assert run("create", "--server", "http://127.0.0.1:1", "--to", tmp_path)[0] == 2
    assert run("create", "--server", "http://127.0.0.1:1")[0] == 3
    with LocalIndex.open_writer(data, MANIFEST, SETTINGS):
        code, told = run("create", "--data", data, "--to", tmp_path / "backups")
        assert code == 2
        assert "--server" in told
    (tmp_path / "file").write_text("")
    assert run("create", "--data", data, "--to", tmp_path / "file")[0] == 3


@pytest.fixture
def server(data: Path, tmp_path: Path) -> Iterator[str]:
    with LocalIndex.open_writer(data, MANIFEST, SETTINGS) as index:
        made = Backups(
            tmp_path / "backups", 2, lambda: Source(index, data, "", state_is_elsewhere=True)
        )
        api = new_app("StoryHash", Health(None, (), 60.0), Metrics.create("serve"))
        api.add_routes(snapshots_router(made))
        with HttpServer(api, HttpSettings(port=0)) as started:
            yield started.url
        made.close()


def test_a_service_makes_the_backup_and_the_command_waits_for_it(
    server: str, tmp_path: Path
) -> None:
    code, made = run("create", "--server", server)
    assert (code, made["state"], made["videos"]) == (0, "complete", 1)
    assert made["state_database"] == "postgresql"
    code, listed = run("list", "--server", server)
    assert (code, listed["items"]) == (0, [made])
    assert run("verify", tmp_path / "backups" / made["name"])[0] == 0


def test_a_catalogue_is_exported_and_imported(tmp_path: Path, rng: np.random.Generator) -> None:
    file, new = tmp_path / "a.parquet", tmp_path / "new"
    model = FolderManifest("offline", MODEL_ID)
    with LocalIndex.open_writer(tmp_path / "data", model, SETTINGS) as index:
        index.replace_video(row("a"), video(rng, "a", 3))
    code, exported = run("export", file, "--data", tmp_path / "data")
    assert (code, exported["videos"], exported["segments"]) == (0, 1, 3)
    assert exported["calibration"]
    code, imported = run("import", file, "--data", new)
    assert (code, imported["videos"], imported["present"]) == (0, 1, 0)
    code, imported = run("import", file, "--data", new)
    assert (code, imported["videos"], imported["present"]) == (0, 0, 1)
    # The next start has nothing to do.
    assert any((new / "snapshots").iterdir())

    with LocalIndex.open_writer(tmp_path / "other", FolderManifest("offline", "x-1"), SETTINGS):
        pass
    code, told = run("import", file, "--data", tmp_path / "other")
    assert code == 2
    assert MODEL_ID in told


def test_a_catalogue_of_an_unknown_profile_is_refused(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    code, exported = run("export", file, "--data", data)
    assert (code, exported["calibration"]) == (0, "")
    code, told = run("import", file, "--data", tmp_path / "new")
    assert code == 2
    assert f"profile {MANIFEST.profile}" in told
    assert not (tmp_path / "new").exists()
