#!/usr/bin/env python3
"""Draw the dashboards from the data of a run, where no Grafana shows them.

python -m scripts.prove_monitoring --save serve.json            runs `serve` under Prometheus
python -m scripts.prove_monitoring --kafka --save kafka.json    runs the services over Kafka
python -m scripts.panel_pictures serve.json storyhash storyhash-search storyhash-detection
python -m scripts.panel_pictures kafka.json storyhash-pipeline storyhash-embedder storyhash-stores

Titles, places, units and expressions are those of the dashboards; only the drawing is ours. The pictures
are docs/figures/UID.png.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from evaluation.report.plot_style import GRID, INK, colour, dash
from scripts.dashboards import BOARDS
from scripts.dashboards.board import Board, Panel

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
# Grafana's grid has 24 columns; these are the pixels of a column and of a row.
_COLUMN, _ROW, _DOTS = 54, 30, 90
_MOST_NAMES = 8
_GOOD, _BAD = "#73BF69", "#F2495C"

Series = Sequence[dict[str, Any]]


def draw_board(board: Board, data: Mapping[str, Series], path: Path) -> None:
    """Write the picture of one dashboard."""
    places = json.loads(board.to_json())["panels"]
    rows = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in places) + 1
    width, height = 24 * _COLUMN, rows * _ROW
    figure = Figure(figsize=(width / _DOTS, height / _DOTS))
    FigureCanvasAgg(figure)
    figure.text(0.01, 1 - 0.6 / rows, board.title, size=13, weight="bold", color=INK, va="center")
    of_title = {panel.title: panel for panel in board.panels}
    for place in places:
        at = place["gridPos"]
        top = 1 - (at["y"] + 1) / rows
        if place["type"] == "row":
            figure.text(0.01, top - 0.5 / rows, place["title"], size=10, color=INK, va="center")
            continue
        panel = of_title[place["title"]]
        left, wide, tall = at["x"] / 24, at["w"] / 24, at["h"] / rows
        _cell(figure, left, top - tall, wide, tall)
        figure.text(
            left + 0.006, top - 0.5 / rows, panel.title, size=7.5, weight="bold", va="center"
        )
        series = [one for one in data[panel.title] if one["points"]]
        deep = 0.9 if panel.kind in ("stat", "table") or not series else 2.1
        axes = figure.add_axes(
            (
                left + (0.035 if panel.kind in ("timeseries", "heatmap") else 0.008),
                top - tall + deep / rows,
                wide - (0.045 if panel.kind in ("timeseries", "heatmap") else 0.016),
                tall - (deep + 1.1) / rows,
            )
        )
        if series:
            DRAW[panel.kind](axes, panel, series)
        else:
            _text(axes, f"no data: {panel.may_be_empty or 'shows ' + ', '.join(panel.shown_by)}", 7)
    figure.savefig(path, dpi=_DOTS, metadata={"Software": None}, pil_kwargs={"optimize": True})


def _cell(figure: Figure, left: float, bottom: float, wide: float, tall: float) -> None:
    figure.add_artist(
        Rectangle(
            (left + 0.002, bottom + 0.001), wide - 0.004, tall - 0.002, fill=False, ec=GRID, lw=0.8
        )
    )


def _text(axes: Axes, text: str, size: float) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, size=size, ha="center", va="center", color=INK)


def _lines(axes: Axes, panel: Panel, series: Series) -> None:
    for number, one in enumerate(series):
        seconds, values = zip(*one["points"], strict=True)
        axes.plot(
            seconds,
            values,
            lw=1.0,
            # A line at 0 lies on the axis.
            clip_on=False,
            color=colour(number),
            ls=dash(number // 7),
            label=one["name"] or panel.title,
        )
    axes.set_ylim(bottom=0, top=panel.most)
    if panel.limit is not None:
        axes.axhline(panel.limit, color=_BAD, lw=0.8, ls=":")
    _ticks(axes, panel)
    names = [one["name"] or panel.title for one in series]
    columns = max(1, panel.width * 12 // (max(map(len, names)) + 6))
    # Three lines of names have room.
    shown = names[: 3 * columns]
    more = f" +{len(series) - len(shown)}" if len(series) > len(shown) else ""
    lines = axes.get_lines()[: len(shown)]
    shown[-1] += more
    axes.legend(
        lines,
        shown,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.13),
        ncols=columns,
        fontsize=6,
        frameon=False,
        borderpad=0,
        labelspacing=0.15,
        columnspacing=0.8,
        handlelength=1.4,
    )


def _ticks(axes: Axes, panel: Panel) -> None:
    axes.tick_params(labelsize=6, length=2, colors=INK)
    axes.grid(color=GRID, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_unit(value, panel.unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:.0f} s"))


def _number(axes: Axes, panel: Panel, series: Series) -> None:
    _text(axes, in_unit(series[0]["points"][-1][1], panel.unit), 17)


def _states(axes: Axes, panel: Panel, series: Series) -> None:
    for number, one in enumerate(series):
        points = one["points"]
        for (start, value), (end, _) in pairwise(points):
            axes.barh(-number, end - start, left=start, color=_GOOD if value else _BAD, height=0.7)
        axes.text(points[0][0], -number, f" {one['name']}", size=5.5, va="center")
    axes.set_yticks([])
    axes.set_ylim(-max(3, len(series)), 1)
    axes.tick_params(labelsize=6, length=2, colors=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:.0f} s"))


def _rows(axes: Axes, panel: Panel, series: Series) -> None:
    axes.set_axis_off()
    names = list(series[0]["labels"])
    lines = [[*names, "value"]]
    for one in series[:_MOST_NAMES]:
        value = in_unit(one["points"][-1][1], panel.unit)
        lines.append([*(one["labels"].get(name, "") for name in names), value])
    for row, cells in enumerate(lines):
        for column, cell in enumerate(cells):
            axes.text(
                column / len(cells),
                0.95 - row / (_MOST_NAMES + 1),
                cell,
                size=6.5,
                va="top",
                weight="bold" if row == 0 else "normal",
            )


def _heat(axes: Axes, panel: Panel, series: Series) -> None:
    """The growth of each bucket; Prometheus adds up all buckets below one."""
    import numpy as np

    ordered = sorted(series, key=lambda one: float(one["labels"]["le"]))
    moments = sorted({at for one in ordered for at, _ in one["points"]})
    counts = np.array([[dict(one["points"]).get(at, 0.0) for at in moments] for one in ordered])
    heat = np.diff(counts, axis=0, prepend=0)
    axes.pcolormesh(moments, range(len(ordered)), heat, cmap="Blues", vmin=0, shading="nearest")
    axes.set_yticks(range(len(ordered)), [one["labels"]["le"] for one in ordered])
    axes.tick_params(labelsize=5, length=2, colors=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:.0f} s"))


DRAW = {
    "timeseries": _lines,
    "stat": _number,
    "table": _rows,
    "state-timeline": _states,
    "heatmap": _heat,
}


def in_unit(value: float, unit: str) -> str:
    """A value in a unit of Grafana, short."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        for factor, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if value >= factor:
                return f"{value / factor:.3g} {name}"
        return f"{1000 * value:.3g} ms"
    if unit in ("bytes", "Bps"):
        power = int(math.log(value, 1024)) if value >= 1 else 0
        text = f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
        return text + ("/s" if unit == "Bps" else "")
    return f"{value:.4g}" + ("/s" if unit in ("reqps", "ops") else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="what prove_monitoring --save wrote")
    parser.add_argument("uid", nargs="+", choices=[board.uid for board in BOARDS])
    parser.add_argument("--to", type=Path, default=FIGURES, help="folder (default: docs/figures)")
    chosen = parser.parse_args()
    data = json.loads(chosen.data.read_text())
    for board in BOARDS:
        if board.uid in chosen.uid:
            draw_board(board, data[board.uid], chosen.to / f"{board.uid}.png")


if __name__ == "__main__":
    main()
