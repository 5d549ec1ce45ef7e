"""`storyhash evaluate` with a network."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import draw
from tests.e2e.test_evaluate import NO_FIGURES, evaluate
from tests.e2e.test_models import named
from tests.support.preloaded import start_with_networks


def test_the_same_commands_run_with_clip(models: Path, tmp_path: Path) -> None:
    """Its weights are random, so only that it runs is shown."""
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    for number in range(2):
        draw(drawn / f"{number}.mp4", 20 + number, 2.0)
    run = evaluate(
        *("robustness", "--videos", drawn, "--profile", "clip-motion", "--per-transform", "1"),
        *("--transforms", "crop_10", "--no-peers", "--workers", "1", "--cache", tmp_path / "cache"),
        *("--out", tmp_path / "out", "--json"),
        start=start_with_networks,
        module=NO_FIGURES,
        **named(models),
    )
    assert run.exit_code == 0, run.stderr
    assert "was not measured" in run.stderr
    (group,) = run.json["groups"]
    assert (group["profile"], group["rows"], group["failed"]) == ("clip-motion", 3, 0)
