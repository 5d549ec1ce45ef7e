"""The Grafana dashboards, made from code. `python -m scripts.dashboards` writes the files."""

from __future__ import annotations

from pathlib import Path

from scripts.dashboards import detection, embedder, overview, pipeline, search, stores
from scripts.dashboards.board import Board

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
BOARDS: tuple[Board, ...] = (
    *(overview.BOARD, search.BOARD, pipeline.BOARD),
    *(embedder.BOARD, detection.BOARD, stores.BOARD),
)


def files() -> dict[Path, str]:
    """Every file and its text."""
    return {FOLDER / f"{board.uid}.json": board.to_json() for board in BOARDS}
