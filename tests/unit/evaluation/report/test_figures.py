"""Figures are drawn to the file they are asked for, the same for the same rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from evaluation.measures.summary import summarise
from evaluation.records import QueryRow
from evaluation.report.curves import precision_recall_curves, reliability_diagram, roc_curves
from evaluation.report.figures import (
    VectorBlock,
    ablation_bars,
    flip_bias,
    similarity_histograms,
    vector_composition,
)
from tests.support.evaluation_rows import found, row

FUSIONS = {
    "storyhash": [VectorBlock("visual", 512, 0.972), VectorBlock("action", 15, 0.028)],
    "paper": [VectorBlock("visual", 512, 0.08), VectorBlock("action", 15, 0.92)],
}


def rows_of(configuration: str, lift: float) -> list[QueryRow]:
    """A few queries under two flips, copies above strangers for most of them."""
    made = []
    for transform in ("flip_h", "flip_v"):
        for n in range(6):
            named = {"transform": transform, "video_id": str(n), "configuration": configuration}
            right = found("self", min(1.0, 0.15 * n + lift), 0.1 * n + 0.3)
            wrong = found("stranger", 0.1 * n, 0.05 * n)
            made += [
                row("all", right, wrong, **named),  # type: ignore[arg-type]
                row("with", right, wrong, **named),  # type: ignore[arg-type]
                row("without", wrong, **named),  # type: ignore[arg-type]
            ]
    return made


ROWS = [*rows_of("ours", 0.2), *rows_of("theirs", 0.0)]

DRAWN: dict[str, Callable[[Path], None]] = {
    "ablation": lambda path: ablation_bars(summarise(ROWS, by=("group",)), path),
    "ablation of a number": lambda path: ablation_bars(summarise(ROWS), path, "uap"),
    "histograms": lambda path: similarity_histograms(ROWS, path),
    "flips": lambda path: flip_bias(summarise(ROWS, by=("transform",)), path),
    "vector": lambda path: vector_composition(FUSIONS, path, [VectorBlock("graph", 8, 0.0)]),
    "roc": lambda path: roc_curves(ROWS, path),
    "precision and recall": lambda path: precision_recall_curves(ROWS, path),
    "reliability": lambda path: reliability_diagram(ROWS, path),
}
SIGNATURES = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_and_nothing_else_is_left(name: str, tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    DRAWN[name](path)
    assert path.read_bytes().startswith(SIGNATURES[".svg"])
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_suffix_every_format_of_a_report_is_written(tmp_path: Path) -> None:
    vector_composition(FUSIONS, tmp_path / "figure")
    written = {path.name: path.read_bytes()[:4] for path in tmp_path.iterdir()}
    assert written == {"figure.png": SIGNATURES[".png"], "figure.pdf": SIGNATURES[".pdf"]}


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_suffix_names_the_format(suffix: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        vector_composition(FUSIONS, path)
    assert first.read_bytes().startswith(SIGNATURES[suffix])
    assert first.read_bytes() == second.read_bytes()


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png, \.pdf, \.svg, got '\.gif'"):
        vector_composition(FUSIONS, tmp_path / "figure.gif")


def test_energies_must_sum_up_to_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sum up to 1, got 0\.5"):
        vector_composition({"half": [VectorBlock("visual", 512, 0.5)]}, tmp_path / "figure.png")


@pytest.mark.parametrize(
    "draw", [similarity_histograms, roc_curves, precision_recall_curves, reliability_diagram]
)
def test_nothing_to_draw_is_said(
    draw: Callable[[list[QueryRow], Path], None], tmp_path: Path
) -> None:
    for rows in ([], [row("all", error="broken")]):
        with pytest.raises(UsageError, match="nothing to draw"):
            draw(rows, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[evaluation\]'"):
        vector_composition(FUSIONS, tmp_path / "figure.png")


def test_importing_loads_neither_matplotlib_nor_pyarrow_and_drawing_leaves_pyplot_alone(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, pathlib\n"
        "import evaluation.report.curves, evaluation.report.figures as f\n"
        "import evaluation.experiment.regression_gate, evaluation.data.record_io\n"
        "assert not {'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "f.vector_composition({'v': [f.VectorBlock('visual', 512, 1.0)]}, pathlib.Path(sys.argv[1]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "figure.png"],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
